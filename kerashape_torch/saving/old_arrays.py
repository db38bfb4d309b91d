"""Arrays as older Keras laid them out, brought into today's form when they are read.

What is done, and for which layers, follows ``preprocess_weights_for_loading`` of Keras 2.3 and tf_keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kerashape_torch.saving.stored import Made, Stored, joined, transposed
from kerashape_torch.weight_paths import Kept

if TYPE_CHECKING:
    import numpy as np

_GATES = {"LSTM": (0, 2, 1, 3), "GRU": (0, 1, 2), "ConvLSTM2D": (0, 2, 1, 3)}
"""Keras 1 kept three arrays for each gate, an LSTM's gates as i, c, f, o. Where today's gates stand among them."""

_CHANNELS_FIRST = {"Conv2D": (2, 3, 1, 0), "SeparableConv2D": (2, 3, 1, 0), "ConvLSTM2D": (2, 3, 1, 0),
                   "Conv2DTranspose": (2, 3, 0, 1), "Conv3D": (2, 3, 4, 1, 0)}
"""Keras 1 kept kernels with the filters in front where images had channels in front."""

_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "ConvLSTM2D")
"""Theano convolves where others correlate: the kernels of these layers are turned around."""

_CUDNN_GATES = {"LSTM": 4, "CuDNNLSTM": 4, "GRU": 3, "CuDNNGRU": 3}


def old_count(part: Sequence[Kept]) -> int:
    """How many arrays Keras 1 kept for a part of a layer."""
    gates = _GATES.get(_kind(part[0]), ())
    return len(gates) * len(part) if gates else len(part)


def in_todays_form(part: Sequence[Kept], arrays: Sequence[Stored], version: str, backend: str | None) -> list[Stored]:
    """The arrays of a part of a layer, as the layer keeps them today.

    Args:
        part: the weights that they are for, in order.
        version: of the Keras that wrote them.
        backend: which computed them; Theano's kernels are turned around.
    """
    found, kind = list(arrays), _kind(part[0])
    if version.startswith(("0", "1")):
        found = _of_keras1(part[0], kind, found)
    if kind in _CONVOLUTIONS and found:
        kernels = 2 if kind == "ConvLSTM2D" else 1
        for i in range(min(kernels, len(found), len(part))):
            if backend == "theano":
                found[i] = _turned(found[i])
            swapped = transposed(found[i], (3, 2, 0, 1)) if len(found[i].shape) == 4 else found[i]
            if found[i].shape != part[i].spec.shape and swapped.shape == part[i].spec.shape:
                found[i] = swapped
    if kind in _CUDNN_GATES and len(found) == 3 == len(part):
        found = _between_cudnn_and_plain(part, kind, found)
    return found


def _kind(kept: Kept) -> str:
    return kept.kind.removesuffix("Cell")


def _of_keras1(kept: Kept, kind: str, arrays: list[Stored]) -> list[Stored]:
    found = arrays
    if kind == "Conv1D":
        found = [_narrow_kernel(arrays[0], kept), *arrays[1:]]
    elif kept.channels_first and kind in _CHANNELS_FIRST:
        axes = _CHANNELS_FIRST[kind]
        found = [transposed(array, axes) if len(array.shape) == len(axes) else array for array in arrays]
    elif kind == "Conv2DTranspose":
        found = [transposed(arrays[0], (0, 1, 3, 2)), *arrays[1:]]
    gates = _GATES.get(kind)
    if gates and len(found) == 3 * len(gates):
        found = [joined([found[3 * gate + i] for gate in gates]) for i in range(3)]
    return found


def _narrow_kernel(array: Stored, kept: Kept) -> Stored:
    """A kernel of Conv1D, which had an axis of one in the middle, and before that its filters in front."""
    shape = array.shape
    if len(shape) != 4:
        return array
    size, _, filters = kept.spec.shape
    if shape[:2] != (size, 1) or shape[3] != filters:
        array = transposed(array, (2, 3, 1, 0))
    if array.shape[1] != 1:
        return array
    return Made((array.shape[0], *array.shape[2:]), (array,), lambda x: x[:, 0])


def _turned(array: Stored) -> Stored:
    return Made(array.shape, (array,), lambda x: x[(slice(None, None, -1),) * (x.ndim - 2)])


# ---- cuDNN -----------------------------------------------------------------------------------------------------------


def _between_cudnn_and_plain(part: Sequence[Kept], kind: str, arrays: list[Stored]) -> list[Stored]:
    """What CuDNNLSTM saved, for LSTM, and back; the same for a GRU that resets after.

    cuDNN has two biases, and the kernel of each gate with its axes swapped.
    """
    kernel, recurrent, bias = arrays
    gates, wanted = _CUDNN_GATES[kind], part[2].spec.shape
    if bias.shape == wanted or len(recurrent.shape) != 2 or len(kernel.shape) != 2:
        return arrays
    columns = gates * recurrent.shape[0]
    two, one = (2 * columns,), (columns,) if gates == 4 else (2, columns)
    if {bias.shape, wanted} != {two, one}:
        return arrays  # a GRU that does not reset after has no equal on cuDNN: the shapes will be refused
    from_cudnn = bias.shape == two
    return [Made(kernel.shape, (kernel,), lambda x: _each_gate(x, gates, "F" if from_cudnn else "C")),
            Made(recurrent.shape, (recurrent,), lambda x: _each_gate(x, gates, "C")),
            Made(wanted, (bias,), lambda x: _biases(x, gates, from_cudnn))]


def _each_gate(kernel: np.ndarray[Any, Any], gates: int, order: Any) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.hstack([block.T.reshape(block.shape, order=order) for block in np.hsplit(kernel, gates)])


def _biases(bias: np.ndarray[Any, Any], gates: int, from_cudnn: bool) -> np.ndarray[Any, Any]:
    import numpy as np

    if gates == 3:
        return bias.reshape((2, -1) if from_cudnn else -1)
    return bias.reshape(2, -1).sum(0) if from_cudnn else np.tile(bias / 2, 2)
