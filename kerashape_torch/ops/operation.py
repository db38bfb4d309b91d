"""What an op is: a recipe for a torch function, made into a layer class and a public function.

A recipe's signature is Keras': it says which arguments are operands of the call and which are kept in the op's config.
Operands come to it as :class:`TensorSpec` or as the numbers, strings and slices that they are. It gives the torch
function to apply, stock wherever torch has one. A ``rule`` says shape and dtype without torch; an op without a rule is
run on tensors without values.
"""

import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple, cast

from kerashape_torch.config import Record, argument, register_family
from kerashape_torch.dtypes import DTypeKind, narrow
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError, did_you_mean
from kerashape_torch.graph import OPERATORS, Constant, SymbolicTensor, TensorSpec, connect
from kerashape_torch.kinds import Kind
from kerashape_torch.layer import ANY, KERAS, Layer
from kerashape_torch.meta_rule import infer_by_running
from kerashape_torch.ops.left_out import LEFT_OUT
from kerashape_torch.sizes import free_sizes
from kerashape_torch.structure import flatten, is_shape, map_structure
from kerashape_torch.weights import WeightSpec

TorchFunction = Callable[..., Any]
Recipe = Callable[..., TorchFunction]
Rule = Callable[..., Any]


class _DTypeName(DTypeKind):
    def read(self, value: Any, where: str) -> Any:
        return super().read({int: "int32", bool: "bool"}.get(value, value), where)

    def write(self, value: Any, record: Any) -> Any:
        return value


DTypeName = Annotated[str | None, _DTypeName()]
"""An argument of an op that names a dtype."""


class _FloatName(_DTypeName):
    def write(self, value: Any, record: Any) -> Any:
        return value or "float32"


FloatName = Annotated[str | None, _FloatName()]
"""An argument of an op that names a dtype; None is float32, and Keras writes it so."""


class _Numbers(Kind):
    def read(self, value: Any, where: str) -> Any:
        return (value,) if isinstance(value, int) else tuple(value) if isinstance(value, list) else value


Numbers = Annotated[Any, _Numbers()]
"""An argument of an op that Keras keeps as a tuple, where one number may be given."""


class Off(Kind):
    """An argument that says no and nothing else, for a reason."""

    def __init__(self, why: str) -> None:
        self.why = why

    def read(self, value: Any, where: str) -> Any:
        if value:
            raise ConfigError(f"{where} {self.why}")
        return value


class Operands(NamedTuple):
    """Which arguments of a call are operands, and how Keras hands them on: by position or by name."""

    positional: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = {}
    variadic: bool = False
    free: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.positional, *self.named)


class Operation(Layer, family=True):
    """A function of tensors as a layer of the graph.

    Ops are a family of their own in configs: the ``Add`` of ``keras.ops`` is not the layer ``Add``.
    """

    keras_module = "keras.ops"
    has_policy = False
    recipe: ClassVar[Recipe]
    rule: ClassVar[Rule | None] = None
    elementwise: ClassVar[bool] = False
    casts: ClassVar[bool] = False
    operands: ClassVar[Operands] = Operands()
    parameters: ClassVar[tuple[inspect.Parameter, ...]] = ()

    @classmethod
    def catalog(cls) -> Mapping[str, type[Any]]:
        load_families()
        return super().catalog()

    @property
    def flops_are_known(self) -> bool:
        """Products, windows and transforms cost what no rule here says; other ops make none."""
        family = self.recipe.__module__.rpartition(".")[2]
        return self.elementwise or family not in ("products", "neural", "spectral")

    # ---- calling -----------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Connects the op; operands are kept by position or by name, as Keras' own functions call it."""
        bound = map_structure(self._operand, self.bind(args, kwargs))
        named = {name: value for name, value in bound.items() if name in self.operands.named or (
            self.operands.free and name not in self.operands.positional)}
        return connect(self, tuple(value for name, value in bound.items() if name not in named), named)

    def _operand(self, value: Any) -> Any:
        if isinstance(value, (SymbolicTensor, Constant, int, float, complex, str, slice, type(None), type(Ellipsis))):
            return value
        if hasattr(value, "shape") and hasattr(value, "dtype"):
            return Constant(value)
        raise ConfigError(f"{type(self).__name__} takes symbolic tensors, arrays and numbers, "
                          f"got {type(value).__name__}")

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        positional, named, defaults, variadic, free = self.operands
        if variadic:
            return {str(i): x for i, x in enumerate(args)}
        bound = super().bind(args, kwargs)
        unknown = [name for name in bound if name not in self.call_arguments]
        if unknown and not free:
            raise ConfigError(f"{type(self).__name__} takes {', '.join(self.call_arguments)}, got {', '.join(unknown)}")
        for name in (*positional, *named):
            if name not in bound and name not in defaults:
                raise ConfigError(f"{type(self).__name__} needs the operand {name!r}")
        return {name: bound.get(name, defaults.get(name)) for name in (*positional, *named, *unknown)}

    def input_specs(self, args: Sequence[Any], kwargs: Mapping[str, Any],
                    bound: Mapping[str, Any] | None = None) -> list[Any]:
        return [x for x in flatten((tuple(args), dict(kwargs))) if isinstance(x, TensorSpec)]

    def check_weights(self, specs: Sequence[Any]) -> None:
        """An op has none."""

    # ---- rules -------------------------------------------------------------------------------------------------------

    def function(self, *args: Any, **kwargs: Any) -> TorchFunction:
        """The torch function for such operands: a stock one, or a ``functools.partial`` of it."""
        own = {name: self.__dict__.get(field.attribute, field.default) for name, field in self._fields.items()
               if not field.keyword_only}
        given = own | dict(zip(self.operands.positional, args)) | kwargs
        by_position: list[Any] = []
        for p in self.parameters:
            if p.kind is p.VAR_POSITIONAL:
                by_position += args
            elif p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
                by_position.append(given.pop(p.name))
        return type(self).recipe(*by_position, **given)

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        rule = type(self).rule
        if rule is not None:
            return rule(self, *args, **kwargs)
        return infer_by_running(self.function(*args, **kwargs), args, kwargs)

    def casts_of(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """The dtypes that the operands and the result are to be cast to, where the torch function alone would go
        another way than Keras' rule. What has 64 bits keeps them."""
        rule = type(self).rule
        result = rule(self, *args, **kwargs) if rule is not None else None
        if not isinstance(result, TensorSpec):
            return None, None
        wanted = result.dtype
        given = {x.dtype for x in self.input_specs(args, kwargs)}
        before = wanted if self.casts and any(narrow(dtype) != wanted for dtype in given) else None
        if given <= {"float32"} and wanted == "float32":
            return before, None
        comes = _dtype_of_running(self.function(*args, **kwargs), args, kwargs, before)
        kept = comes is None or comes == wanted or (narrow(comes) == wanted and comes in given)
        return before, None if kept else wanted

    def compute_output_shape(self, *shapes: Any) -> Any:
        specs = [TensorSpec(tuple(s)) if is_shape(s) else [TensorSpec(tuple(each)) for each in s] for s in shapes]
        return map_structure(lambda spec: spec.shape, self.output_spec(*specs))

    def weight_specs(self, *shapes: Any) -> list[WeightSpec]:
        return []

    def layout(self, *shapes: Any) -> str:
        return ANY if self.elementwise else KERAS

    def module(self, *shapes: Any) -> Any:
        from kerashape_torch.torch_modules import Function

        node = self.nodes[0]  # an op is called once: its dtypes and numbers are those of its call
        made = self.function(*node.args, **node.kwargs)
        return Function(made.func, *made.args, **made.keywords) if isinstance(made, partial) else Function(made)

    def run(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The op on real tensors."""
        from kerashape_torch.torch_modules.functions import cast_all, tensors_of

        args, kwargs = tensors_of(tuple(args), dict(kwargs))
        specs = map_structure(_spec_of, (args, kwargs))
        function = self.function(*specs[0], **specs[1])
        rule = type(self).rule
        spec = rule(self, *specs[0], **specs[1]) if rule is not None else None
        if not isinstance(spec, TensorSpec):
            return function(*args, **kwargs)
        if self.casts:
            args, kwargs = cast_all((args, kwargs), spec.dtype)
        return cast_all(function(*args, **kwargs), spec.dtype)

    # ---- configs -----------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        written = {name: self._written(field) for name, field in self._fields.items() if not field.keyword_only}
        return {"name": self.name, **written}

    def serialize(self) -> dict[str, Any]:
        cls = type(self)
        return {"module": cls.keras_module, "class_name": cls.__name__, "config": self.get_config(),
                "registered_name": cls.__name__}


register_family("keras.src.ops", Operation)
register_family("keras.src.activations.activations", Operation)


def _dtype_of_running(function: TorchFunction, args: Any, kwargs: Any, before: str | None) -> str | None:
    """The dtype that comes out on torch's meta device; None where the function cannot be run there."""
    def running(x: Any) -> Any:
        cast_to = before if before is not None and isinstance(x, TensorSpec) and narrow(x.dtype) != before else None
        return TensorSpec(x.shape, cast_to) if cast_to else x

    try:
        found = infer_by_running(function, *map_structure(running, (tuple(args), dict(kwargs))))
    except ShapeError:
        return None
    return found.dtype if isinstance(found, TensorSpec) else None


def _spec_of(x: Any) -> Any:
    return TensorSpec(tuple(x.shape), str(x.dtype).removeprefix("torch.")) if hasattr(x, "dtype") else x


# ---- from recipes to classes and functions ---------------------------------------------------------------------------

NAMESPACES: dict[str, dict[str, Callable[..., Any]]] = {}
"""The functions that users call, by family and name. They stay out of the modules' globals, where some would hide
Python's own."""

PUBLIC: dict[str, Callable[..., Any]] = {}
"""Those that ``keras.ops`` has itself: all but the functions of images."""


_TAKES_SIZES = {"broadcast_to": (1, "shape"), "full": (0, "shape"), "ones": (0, "shape"), "reshape": (1, "newshape"),
                "tile": (1, "repeats"), "zeros": (0, "shape")}
"""Functions that are given sizes, and where: code written for TensorFlow puts them into a tensor."""


def enter(family: str, name: str, function: Callable[..., Any]) -> None:
    """Makes a function public as ``ops.name`` and ``ops.family.name``."""
    place, keyword = _TAKES_SIZES.get(name, (0, ""))

    @functools.wraps(function)
    def public(*args: Any, **kwargs: Any) -> Any:
        if keyword and isinstance(args[place] if len(args) > place else kwargs.get(keyword), SymbolicTensor):
            args, kwargs = OPERATORS["sizes in a tensor"](name, args, kwargs, place, keyword)
        if free_sizes((args, kwargs)):
            return OPERATORS["given free sizes"](name, function, args, kwargs)
        return function(*args, **kwargs)

    NAMESPACES.setdefault(family, {})[name] = public
    if family != "image":
        PUBLIC[name] = public


def op(module: str, rule: Rule | None = None, *, operands: Sequence[str] = (), named: Sequence[str] = (),
       elementwise: bool = False, casts: bool = False, class_name: str | None = None,
       aliases: Sequence[str] = (), name: str | None = None, doc: str | None = None) -> Callable[[Recipe], Recipe]:
    """Makes an op of a recipe: the layer class goes to the catalog, the public function to :data:`PUBLIC`.

    The recipe's positional-only arguments are operands, the others what Keras keeps in the config; an underscore in
    front of its name keeps it from the public.

    Args:
        module: where Keras has the class: ``numpy``, ``nn``, ``math``, ... or a full name.
        operands: more operands, which Keras' signature has among the other arguments.
        named: operands that Keras hands on by name.
        elementwise: it does not care for the order of axes.
        casts: operands are cast to the dtype of the result first.
        class_name: of Keras' class, where it is not the function's name in camel case.
        aliases: other public names of the same function.
        name, doc: of a recipe that is one of several made alike, and has neither of its own.
    """

    def decorate(recipe: Recipe) -> Recipe:
        if name is not None:
            recipe.__name__, recipe.__doc__ = name, doc
        own_name = recipe.__name__.removesuffix("_")  # sum_ is written so that Python's own sum stays in sight
        cls = _operation_class(recipe, module, class_name or "".join(part.capitalize() for part in own_name.split("_")),
                               operands, named)
        cls.rule = staticmethod(rule) if rule is not None else None
        cls.elementwise, cls.casts = elementwise, casts
        if not own_name.startswith("_"):
            for public_name in (own_name, *aliases):
                enter(module, public_name, _public(cls, own_name))
        return recipe

    return decorate


def _operation_class(recipe: Recipe, module: str, class_name: str, more: Sequence[str],
                     named: Sequence[str]) -> type[Operation]:
    parameters = list(inspect.signature(recipe).parameters.values())
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY and p.name not in named]
    operands = Operands(positional=(*positional, *more), named=tuple(named),
                        defaults={p.name: p.default for p in parameters if p.default is not p.empty},
                        variadic=any(p.kind is p.VAR_POSITIONAL for p in parameters),
                        free=any(p.kind is p.VAR_KEYWORD for p in parameters))
    body: dict[str, Any] = {}
    annotations: dict[str, Any] = {}
    for p in parameters:
        if p.name in operands.names or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        hides = hasattr(Operation, p.name) and p.name not in Operation._fields
        attribute = f"given_{p.name}" if hides else p.name  # a property of layers has that name
        annotations[attribute] = Any if p.annotation is p.empty else p.annotation
        default = {} if p.default is p.empty else {"default": p.default}
        if hides:
            body[attribute] = argument(alias=p.name, **default)
        elif default:
            body[attribute] = p.default
    body |= {"__annotations__": annotations, "__doc__": recipe.__doc__, "__module__": recipe.__module__,
             "recipe": staticmethod(recipe), "operands": operands, "parameters": tuple(parameters),
             "keras_module": module if "." in module else f"keras.src.ops.{module}",
             "call_arguments": operands.names, "shape_arguments": operands.names}
    return cast("type[Operation]", type(class_name, (Operation,), body))


def _public(cls: type[Operation], name: str) -> Callable[..., Any]:
    parameters = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) if p.kind is p.POSITIONAL_ONLY else p
                  for p in cls.parameters]
    signature = inspect.Signature(parameters)
    operands = cls.operands

    def public(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        rest = next((given.pop(p.name) for p in parameters if p.kind is p.VAR_POSITIONAL), ())
        free: dict[str, Any] = next((given.pop(p.name) for p in parameters if p.kind is p.VAR_KEYWORD), {})
        positional = [given.pop(operand) for operand in operands.positional]
        named = {operand: given.pop(operand) for operand in operands.named}
        return applied(cls, given, (*positional, *rest), named | free)

    public.__name__ = public.__qualname__ = name
    public.__doc__, public.__module__ = cls.__doc__, "kerashape_torch.ops"
    public.__signature__ = signature  # type: ignore[attr-defined]
    public.operands = operands.names  # type: ignore[attr-defined]
    return public


def applied(cls: type[Operation], given: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The op on symbolic tensors as a call of the graph, on real ones as a result. Here, and only here, they part."""
    if any(isinstance(x, SymbolicTensor) for x in flatten((tuple(args), dict(kwargs)))):
        return cls(**given)(*args, **kwargs)
    operation = object.__new__(cls)  # no layer of a graph, only the arguments: torch before 2.13 compiles no more
    Record._take_arguments(operation, (), dict(given))
    return operation.run(args, kwargs)


def load_families() -> None:
    """Enters all ops in the catalog, at the first call."""
    importlib.import_module("kerashape_torch.ops.families")


@functools.cache
def _is_file(where: str, name: str) -> bool:
    return hasattr(sys.modules[where], "__path__") and importlib.util.find_spec(f"{where}.{name}") is not None


def namespace(family: str | None = None) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` for a module that shows the functions of a family, or of ``keras.ops`` itself."""
    where = "kerashape_torch.ops" + (f".{family}" if family else "")

    def all_functions() -> Mapping[str, Callable[..., Any]]:
        load_families()
        return PUBLIC if family is None else NAMESPACES[family]

    def get(name: str) -> Callable[..., Any]:
        if name.startswith("_") or _is_file(where, name):  # Python asks for both before it imports
            raise AttributeError(f"{where} has no {name!r}")
        functions = all_functions()
        if name not in functions:
            why = f"{where} leaves out {name!r}: {LEFT_OUT[name]}" if name in LEFT_OUT else (
                f"{where} has no {name!r}.{did_you_mean(name, functions)}")
            raise AttributeError(why)
        return functions[name]

    return get, lambda: sorted(all_functions())


# ---- what recipes are written with -----------------------------------------------------------------------------------


def stock(name: str, **arguments: Any) -> TorchFunction:
    """A function of torch by its dotted name, with arguments."""
    import torch

    function: TorchFunction = functools.reduce(getattr, name.split("."), torch)  # type: ignore[assignment]
    return partial(function, **arguments) if arguments else function


def own(name: str, **arguments: Any) -> TorchFunction:
    """A function that torch lacks, from ``torch_modules``: ``own("images.resize")`` is in ``functions_images``."""
    module, _, function = name.rpartition(".")
    name = f"kerashape_torch.torch_modules.functions{module and f'_{module}'}"
    where = sys.modules.get(name) or importlib.import_module(name)  # torch compiles no import
    return partial(getattr(where, function), **arguments)


def torch_dtype(name: str) -> Any:
    """A dtype of torch by its name."""
    return stock(name)


def as_tuple(value: Any) -> Any:
    """Lists, which is what JSON makes of tuples, as tuples again, however deep."""
    return tuple(map(as_tuple, value)) if isinstance(value, (list, tuple)) else value


def refuse(name: str, why: str) -> KerashapeError:
    return KerashapeError(f"ops.{name}: {why}")
