"""What can be asked of a tensor without a layer."""

from typing import Any

from kerashape_torch.graph import SymbolicTensor, TensorSpec, free_shape
from kerashape_torch.ops.operation import enter, refuse


def shape(x: Any) -> tuple[Any, ...]:
    """The shape of a tensor, with None where it is not known; no layer is made.

    In a function that is followed, what stands there instead of None can be a size of other ops.
    """
    return free_shape(x) if isinstance(x, SymbolicTensor) else tuple(x.shape)


def ndim(x: Any) -> int:
    """The number of axes; no layer is made. (Keras' symbolic call gives a tensor that no model can compute.)"""
    return len(x.shape)


def dtype(x: Any) -> str:
    """The name of a tensor's dtype."""
    return str(x.dtype).removeprefix("torch.")


def is_tensor(x: Any) -> bool:
    """Whether a value is a tensor of torch. A symbolic tensor is none yet."""
    return hasattr(x, "detach")


def convert_to_numpy(x: Any) -> Any:
    """A NumPy array of a tensor or of numbers."""
    if isinstance(x, TensorSpec):
        raise refuse("convert_to_numpy", "a symbolic tensor has no numbers yet; run the model and convert its output")
    from kerashape_torch.torch_modules.functions import as_tensor

    tensor = as_tensor(x).detach().cpu()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()


for _family, _functions in {"core": (shape, dtype, is_tensor, convert_to_numpy), "numpy": (ndim,)}.items():
    for _function in _functions:
        enter(_family, _function.__name__, _function)
