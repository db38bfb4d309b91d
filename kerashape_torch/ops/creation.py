"""Ops that make tensors of numbers. In a graph such a tensor is a constant; torch is loaded for it."""

from typing import Any

from kerashape_torch.dtypes import dtype_name, result_type
from kerashape_torch.graph import SymbolicTensor, TensorSpec
from kerashape_torch.ops import rules
from kerashape_torch.ops.operation import DTypeName, Recipe, TorchFunction, enter, op, own, refuse, stock, torch_dtype
from kerashape_torch.shape import Shape, axis_index

# ---- without a tensor ------------------------------------------------------------------------------------------------


def dtype_of(dtype: Any, default: str = "float32") -> Any:
    """The torch dtype for what an argument ``dtype`` says."""
    name = default if dtype is None else dtype_name(dtype)
    return torch_dtype({"float": "float32", "int": "int32"}.get(name, name))


def _size(shape: Any) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def zeros(shape: Any, dtype: Any = None) -> Any:
    """A tensor of zeros."""
    return stock("zeros")(_size(shape), dtype=dtype_of(dtype))


def ones(shape: Any, dtype: Any = None) -> Any:
    """A tensor of ones."""
    return stock("ones")(_size(shape), dtype=dtype_of(dtype))


def empty(shape: Any, dtype: Any = None) -> Any:
    """A tensor with anything in it."""
    return stock("empty")(_size(shape), dtype=dtype_of(dtype))


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    """Numbers from ``start`` up to ``stop``, or from 0 up to it.

    >>> arange(3)
    tensor([0, 1, 2], dtype=torch.int32)
    """
    given = [x for x in (start, stop, step) if x is not None]
    _refuse_symbolic("arange", *given)
    kinds = (str(x.dtype).removeprefix("torch.") if hasattr(x, "dtype") else type(x) for x in given)
    first, end = (0, start) if stop is None else (start, stop)
    return stock("arange")(first, end, 1 if step is None else step, dtype=dtype_of(dtype, result_type(*kinds)))


def eye(N: int, M: Any = None, k: int = 0, dtype: Any = None) -> Any:
    """Ones on a diagonal, zeros elsewhere."""
    columns = N if M is None else M
    rows = stock("arange")(N).unsqueeze(-1)
    return (stock("arange")(columns) - rows == (k or 0)).to(dtype_of(dtype))


def identity(n: int, dtype: Any = None) -> Any:
    """A square matrix with ones on its diagonal."""
    return eye(n, dtype=dtype)


def tri(N: int, M: Any = None, k: int = 0, dtype: Any = None) -> Any:
    """Ones at and below a diagonal."""
    return stock("tril")(ones((N, M or N), dtype), diagonal=k)


def _refuse_symbolic(name: str, *values: Any) -> None:
    if any(isinstance(x, SymbolicTensor) for x in values):
        raise refuse(name, "the number of elements would depend on a tensor; give numbers")


for _function in (zeros, ones, empty, arange, eye, identity, tri):
    enter("numpy", _function.__name__, _function)


def _windows(names: dict[str, str]) -> None:
    def function_of(name: str, torch_name: str) -> Recipe:
        def window(x: Any) -> Any:
            _refuse_symbolic(name, x)
            return stock(f"signal.windows.{torch_name}")(int(x))

        return window

    for name, torch_name in names.items():
        window = function_of(name, torch_name)
        window.__name__, window.__doc__ = name, f"The {torch_name} window of some length."
        enter("numpy", name, window)


_windows({"bartlett": "bartlett", "blackman": "blackman", "hamming": "hamming", "hanning": "hann"})


def kaiser(x: Any, beta: Any) -> Any:
    """The Kaiser window of some length."""
    _refuse_symbolic("kaiser", x)
    return stock("signal.windows.kaiser")(int(x), beta=float(beta))


enter("numpy", "kaiser", kaiser)


# ---- from tensors ----------------------------------------------------------------------------------------------------


def _filled(op: Any, fill_value: Any) -> TensorSpec:
    return TensorSpec(tuple(op.shape), op.dtype or "float32")


@op("numpy", _filled, operands=("fill_value",))
def full(shape: Any, fill_value: Any, dtype: DTypeName = None) -> TorchFunction:
    """A tensor of a shape with one value everywhere, or a tensor's values along its last axes."""
    return own("full", shape=_size(shape), dtype=torch_dtype(dtype or "float32"))


def _spaced_dtype(dtype: str | None, start: Any, stop: Any) -> str:
    return result_type(dtype, float) if dtype else rules.as_float(rules.promoted(start, stop))


def _spaced(op: Any, start: Any, stop: Any) -> Any:
    ends: Shape = rules.broadcast_same(op, start, stop).shape
    axis = axis_index(op.axis, len(ends) + 1)
    dtype = _spaced_dtype(op.dtype, start, stop)
    spec = TensorSpec((*ends[:axis], op.num, *ends[axis:]), dtype)
    return (spec, TensorSpec(ends, dtype)) if getattr(op, "retstep", False) else spec


def _between(kind: str, start: Any, stop: Any, num: int, endpoint: bool, dtype: Any, axis: int,
             **arguments: Any) -> TorchFunction:
    wanted = torch_dtype(_spaced_dtype(dtype, start, stop))
    return own("spaced", kind=kind, num=num, endpoint=endpoint, axis=axis, dtype=wanted, **arguments)


@op("numpy", _spaced)
def linspace(start: Any, stop: Any, /, num: int = 50, endpoint: bool = True, retstep: bool = False,
             dtype: DTypeName = None, axis: int = 0) -> TorchFunction:
    """Numbers at equal distances from one to another."""
    return _between("linear", start, stop, num, endpoint, dtype, axis, retstep=retstep)


@op("numpy", _spaced)
def logspace(start: Any, stop: Any, /, num: int = 50, endpoint: bool = True, base: Any = 10,
             dtype: DTypeName = None, axis: int = 0) -> TorchFunction:
    """Powers of ``base`` with exponents at equal distances."""
    return _between("power", start, stop, num, endpoint, dtype, axis, base=base)


@op("numpy", _spaced)
def geomspace(start: Any, stop: Any, /, num: int = 50, endpoint: bool = True, dtype: DTypeName = None,
              axis: int = 0) -> TorchFunction:
    """Numbers each of which is the same multiple of the one before."""
    return _between("geometric", start, stop, num, endpoint, dtype, axis)


