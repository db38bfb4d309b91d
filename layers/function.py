"""Layers made of a function: a user's own, and the one that finds padded steps."""

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kerashape_torch import ops
from kerashape_torch.config import argument, custom_object, from_config_value, to_config
from kerashape_torch.dtypes import is_float
from kerashape_torch.errors import ConfigError, UnsafeConfigError
from kerashape_torch.graph import TensorSpec
from kerashape_torch.layer import Layer
from kerashape_torch.meta_rule import infer_by_running
from kerashape_torch.shape import Shape, require_min_rank
from kerashape_torch.structure import flatten, flatten_shapes, map_shapes, map_structure

if TYPE_CHECKING:
    from typing_extensions import Self


class _FunctionConfig(dict[str, Any]):
    """A function as a config writes it, that still knows the function until it has been through a file."""

    function: Any = None


class Lambda(Layer):
    """Applies a function of torch tensors.

    ``output_shape`` is a shape without the batch axis, or a function of the input shape; without it the function is run
    on tensors without values, and the axes that follow free axes of the input are None. A function that has an argument
    ``training`` is told whether the module trains.

    In a file the function is bytecode or a bare name, neither of which is ever run or imported: pass it in
    ``custom_objects`` under the name of the layer, or of the function. What the file said is written again.

    Input shape:  any, or a list of shapes
    Output shape: what the function makes of it

    >>> Lambda(lambda x: x[:, :2] * 2).compute_output_shape((None, 5, 3))
    (None, 2, 3)
    >>> Lambda(lambda x, k: x.repeat(1, k), arguments={"k": 3}).compute_output_shape((None, 4))
    (None, 12)
    """

    function: Any
    given_output_shape: Any = argument(alias="output_shape", default=None)
    mask: Any = None
    arguments: Any = None
    call_arguments = ("inputs", "mask", "training")
    takes_integers = True
    written_only_if_given = ("output_shape", "mask")

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ConfigError(f"Lambda(function=...) must be a function of torch tensors, got {self.function!r}")
        names = _argument_names(self.function)
        self.takes_training = "training" in names
        self.takes_mask = "mask" in names
        self.__dict__.update(arguments=self.arguments or {}, uses_mask=self.takes_mask,
                             supports_masking=self.mask is not None)
        self.as_read: dict[str, Any] = {}

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        if not callable(self.mask):
            raise ConfigError(f"{self.describe()}: the mask is no function of (inputs, mask) that gives a mask. A file "
                              f"holds it as code, which is never run: pass the layer anew, Lambda(..., mask=...)")
        if previous_mask is None:
            return Lambda(lambda x: self.mask(x, None))(inputs)
        return Lambda(lambda both: self.mask(*both))([inputs, previous_mask])

    def compute_output_shape(self, shape: Any) -> Any:
        given = self.given_output_shape
        if given is None:
            spec = self._run_on(map_shapes(lambda each: TensorSpec(each, self.compute_dtype), shape))
            return map_structure(lambda each: each.shape, spec)
        if callable(given):
            return map_shapes(tuple, given(shape))
        batch = flatten_shapes(shape)[0][0]
        return map_shapes(lambda each: (batch, *each), given)

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if self.given_output_shape is not None:
            return super().outputs_for(specs, args, kwargs)
        return self._run_on(map_structure(lambda x: TensorSpec(x.shape, self.output_dtype(x.dtype))
                                          if is_float(x.dtype) else x, specs[0]))

    def _run_on(self, inputs: Any) -> Any:
        def call(inputs: Any, **arguments: Any) -> Any:
            import torch

            made = self.function(inputs, **arguments)
            if not flatten(made) or any(not isinstance(x, torch.Tensor) for x in flatten(made)):
                raise TypeError(f"it must return torch tensors, got {type(made).__name__}")
            return made

        call.__name__ = "the function" if "<" in (name := _name_of(self.function)) else name
        return infer_by_running(call, (inputs,), self._arguments_of_call())

    def _arguments_of_call(self) -> dict[str, Any]:
        extra = {"mask": None} if self.takes_mask else {}
        return {**self.arguments, **extra, **({"training": False} if self.takes_training else {})}

    def module(self, shape: Any) -> Any:
        from kerashape_torch.torch_modules.lambdas import UserFunction

        return UserFunction(self.function, self._arguments_of_call(), self.takes_training)

    # ---- configs -----------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(self.as_read)
        written = _FunctionConfig(config["function"])
        written.function = self.function
        return {**config, "function": written}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Self":
        name = config.get("name")
        values, as_read = dict(config), {}
        replacement = custom_object(name)
        if replacement is None:
            replacement = getattr(config["function"], "function", None)
        if replacement is not None or isinstance(config["function"], Mapping):
            values["function"] = replacement or _named_function(config["function"], name)
            as_read["function"] = to_config(config["function"])
        for key in ("output_shape", "mask"):
            if isinstance(config.get(key), Mapping):
                as_read[key] = config[key]
                named = config[key].get("config") if config[key].get("class_name") == "function" else None
                found = custom_object(named)
                # A shape that the file gives as code is found by running the function; a mask that it gives so stays
                # known to exist, so that no layer after it is given wrong numbers.
                values[key] = found if found is not None or key == "output_shape" else dict(config[key])
        made = cls(**{key: value if key in ("function", "mask") else from_config_value(value)
                      for key, value in values.items()})
        made.as_read = as_read
        return made


def _named_function(config: Mapping[str, Any], layer: str | None) -> Any:
    """The function that a config names, from what the caller passed and from nowhere else."""
    named = config.get("config") if config.get("class_name") == "function" else None
    found = custom_object(config.get("registered_name"), named) if isinstance(named, str) else None
    if found is not None:
        return found
    what = f"names the function {named!r}, which is" if named else "holds the bytecode of a Python lambda, which is"
    raise UnsafeConfigError(f"Lambda layer {layer!r}: the file {what} never imported or run. Pass the function "
                            f"yourself, of torch tensors: custom_objects={{{layer!r}: your_function}}").needing(layer)


def _argument_names(function: Any) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # some of torch's own functions do not tell
        return []


def _name_of(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


class Masking(Layer):
    """Marks the steps whose features all equal ``mask_value`` as padding, and sets them to 0.

    Input shape:  (batch, ..., features)
    Output shape: the same; it carries a mask (batch, ...)

    >>> Masking().compute_output_shape((None, 5, 3))
    (None, 5, 3)
    """

    built_when_made = True
    mask_value: Any = 0.0
    supports_masking = True
    uses_own_mask = True

    def __post_init__(self) -> None:
        if not isinstance(self.mask_value, (int, float)) and not hasattr(self.mask_value, "__float__"):
            raise ConfigError(f"Masking(mask_value=...) must be a number, got {self.mask_value!r}")

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def compute_output_shape(self, shape: Shape) -> Shape:
        require_min_rank(shape, 2, "(batch, ..., features)")
        return shape

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules import Function
        from kerashape_torch.torch_modules.masking import zero_masked_steps

        return Function(zero_masked_steps, float(self.mask_value))
