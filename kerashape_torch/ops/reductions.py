"""Ops that make fewer elements of many, or add them up along an axis."""

from collections.abc import Mapping
from typing import Annotated, Any

from kerashape_torch.dtypes import is_float, is_integer
from kerashape_torch.ops import rules
from kerashape_torch.ops.operation import (
    DTypeName,
    Off,
    Recipe,
    Rule,
    TorchFunction,
    as_tuple,
    op,
    own,
    stock,
    torch_dtype,
)

OneDevice = Annotated[bool, Off("is for several devices, and one module runs on one")]


def _reduction(name: str, axis: Any, keepdims: bool, **arguments: Any) -> TorchFunction:
    """A function of torch that takes several axes. No axes at all, ``()``, leave the tensor as it is."""
    dim = as_tuple(axis)
    if dim == ():
        return own("unchanged")
    if dim is None and not keepdims:
        return stock(name, **arguments)
    return stock(name, dim=dim, **({"keepdim": True} if keepdims else {}), **arguments)


@op("numpy", rules.reduced_float, casts=True)
def mean(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """The mean; of integers it is a float."""
    return _reduction("mean", axis, keepdims)


@op("numpy", rules.reduced_sum)
def sum_(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """The sum; small integers are added up as 32 bits."""
    dtype = rules.summed_dtype(x.dtype)
    return _reduction("sum", axis, keepdims, **({"dtype": torch_dtype(dtype)} if is_integer(dtype) else {}))


@op("numpy", rules.reduced_sum)
def nansum(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """The sum of the numbers."""
    return _reduction("nansum" if is_float(x.dtype) else "sum", axis, keepdims)


@op("numpy", rules.reduced_prod)
def prod(x: Any, /, axis: Any = None, keepdims: bool = False, dtype: DTypeName = None) -> TorchFunction:
    """The product; small integers are multiplied as 32 bits."""
    return own("prod", dim=as_tuple(axis), keepdim=keepdims, dtype=torch_dtype(dtype or rules.summed_dtype(x.dtype)))


@op("numpy", rules.reduced_sum)
def nanprod(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """The product of the numbers."""
    return own("nanprod", dim=as_tuple(axis), keepdim=keepdims, dtype=torch_dtype(rules.summed_dtype(x.dtype)))


def _extreme(name: str, axis: Any, keepdims: bool, initial: Any) -> TorchFunction:
    dim = () if axis is None else as_tuple(axis)
    if axis is not None and dim == ():
        return own("unchanged")
    if initial is not None:
        return own(name, initial=initial, dim=dim, keepdim=keepdims)
    return stock(name, dim=dim, **({"keepdim": True} if keepdims else {}))


@op("numpy", rules.reduced)
def max_(x: Any, /, axis: Any = None, keepdims: bool = False, initial: Any = None) -> TorchFunction:
    """The largest element; at least ``initial``."""
    return _extreme("amax", axis, keepdims, initial)


@op("numpy", rules.reduced)
def min_(x: Any, /, axis: Any = None, keepdims: bool = False, initial: Any = None) -> TorchFunction:
    """The smallest element; at most ``initial``."""
    return _extreme("amin", axis, keepdims, initial)


@op("numpy", rules.reduced)
def amax(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """The largest element."""
    return _extreme("amax", axis, keepdims, None)


@op("numpy", rules.reduced)
def amin(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """The smallest element."""
    return _extreme("amin", axis, keepdims, None)


@op("numpy", rules.reduced_real, casts=True)
def var(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """The variance of the elements themselves, not of a sample."""
    return stock("var", dim=as_tuple(axis), correction=0, keepdim=keepdims)


@op("numpy", rules.reduced_real, casts=True)
def std(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """The standard deviation of the elements themselves, not of a sample."""
    return stock("std", dim=as_tuple(axis), correction=0, keepdim=keepdims)


@op("numpy", rules.reduced_bool)
def any_(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """Whether one element is true."""
    return _reduction("any", axis, keepdims)


@op("numpy", rules.reduced_bool)
def all_(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """Whether every element is true."""
    return _reduction("all", axis, keepdims)


@op("numpy", rules.reduced_place)
def argmax(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """Where the largest element is, as int32."""
    return own("argmax", dim=axis, keepdim=keepdims)


@op("numpy", rules.reduced_place)
def argmin(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """Where the smallest element is, as int32."""
    return own("argmin", dim=axis, keepdim=keepdims)


@op("numpy", rules.reduced_index)
def count_nonzero(x: Any, /, axis: Any = None) -> TorchFunction:
    """How many elements are not 0."""
    return stock("count_nonzero", dim=as_tuple(axis))


@op("numpy", rules.reduced)
def ptp(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """From the smallest to the largest element."""
    return own("ptp", dim=as_tuple(axis), keepdim=keepdims)


@op("math", rules.reduced_float, casts=True)
def logsumexp(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """``log(sum(exp(x)))``."""
    return own("logsumexp", dim=as_tuple(axis), keepdim=keepdims)


@op("numpy", rules.averaged, named=("weights",), casts=True)
def average(x: Any, /, axis: Any = None, weights: Any = None) -> TorchFunction:
    """The mean, weighted by a tensor like ``x`` or by a row along ``axis``. (Keras' torch backend goes wrong where that
    is not the last axis; this is NumPy's mean.)"""
    return own("average", dim=axis)


@op("nn", rules.two_moments)
def moments(x: Any, /, axes: Any, keepdims: bool = False, synchronized: OneDevice = False) -> TorchFunction:
    """Mean and variance."""
    return own("moments", axes=as_tuple(axes), keepdims=keepdims)


# ---- of numbers among nan --------------------------------------------------------------------------------------------


def _of_numbers(names: Mapping[str, dict[str, Any]], function: str | None, rule: Rule, **options: Any) -> None:
    def recipe_of(name: str, arguments: Mapping[str, Any]) -> Recipe:
        def recipe(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
            return own(function or name, dim=as_tuple(axis), keepdim=keepdims, **arguments)

        return recipe

    for name, arguments in names.items():
        op("numpy", rule, name=name, doc=f"``keras.ops.{name}``: of the numbers among nan.",
           **options)(recipe_of(name, arguments))


_of_numbers({"nanmean": {}, "nanvar": {}, "nanstd": {}}, None, rules.reduced_float, casts=True)
_of_numbers({"nanmax": {"function": "amax"}, "nanmin": {"function": "amin"}}, "nan_extreme", rules.reduced)
_of_numbers({"nanargmax": {"function": "argmax"}, "nanargmin": {"function": "argmin"}}, "nan_extreme",
            rules.reduced_place)
_of_numbers({"median": {}, "nanmedian": {"nan": True}}, "median", rules.reduced_float, casts=True)


def _quantile(q: Any, axis: Any, method: str, keepdims: bool, **arguments: Any) -> TorchFunction:
    return own("quantile", dim=as_tuple(axis), keepdim=keepdims, method=method, **arguments)


@op("numpy", rules.quantiles)
def quantile(x: Any, q: Any, /, axis: Any = None, method: str = "linear", keepdims: bool = False) -> TorchFunction:
    """The element at a place between 0 and 1 in the order of size, or several."""
    return _quantile(q, axis, method, keepdims)


@op("numpy", rules.quantiles)
def percentile(x: Any, q: Any, /, axis: Any = None, method: str = "linear", keepdims: bool = False) -> TorchFunction:
    """``quantile`` with places between 0 and 100."""
    return _quantile(q, axis, method, keepdims, scale=100.0)


@op("numpy", rules.quantiles)
def nanquantile(x: Any, q: Any, /, axis: Any = None, method: str = "linear", keepdims: bool = False) -> TorchFunction:
    """``quantile`` of the numbers among nan."""
    return _quantile(q, axis, method, keepdims, nan=True)


@op("numpy", rules.quantiles)
def nanpercentile(x: Any, q: Any, /, axis: Any = None, method: str = "linear",
                  keepdims: bool = False) -> TorchFunction:
    """``percentile`` of the numbers among nan."""
    return _quantile(q, axis, method, keepdims, scale=100.0, nan=True)


# ---- added up --------------------------------------------------------------------------------------------------------


def _cumulative(names: Mapping[str, dict[str, Any]]) -> None:
    def recipe_of(arguments: Mapping[str, Any]) -> Recipe:
        def recipe(x: Any, /, axis: Any = None, dtype: DTypeName = None) -> TorchFunction:
            return own("cumulative", dim=axis, dtype=torch_dtype(dtype or rules.counted(x.dtype)), **arguments)

        return recipe

    for name, arguments in names.items():
        op("numpy", rules.accumulated, name=name,
           doc=f"``keras.ops.{name}``: each element together with those before it.")(recipe_of(arguments))


_cumulative({"cumsum": {"function": "cumsum"}, "cumprod": {"function": "cumprod"},
             "nancumsum": {"function": "cumsum", "nan": 0.0}, "nancumprod": {"function": "cumprod", "nan": 1.0}})
