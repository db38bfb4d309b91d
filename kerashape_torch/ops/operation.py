"""What an op is: a recipe for a torch function, made into a layer class and a public function.

A recipe's positional-only arguments are the operands, as :class:`TensorSpec` or numbers; the others are what Keras
keeps in the op's config, in Keras' order. It gives the torch function to apply, stock wherever torch has one. A
``rule`` says shape and dtype without torch; an op without a rule is run on tensors without values.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, cast

from kerashape_torch.config import register_family
from kerashape_torch.errors import ConfigError
from kerashape_torch.graph import SymbolicTensor, TensorSpec, connect
from kerashape_torch.layer import ANY, KERAS, Layer
from kerashape_torch.meta_rule import infer_by_running
from kerashape_torch.structure import flatten, is_shape, map_structure
from kerashape_torch.weights import WeightSpec

TorchFunction = Callable[..., Any]
Recipe = Callable[..., TorchFunction]
Rule = Callable[..., TensorSpec]


class Operation(Layer, family=True):
    """A function of tensors as a layer of the graph.

    Ops are a family of their own in configs: the ``Add`` of ``keras.ops`` is not the layer ``Add``.
    """

    keras_module = "keras.ops"
    has_policy = False
    recipe: ClassVar[Recipe]
    rule: ClassVar[Rule | None] = None
    elementwise: ClassVar[bool] = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Connects the op; operands are kept by position, as Keras' own functions call it."""
        operands = list(self.bind(args, kwargs).values())
        while operands and operands[-1] is None:
            operands.pop()
        for operand in flatten(operands):
            if not isinstance(operand, (SymbolicTensor, int, float, slice, type(None), type(Ellipsis))):
                raise ConfigError(f"{type(self).__name__} takes symbolic tensors and numbers, "
                                  f"got {type(operand).__name__}")
        return connect(self, tuple(operands), {})

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        bound = super().bind(args, kwargs)
        unknown = [name for name in bound if name not in self.call_arguments]
        if unknown:
            raise ConfigError(f"{type(self).__name__} takes {', '.join(self.call_arguments)}, got {', '.join(unknown)}")
        return {name: bound.get(name) for name in self.call_arguments}

    def function(self, *operands: Any) -> TorchFunction:
        """The torch function for such operands: a stock one, or a ``functools.partial`` of it."""
        return type(self).recipe(*operands, **self._own())

    def _own(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name, field in self._fields.items() if not field.keyword_only}

    def output_spec(self, *args: Any, **kwargs: Any) -> Any:
        rule = type(self).rule
        if rule is not None:
            return rule(self, *args)
        return infer_by_running(self.function(*args), args, kwargs)

    def compute_output_shape(self, *shapes: Any) -> Any:
        specs = [TensorSpec(tuple(s)) if is_shape(s) else [TensorSpec(tuple(each)) for each in s] for s in shapes]
        return self.output_spec(*specs).shape

    def weight_specs(self, *shapes: Any) -> list[WeightSpec]:
        return []

    def layout(self, *shapes: Any) -> str:
        return ANY if self.elementwise else KERAS

    def module(self, *shapes: Any) -> Any:
        from kerashape_torch.torch_modules import Function

        made = self.function(*self.nodes[0].args)  # an op is called once: its dtypes and numbers are those of its call
        return Function(made.func, *made.args, **made.keywords) if isinstance(made, partial) else Function(made)

    def get_config(self) -> dict[str, Any]:
        written = {name: self._written(field) for name, field in self._fields.items() if not field.keyword_only}
        return {"name": self.name, **written}

    def serialize(self) -> dict[str, Any]:
        cls = type(self)
        return {"module": cls.keras_module, "class_name": cls.__name__, "config": self.get_config(),
                "registered_name": cls.__name__}


register_family("keras.src.ops", Operation)
register_family("keras.src.activations.activations", Operation)

PUBLIC: dict[str, Callable[..., Any]] = {}
"""The functions that users call, by name. They stay out of the modules' globals, where some would hide Python's own."""


def op(module: str, rule: Rule | None = None, *, elementwise: bool = False,
       class_name: str | None = None) -> Callable[[Recipe], Recipe]:
    """Makes an op of a recipe: the layer class goes to the catalog, the public function to :data:`PUBLIC`.

    Args:
        module: where Keras has the class: ``numpy``, ``nn``, ``math``, ... or a full name.
        elementwise: it does not care for the order of axes.
        class_name: of Keras' class, where it is not the function's name in camel case.
    """

    def decorate(recipe: Recipe) -> Recipe:
        name = recipe.__name__.removesuffix("_")  # sum_ is written so that Python's own sum stays in sight
        cls = _operation_class(recipe, module, class_name or "".join(part.capitalize() for part in name.split("_")))
        cls.rule = staticmethod(rule) if rule is not None else None
        cls.elementwise = elementwise
        if class_name is None or class_name.lower() == name.replace("_", ""):
            PUBLIC[name] = _public(recipe, cls, name)
        return recipe

    return decorate


def _operation_class(recipe: Recipe, module: str, class_name: str) -> type[Operation]:
    parameters = inspect.signature(recipe).parameters.values()
    operands = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY)
    arguments = [p for p in parameters if p.kind is not p.POSITIONAL_ONLY]
    body: dict[str, Any] = {p.name: p.default for p in arguments if p.default is not p.empty}
    body |= {"__annotations__": {p.name: Any if p.annotation is p.empty else p.annotation for p in arguments},
             "__doc__": recipe.__doc__, "__module__": recipe.__module__, "recipe": staticmethod(recipe),
             "keras_module": module if "." in module else f"keras.src.ops.{module}",
             "call_arguments": operands, "shape_arguments": operands}
    return cast("type[Operation]", type(class_name, (Operation,), body))


def _public(recipe: Recipe, cls: type[Operation], name: str) -> Callable[..., Any]:
    parameters = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in inspect.signature(recipe).parameters.values()]
    signature = inspect.Signature(parameters)

    def public(*args: Any, **kwargs: Any) -> Any:
        given = dict(signature.bind(*args, **kwargs).arguments)
        operands = [given.pop(operand) for operand in cls.call_arguments if operand in given]
        return applied(cls(**given), operands)

    public.__name__ = public.__qualname__ = name
    public.__doc__, public.__module__ = recipe.__doc__, "kerashape_torch.ops"
    public.__signature__ = signature  # type: ignore[attr-defined]
    return public


def applied(operation: Operation, operands: Sequence[Any]) -> Any:
    """The op on symbolic tensors as a call of the graph, on real ones as a result. Here, and only here, they part."""
    if any(isinstance(x, SymbolicTensor) for x in flatten(operands)):
        return operation(*operands)
    specs = map_structure(_spec_of, list(operands))
    return operation.function(*specs)(*operands)


def _spec_of(x: Any) -> Any:
    return TensorSpec(tuple(x.shape), str(x.dtype).removeprefix("torch.")) if hasattr(x, "dtype") else x


def stock(name: str, **arguments: Any) -> TorchFunction:
    """A function of torch by its dotted name, with arguments."""
    import torch

    function: TorchFunction = functools.reduce(getattr, name.split("."), torch)  # type: ignore[assignment]
    return partial(function, **arguments) if arguments else function


def own(name: str, **arguments: Any) -> TorchFunction:
    """A function that torch lacks, from ``torch_modules``."""
    from kerashape_torch.torch_modules import functions

    return partial(getattr(functions, name), **arguments)


def torch_dtype(name: str) -> Any:
    """A dtype of torch by its name."""
    return stock(name)
