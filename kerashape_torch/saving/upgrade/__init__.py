"""The door through which configs of older Keras versions come in: dict to dict, Keras 1 -> 2 -> 3.

The engine knows Keras 3's form and no other. What is old is recognised node by node and field by field, never by file
or extension, because forms mix inside one file: tf_keras writes Keras 3's envelope around Keras 2's calls, and Keras 3
writes ``.h5`` files without ``module``. What an argument *means* is another question, and one for the whole file: the
version that wrote it decides (:class:`Origin`).

    origin.py        who wrote it
    models.py        Sequential and functional models, wherever they are nested
    calls.py         the calls of a functional model, and how they number the calls of a nested one
    layers.py        Keras 2's layers, class by class and argument by argument
    objects.py       initializers, regularizers, constraints, activations, dtype policies, functions
    keras1.py        Keras 1's layers, brought to Keras 2
    branches.py      Keras 1's Sequential models that begin with a Merge of other models
    op_layers.py     TFOpLambda, SlicingOpLambda and TensorFlowOpLayer as ops
    expressions.py   ops of ops of tensors, and how they are written as layers of a graph
    tensorflow/      what each function of TensorFlow is among the ops, a kind a file
    sizes.py         tf.shape(x)[0] and what is reckoned with it
    yaml_text.py     the text that to_yaml() wrote

What weights must know, since their names or layouts follow the old layer:

- Names of layers stay as they are, but for a ``/``, which becomes ``_``: :attr:`Upgraded.renamed` has new and old.
- A Sequential model without InputLayer gets one, which has no weights. Its name is the first layer's and ``_input``.
- TFOpLambda, SlicingOpLambda and TensorFlowOpLayer become ops, and AddLoss and AddMetric Identity: without weights.
- Classes change their names by :data:`RENAMED_CLASSES`. Their weights keep their number and order; the layouts of
  Keras 1 are those of the version and backend in :attr:`Upgraded.origin`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kerashape_torch.saving.upgrade import keras1, layers
from kerashape_torch.saving.upgrade.models import upgraded_value
from kerashape_torch.saving.upgrade.origin import Origin, old_forms, origin_of
from kerashape_torch.saving.upgrade.scope import Note, Scope
from kerashape_torch.structure import levels

__all__ = ["RENAMED_CLASSES", "Note", "Origin", "Upgraded", "to_keras3", "upgrade"]

RENAMED_CLASSES: Mapping[str, str] = {**keras1.CLASSES, **layers.CLASSES}
"""Old class names, and the layers that they are today. Merge is the merging layer that its ``mode`` names."""


class Upgraded(NamedTuple):
    """A config in Keras 3's form, and what is to be known of where it came from.

    Attributes:
        config: the config.
        version: of the Keras that wrote it, as ``(2, 2, 4)``; ``(3,)`` where nothing is old.
        notes: what a layer means in that version and would not mean today.
        origin: the version with its backend.
        renamed: new names of layers, and the old ones.
    """

    config: Any
    version: tuple[int, ...]
    notes: tuple[Note, ...]
    origin: Origin
    renamed: Mapping[str, str]


def upgrade(config: Any, version: str | None = None, backend: str | None = None,
            dicts: Sequence[Mapping[str, Any]] | None = None) -> Upgraded:
    """Brings a config of any Keras up to Keras 3's form. What is in that form already comes back as it is.

    Args:
        config: the dict that ``to_json()`` wrote, a part of it, or that of a layer or object.
        version: ``keras_version`` where it stands beside the config, as in an HDF5 file; the config's own otherwise.
        backend: the same for ``backend``.
        dicts: every dict inside the config, from whoever has walked over it already.

    Raises:
        ConfigError: it has what has no equivalent today; the error names the layer and the way out.

    >>> found = upgrade([{"class_name": "Dense", "config": {"output_dim": 3, "activation": "hard_sigmoid"}}])
    >>> found.config[0]["config"], found.version
    ({'units': 3, 'activation': 'keras2_hard_sigmoid'}, (1,))
    >>> print(found.notes[0])
    dense: activation 'hard_sigmoid' is that of Keras 1 and 2: 0.2 * x + 0.5 between 0 and 1, not x / 6 + 0.5
    """
    dicts = list(itertools.chain.from_iterable(levels(config))) if dicts is None else dicts
    origin = origin_of(config, dicts, version, backend)
    is_new = origin.major >= 3 and _has_modules(config) and (
        _says_no_version(config, version) or next(old_forms(dicts), None) is None)
    scope = Scope(origin)
    made = config if is_new else upgraded_value(config, scope)
    return Upgraded(made, origin.version, tuple(scope.notes), origin, dict(scope.renamed))


def to_keras3(config: Any, version: str | None = None, backend: str | None = None,
              dicts: Sequence[Mapping[str, Any]] | None = None) -> Any:
    """The config alone that :func:`upgrade` makes."""
    return upgrade(config, version, backend, dicts).config


def _says_no_version(config: Any, version: str | None) -> bool:
    """Then the forms have told the origin already."""
    return version is None and not (isinstance(config, Mapping) and config.get("keras_version"))


def _has_modules(config: Any) -> bool:
    return not isinstance(config, Mapping) or "class_name" not in config or "module" in config
