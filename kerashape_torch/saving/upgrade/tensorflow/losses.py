"""Functions that compare predictions with what is true."""

from __future__ import annotations

import math
from typing import Any

from kerashape_torch.saving.upgrade.expressions import Op
from kerashape_torch.saving.upgrade.tensorflow.table import Untranslated, dtype_of, fixed, tf


@tf("nn.sigmoid_cross_entropy_with_logits")
def _sigmoid_cross_entropy(labels: Any = None, logits: Any = None, _sentinel: Any = None) -> Any:
    return Op("BinaryCrossentropy", labels, logits, from_logits=True)


@tf("nn.softmax_cross_entropy_with_logits", "nn.softmax_cross_entropy_with_logits_v2")
def _softmax_cross_entropy(labels: Any = None, logits: Any = None, axis: Any = None, dim: Any = None) -> Any:
    axis = axis if axis is not None else dim
    return Op("CategoricalCrossentropy", labels, logits, from_logits=True, axis=-1 if axis is None else axis)


@tf("nn.sparse_softmax_cross_entropy_with_logits")
def _sparse_softmax_cross_entropy(labels: Any = None, logits: Any = None, _sentinel: Any = None) -> Any:
    return Op("SparseCategoricalCrossentropy", labels, logits, from_logits=True)


@tf("nn.weighted_cross_entropy_with_logits")
def _weighted_cross_entropy(labels: Any = None, logits: Any = None, pos_weight: Any = None) -> Any:
    weight = Op("Add", Op("Multiply", labels, Op("Subtract", pos_weight, 1)), 1)
    return Op("Add", Op("Multiply", Op("Subtract", 1, labels), logits),
              Op("Multiply", weight, Op("Softplus", Op("Negative", logits))))


@tf("nn.log_poisson_loss")
def _log_poisson_loss(targets: Any, log_input: Any, compute_full_loss: bool = False) -> Any:
    loss = Op("Subtract", Op("Exp", log_input), Op("Multiply", log_input, targets))
    if not compute_full_loss:
        return loss
    log = Op("Log", targets)
    stirling = Op("Add", Op("Subtract", Op("Multiply", targets, log), targets),
                  Op("Multiply", Op("Add", log, math.log(2 * math.pi)), 0.5))
    small = Op("LogicalAnd", Op("GreaterEqual", targets, 0), Op("LessEqual", targets, 1))
    return Op("Add", loss, Op("Where", small, 0.0, stirling))


@tf("nn.compute_average_loss")
def _average_loss(per_example_loss: Any, sample_weight: Any = None, global_batch_size: Any = None) -> Any:
    if sample_weight is not None or global_batch_size is None:
        raise Untranslated("with sample_weight, or without global_batch_size, it is not had")
    return Op("TrueDivide", Op("Sum", per_example_loss), fixed(global_batch_size, "global_batch_size"))


@tf("nn.ctc_loss", "nn.ctc_loss_v2")
def _ctc_loss(labels: Any, logits: Any, label_length: Any, logit_length: Any, logits_time_major: bool = True,
              unique: Any = None, blank_index: Any = None) -> Any:
    logits = Op("Swapaxes", logits, axis1=0, axis2=1) if logits_time_major else logits
    return Op("CTCLoss", labels, logits, label_length, logit_length, mask_index=blank_index or 0)


@tf("math.confusion_matrix")
def _confusion_matrix(labels: Any, predictions: Any, num_classes: Any = None, weights: Any = None,
                      dtype: Any = "int32") -> Any:
    if num_classes is None or weights is not None:
        raise Untranslated("with weights, or without num_classes, it is not had")
    rows, columns = (Op("OneHot", x, num_classes=fixed(num_classes, "num_classes")) for x in (labels, predictions))
    return Op("Cast", Op("Einsum", rows, columns, subscripts="ni,nj->ij"), dtype=dtype_of(dtype))


@tf("math.in_top_k", "nn.in_top_k")
def _in_top_k(targets: Any = None, predictions: Any = None, k: Any = None) -> Any:
    return Op("InTopK", targets, predictions, k=fixed(k, "k"))


@tf("compat.v1.math.in_top_k", "compat.v1.nn.in_top_k")
def _in_top_k_of_old(predictions: Any = None, targets: Any = None, k: Any = None) -> Any:
    return _in_top_k(targets, predictions, k)
