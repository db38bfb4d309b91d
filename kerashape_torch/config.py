"""Records: named arguments that go to a Keras config and come back.

Layers, initializers, regularizers and constraints are all records: a class whose bare, annotated fields are its
arguments. The base class gives it ``__init__``, ``get_config``, ``from_config``, a ``repr`` of what was asked for, and
a place in the catalog of its family. Class names in a config are looked up in these catalogs, and in what the caller
passes as ``custom_objects``; nowhere else.
"""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, NoReturn, TypeVar, get_args, get_origin

from kerashape_torch import sharing
from kerashape_torch.dtype_policies import POLICIES, policy_name
from kerashape_torch.errors import ConfigError, UnknownLayerError, UnsafeConfigError, did_you_mean
from kerashape_torch.kinds import Kind, Plain
from kerashape_torch.settings import backend as backend  # these are keras.config
from kerashape_torch.settings import dtype_policy as dtype_policy
from kerashape_torch.settings import epsilon as epsilon
from kerashape_torch.settings import floatx as floatx
from kerashape_torch.settings import image_data_format as image_data_format
from kerashape_torch.settings import set_dtype_policy as set_dtype_policy
from kerashape_torch.settings import set_epsilon as set_epsilon
from kerashape_torch.settings import set_floatx as set_floatx
from kerashape_torch.settings import set_image_data_format as set_image_data_format
from kerashape_torch.structure import SCALARS

if TYPE_CHECKING:
    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Callable[[Any], Any]:  # typing has it from Python 3.11 on
        return lambda cls: cls


REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "required"})()




class Field(NamedTuple):
    name: str
    attribute: str
    kind: Kind | None
    default: Any
    keyword_only: bool


class _Aliased(NamedTuple):
    name: str
    default: Any


def argument(*, alias: str, default: Any = REQUIRED) -> Any:
    """A field for an argument that has the name of a property, as a layer's ``output_shape=`` is not its
    ``output_shape``: the argument is called ``alias``, and what was given is in the attribute."""
    return _Aliased(alias, default)


def _annotations(cls: type) -> Mapping[str, Any]:
    """A class's own annotations as objects; as text where a file has 'from __future__ import annotations' and a name in
    them is not there at run time."""
    try:
        return inspect.get_annotations(cls, eval_str=True)
    except NameError:
        return inspect.get_annotations(cls)


def _fields_of(cls: type[Record], keyword_only: bool) -> Iterator[Field]:
    inherited = cls._fields
    for name, annotation in _annotations(cls).items():
        if name.startswith("_") or "ClassVar" in str(annotation):
            continue
        attribute, default = name, cls.__dict__.get(name, REQUIRED)
        if isinstance(default, _Aliased):
            name, default = default
        elif name in inherited:
            attribute = inherited[name].attribute
        kind: Kind | None = None
        if get_origin(annotation) is Annotated:
            kind = next((extra for extra in get_args(annotation)[1:] if isinstance(extra, Kind)), None)
        elif annotation in (int, float, bool, str):
            kind = Plain(annotation)
        yield Field(name, attribute, kind, default, keyword_only)


_R = TypeVar("_R", bound="Record")


@dataclass_transform(eq_default=False, field_specifiers=(argument,))
class Record:
    """Arguments as fields. Subclass it, write the fields, and ``Sub(...)`` takes them by position or by name.

    Class keywords: ``aliases`` are other names of the same class; ``catalog=False`` keeps an abstract base out of the
    catalog. Only this package's classes enter it: a user's class is found through ``custom_objects``. The fields of a
    class with ``kw_only=True`` are taken by name alone.

    >>> class Point(Record, catalog=False):
    ...     x: int
    ...     y: int = 0
    >>> Point(3), Point(3, y=4).get_config()
    (Point(x=3), {'x': 3, 'y': 4})
    """

    _fields: ClassVar[dict[str, Field]] = {}
    _positional: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]] = {}
    _checked: ClassVar[dict[str, Kind]] = {}
    _required: ClassVar[tuple[str, ...]] = ()
    _own_first: ClassVar[tuple[Field, ...]] = ()
    _written_as: ClassVar[dict[str, str]] = {}
    _family: ClassVar[dict[str, type[Any]]]
    keras_module: ClassVar[str] = "kerashape_torch"
    unwritten: ClassVar[tuple[str, ...]] = ()
    """Arguments that Keras leaves out of a config always."""
    written_only_if_given: ClassVar[tuple[str, ...]] = ()
    """Arguments that Keras leaves out of a config, or of some; here they are written where they are not the default."""

    def __init_subclass__(cls, *, aliases: tuple[str, ...] = (), catalog: bool = True, family: bool = False,
                          kw_only: bool = False) -> None:
        super().__init_subclass__()
        cls._own_fields = tuple(_fields_of(cls, kw_only))
        fields: dict[str, Field] = {}
        for base in cls.__mro__:  # a class's own arguments come before those that it inherits
            for field in base.__dict__.get("_own_fields", ()):
                fields.setdefault(field.name, field)
        for name, field in fields.items():  # a base's field with a new default, written without annotation
            own = cls.__dict__.get(name, field)
            if own is field or isinstance(own, property):
                continue
            if field not in cls._own_fields:
                fields[name] = field._replace(default=own)
            if field.attribute != name:
                delattr(cls, name)  # it hides the property
                setattr(cls, field.attribute, own)
        for field in cls._own_fields:
            if isinstance(cls.__dict__.get(field.attribute), _Aliased):
                setattr(cls, field.attribute, field.default)
        cls._fields = fields
        cls._positional = tuple(f.name for f in fields.values() if not f.keyword_only)
        cls._defaults = {f.attribute: f.default for f in fields.values()
                         if f.default is not REQUIRED and not cls._says_itself(f)}
        cls._checked = {f.name: f.kind for f in fields.values() if f.kind and type(f.kind).check is not Kind.check}
        cls._required = tuple(f.name for f in fields.values() if f.default is REQUIRED)
        cls._own_first = tuple(sorted(fields.values(), key=lambda field: field.keyword_only))
        cls._written_as = {}
        if family:
            cls._family = {}
        elif cls.__module__.split(".")[0] != __name__.split(".")[0]:
            cls.keras_module = cls.__module__
        elif catalog:
            cls._enter(cls.__name__, *aliases)

    _own_fields: ClassVar[tuple[Field, ...]] = ()

    @classmethod
    def _says_itself(cls, field: Field) -> bool:
        """Whether the class has the default as its attribute, so that no record need hold it. What is a property or a
        method of the class, or would become one, is held by each."""
        found = next((vars(base)[field.attribute] for base in cls.__mro__ if field.attribute in vars(base)), REQUIRED)
        return found is field.default and not hasattr(found, "__get__")

    @classmethod
    def _enter(cls, *names: str) -> None:
        for name in names:
            if name in cls._family:
                raise ConfigError(f"two classes named {name!r}: {cls._family[name].__module__} and {cls.__module__}")
            cls._family[name] = cls

    @classmethod
    def catalog(cls) -> Mapping[str, type[Any]]:
        """Every class of this family by name; an alias is the same class under another name."""
        return cls._family

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._take_arguments(args, kwargs)

    def _take_arguments(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        cls = type(self)
        if args:
            cls._name_positional(args, kwargs)
        if not kwargs.keys() <= cls._fields.keys():  # before those that miss: a misspelt one explains them
            name = next(name for name in kwargs if name not in cls._fields)
            raise ConfigError(f"{cls.__name__} has no argument {name!r}.{did_you_mean(name, cls._fields)}")
        for name in cls._required:
            if name not in kwargs:
                raise ConfigError(f"{cls.__name__} needs the argument {name!r}")
        own = self.__dict__
        for attribute, default in cls._defaults.items():
            own[attribute] = default  # torch 2.11 does not compile own.update
        for name, value in kwargs.items():
            _, attribute, kind, default, _ = cls._fields[name]
            if kind is not None and value is not default:
                value = kwargs[name] = kind.read(value, cls._written_as.get(name) or cls._as_written(name))
            own[attribute] = value
        for name, kind in cls._checked.items():
            if name in kwargs:
                kind.check(kwargs[name], self, cls._as_written(name))
        self.__post_init__()

    @classmethod
    def _name_positional(cls, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        if len(args) > len(cls._positional):
            raise ConfigError(f"{cls.__name__} takes at most {len(cls._positional)} positional arguments, "
                              f"got {len(args)}: {', '.join(map(repr, args))}")
        for name, value in zip(cls._positional, args):
            if name in kwargs:
                raise ConfigError(f"{cls.__name__}({name}=...) is given twice, by position and by name")
            kwargs[name] = value

    @classmethod
    def _as_written(cls, name: str) -> str:
        """``Dense(units=...)``: how errors speak of an argument. Kept: a config has as many arguments as lines."""
        return cls._written_as.setdefault(name, f"{cls.__name__}({name}=...)")

    def __post_init__(self) -> None:
        """Checks of arguments against one another; raise ConfigError, so that the line that fails is the user's."""

    def get_config(self) -> dict[str, Any]:
        """The arguments as Keras 3 writes them; ``from_config`` makes the same record again."""
        return {name: self._written(field) for name, field in self._fields.items() if self._is_written(field)}

    def _is_written(self, field: Field) -> bool:
        if field.name in self.unwritten:
            return False
        return field.name not in self.written_only_if_given or not self._means_default(
            field, getattr(self, field.attribute))

    def _written(self, field: Field) -> Any:
        value = self.__dict__.get(field.attribute, field.default)
        return to_config(value if field.kind is None else field.kind.write(value, self))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls._of({name: value if type(value) in SCALARS else from_config_value(value)
                        for name, value in config.items()})

    @classmethod
    def _of(cls, arguments: dict[str, Any]) -> Self:
        """``cls(**arguments)``; where no ``__init__`` of its own wants them, they are not copied on the way."""
        if cls.__init__ is not Record.__init__:
            return cls(**arguments)
        made = cls.__new__(cls)
        made._take_arguments((), arguments)
        return made

    def copy(self, **changes: Any) -> Self:
        """A shallow copy with some arguments changed."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.__dict__.update((self._fields[name].attribute if name in self._fields else name, value)
                             for name, value in changes.items())
        return twin

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._arguments()})"

    def given(self) -> dict[str, Any]:
        """What was asked for, a class's own arguments first; arguments that mean the default are left out."""
        own, found = self.__dict__, {}
        for field in self._own_first:
            value = own.get(field.attribute, field.default)
            if value is not field.default and not self._means_default(field, value):
                found[field.name] = value
        return found

    def _arguments(self, but: tuple[str, ...] = ()) -> str:
        """What was asked for, as it would be typed."""
        return ", ".join(f"{name}={value!r}" for name, value in self.given().items() if name not in but)

    def _means_default(self, field: Field, value: Any) -> bool:
        if value is field.default:
            return True
        if field.default is REQUIRED:
            return False
        if type(value) in SCALARS and value == field.default:
            return True
        if field.kind is None:
            return isinstance(value, (int, float, str, tuple)) and value == field.default
        try:
            return bool(to_config(field.kind.write(value, self)) == to_config(field.kind.write(field.default, self)))
        except ConfigError:  # what cannot be written, such as an object of the user's own, may run all the same
            return False


# ---- objects to configs and back -------------------------------------------------------------------------------------

_custom_objects: contextvars.ContextVar[Mapping[str, Any]] = contextvars.ContextVar(
    "custom_objects", default=types.MappingProxyType({}))
_registered: dict[str, Any] = {}
_FAMILIES: dict[str, type[Record]] = {}


@contextlib.contextmanager
def custom_object_scope(objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Names that configs read inside the ``with`` may use, besides the catalog."""
    token = _custom_objects.set({**_custom_objects.get(), **(objects or {})})
    try:
        yield
    finally:
        _custom_objects.reset(token)


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """Registers a class or function as ``package>name``, as Keras does, so that files that name it can be read.

    >>> @register_keras_serializable("mine")
    ... def double(x):
    ...     return 2 * x
    >>> get_registered_name(double), get_registered_object("mine>double") is double
    ('mine>double', True)
    """

    def register(obj: Any) -> Any:
        obj.registered_name = f"{package}>{name or obj.__name__}"
        _registered[obj.registered_name] = obj
        return obj

    return register


def get_custom_objects() -> dict[str, Any]:
    """Everything registered, by name; what is put in here is found when configs are read."""
    return _registered


def get_registered_name(obj: Any) -> str:
    """``package>name`` of a registered class or function, the plain name of any other."""
    return str(vars(obj).get("registered_name", obj.__name__))


def get_registered_object(name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The class or function of a name, from ``custom_objects`` or registered, or None."""
    with custom_object_scope(custom_objects):
        return custom_object(name)


def custom_object(*names: str | None) -> Any:
    """What the caller passed or registered under one of these names, or None."""
    passed = _custom_objects.get()
    if not passed and not _registered:
        return None
    for name in names:
        if name:
            found = passed.get(name, _registered.get(name))
            if found is None and ">" in name:
                found = passed.get(name.split(">")[-1])
            if found is not None:
                return found
    return None


def register_family(module: str, base: type[Record]) -> None:
    """Configs whose ``module`` begins with this name are looked up in this base's catalog."""
    _FAMILIES[module] = base


def serialize(obj: Any) -> dict[str, Any]:
    """``{"module", "class_name", "config", "registered_name"}`` as Keras 3 writes any object that has a config."""
    cls = type(obj)
    module = getattr(cls, "keras_module", cls.__module__)
    registered = get_registered_name(cls) if module == cls.__module__ else None  # Keras has a name for users' classes
    return {"module": None if module == "__main__" else module,
            "class_name": getattr(obj, "keras_class_name", cls.__name__),
            "config": obj.get_config(), "registered_name": registered, **sharing.number(obj)}


def function_config(function: Any) -> dict[str, Any]:
    """A user's function as Keras 3 writes it: by its registered name, or its own.

    >>> def double(x): return 2 * x
    >>> function_config(double)["config"]
    'double'
    """
    name = getattr(function, "registered_name", None) or getattr(function, "__name__", None)
    if name is None:
        raise ConfigError(f"{function!r} has neither get_config() nor a name, so it cannot be written in a config")
    return {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}


def to_config(value: Any) -> Any:
    """Any argument as a value that JSON can hold; tuples stay tuples."""
    if type(value) in SCALARS or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return type(value)([to_config(item) for item in value])
    if isinstance(value, (dict, Mapping)):
        return {key: to_config(item) for key, item in value.items()}
    if hasattr(value, "get_config"):
        return serialize(value)
    if hasattr(value, "tolist"):  # a NumPy array or scalar
        return value.tolist()
    if callable(value):
        return function_config(value)
    raise ConfigError(f"{value!r} cannot be written in a config")


def from_config_value(value: Any) -> Any:
    """What :func:`to_config` wrote, as an object again. Only catalogs and ``custom_objects`` are searched."""
    if type(value) in SCALARS:
        return value
    if isinstance(value, list):
        return [from_config_value(item) for item in value]
    if not isinstance(value, (dict, Mapping)):
        return value
    if "class_name" in value and "config" in value:
        return deserialize(value)
    return {key: from_config_value(item) for key, item in value.items()}


def deserialize(config: Mapping[str, Any]) -> Any:
    """An object from ``{"module", "class_name", "config", ...}``.

    Raises:
        UnknownLayerError: the name is in no catalog and not in ``custom_objects``; the nearest known name is given.
        UnsafeConfigError: the config holds code.
    """
    if not sharing.is_one_of_each():
        with sharing.one_of_each():
            return deserialize(config)
    if sharing.KEY not in config:
        return _deserialized(config)
    made = sharing.known(config)
    return sharing.remember(config, _deserialized(config)) if made is None else made


def _deserialized(config: Mapping[str, Any]) -> Any:
    name, inner = config["class_name"], config["config"]
    if not isinstance(name, str):
        raise ConfigError(f"class_name must be a string, got {name!r}")
    special = _SPECIAL.get(name)
    custom = custom_object(config.get("registered_name"), name)
    if special is not None and (custom is None or name not in _FOREIGN):
        return special(inner)
    if custom is not None:
        return _made_by(custom, inner) if hasattr(custom, "from_config") else custom
    found = _family_of(config).catalog().get(name)
    if found is None:
        family = _family_of(config)
        raise UnknownLayerError(f"{name!r} is not one of {family.keras_module}.{did_you_mean(name, family.catalog())} "
                                f"If it is your own, pass custom_objects={{{name!r}: YourClass}}").needing(name)
    if not isinstance(inner, (dict, Mapping)):
        raise ConfigError(f"{name}: its config must be a dict, got {inner!r}")
    return found.from_config(inner)


def _made_by(custom: Any, config: Any) -> Any:
    try:
        return custom.from_config(dict(config))
    except TypeError as error:
        raise ConfigError(f"{custom.__name__} does not take what its config has: {error}; its __init__ needs all of "
                          f"{', '.join(config)}, with **kwargs for super().__init__(**kwargs)") from error


def _family_of(config: Mapping[str, Any]) -> type[Record]:
    module = config.get("module")
    if module in _FAMILIES:
        return _FAMILIES[module]
    if isinstance(module, str):
        for prefix, family in _FAMILIES.items():
            if module.startswith((prefix, prefix.replace("keras.", "keras.src."))):
                return family
    families = list(_FAMILIES.values())
    default = _FAMILIES.get("keras.layers", families[-1])
    return next((family for family in families if config["class_name"] in family.catalog()), default)


def _function(inner: Any) -> Any:
    found = custom_object(inner)
    if found is not None:
        return found
    return inner  # a name: the argument that holds it knows its own table


def _numpy(inner: Any) -> Any:
    if not isinstance(inner, Mapping) or "value" not in inner:
        raise ConfigError(f"an array in a config is {{'value': ..., 'dtype': ...}}, got {inner!r}")
    return inner["value"]


def _refuse_lambda(inner: Any) -> Any:
    raise UnsafeConfigError("the config holds the bytecode of a Python lambda, which is never run. "
                            "Pass the function yourself: custom_objects={'<layer name>': your_function}")


def _refuser(why: str) -> Callable[[Any], Any]:
    def refuse(inner: Any) -> Any:
        raise UnsafeConfigError(why)

    return refuse


_FOREIGN = {
    "JaxLayer": "runs a function of JAX, which torch cannot run. Write it with torch, and pass it to a Lambda",
    "FlaxLayer": "runs a module of Flax, which torch cannot run. Rebuild that part from layers, and set its weights",
    "TFSMLayer": "runs the TensorFlow graph of a SavedModel, and neither TensorFlow nor code from a file is run. "
                 "Load that model in Keras and save it as .keras, or rebuild that part from layers",
    "TorchModuleWrapper": "hides its shapes, and in a file it is a pickle, which is never loaded. Make it a layer: a "
                          "subclass of Layer that states compute_output_shape and gives the module in module(); for a "
                          "file, pass that class in custom_objects",
}
"""Layers that hold what is not Keras': why they are refused, and the way out."""


def refuse_foreign(name: str) -> NoReturn:
    """Says why a layer of another framework is refused.

    Raises:
        UnsafeConfigError: always.
    """
    raise UnsafeConfigError(f"{name} {_FOREIGN[name]}")


_SPECIAL: dict[str, Callable[[Any], Any]] = {
    **{name: _refuser(f"{name} {why}") for name, why in _FOREIGN.items()},
    "__typespec__": _refuser("a TensorFlow type in the config names a class to import, which is never done"),
    **dict.fromkeys(POLICIES, policy_name),
    **dict.fromkeys(("Int8QuantizationConfig", "Int4QuantizationConfig", "Float8QuantizationConfig", "GPTQConfig",
                     "AWQConfig"), lambda inner: None),  # how Keras came to integers changes nothing of what they mean
    "function": _function,
    "__numpy__": _numpy,
    "__tensor__": _numpy,
    "__tuple__": tuple,
    "__lambda__": _refuse_lambda,
}
