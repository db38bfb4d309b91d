"""Arguments that may be given as a name, a config, a class, or an object: what Keras calls an identifier.

Activations, initializers, regularizers and constraints are all given this way. :class:`Identifiers` says once how such
an argument is checked and written; :class:`FamilyIdentifiers` looks names up in the catalog of a family of records.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kerashape_torch import config
from kerashape_torch.errors import ConfigError, UnsafeConfigError, did_you_mean
from kerashape_torch.kinds import Kind


class Identifiers(Kind):
    """How an identifier is read and written; a subclass says what :meth:`get` and :meth:`names` know."""

    module = "keras"

    def __init__(self) -> None:
        self._sound: set[str] = set()  # names of this package that were read before

    def names(self) -> Iterable[str]:
        """Every name of this sort that needs no ``custom_objects``."""
        return ()

    def get(self, identifier: Any) -> Any:
        """The object that a name, config, class or object stands for.

        Raises:
            ConfigError: nothing is known under this name; the nearest known name is given.
        """
        raise NotImplementedError

    def serialize(self, obj: Any) -> Any:
        """The Keras 3 config of an object; a function that is not of this package is named, as Keras names it."""
        if obj is None:
            return None
        return config.serialize(obj) if hasattr(obj, "get_config") else config.function_config(obj)

    def deserialize(self, config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The object that :meth:`serialize` wrote; ``custom_objects`` are names of your own classes and functions."""
        if config is None:
            return None
        with scope(custom_objects):
            return self.get(config)

    def read(self, value: Any, where: str) -> Any:
        """Keeps a known name as it was written, so that a config says what the user said."""
        if value is None or (type(value) is str and value in self._sound):
            return value
        try:
            found = self.get(value)
        except ConfigError as error:
            raise type(error)(f"{where}: {error}").needing(error.supply) from None
        if not isinstance(value, str) or value not in self.names():
            return found  # a custom name is resolved now: the scope that knows it may be over when it is written
        self._sound.add(value)
        return value

    def held(self, value: Any, record: Any) -> Any:
        return self.get(value)

    def write(self, value: Any, record: Any) -> Any:
        return self.serialize(self.get(value))

    def unknown(self, name: str) -> ConfigError:
        return ConfigError(
            f"{name!r} is not one of {self.module}.{did_you_mean(name, self.names())}").needing(name)


class FamilyIdentifiers(Identifiers):
    """Identifiers of one family of records, which it registers under the Keras module of that family."""

    def __init__(self, family: type[config.Record]) -> None:
        super().__init__()
        self.family = family
        self.module = family.keras_module
        config.register_family(self.module, family)

    def names(self) -> Iterable[str]:
        return self.family.catalog()

    def get(self, identifier: Any) -> Any:
        if identifier is None or isinstance(identifier, self.family):
            return identifier
        found = self._look_up(identifier)
        if inspect.isclass(found):
            found = found()
        if not isinstance(found, self.family) and (not callable(found) or isinstance(found, config.Record)):
            raise ConfigError(f"{found!r} is not one of {self.module}")
        return found

    def _look_up(self, identifier: Any) -> Any:
        if isinstance(identifier, Mapping):
            # The argument says which family is meant: a config without a module, or with another one, is not searched
            # for anywhere else.
            identifier = config.deserialize(checked_config({**identifier, "module": self.module}))
        if not isinstance(identifier, str):
            return identifier
        found = self.family.catalog().get(identifier) or config.custom_object(identifier)
        if found is None:
            raise self.unknown(identifier)
        return found


class FamilyOrFunction(FamilyIdentifiers):
    """Identifiers of a family that a plain function may stand for as well, as a loss or a metric.

    Args:
        functions: by their names.
    """

    def __init__(self, family: type[config.Record], functions: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(family)
        self.functions = functions

    def _function(self, name: str) -> Any:
        """What a name stands for where a function is meant."""
        return self.functions[name] if name in self.functions else super()._look_up(name)

    def _named(self, name: str) -> Any:
        """What a name stands for where nothing else is said."""
        return self._function(name)

    def _look_up(self, identifier: Any) -> Any:
        if isinstance(identifier, Mapping) and checked_config(identifier)["class_name"] == "function":
            name = identifier["config"]
            return self._function(name) if isinstance(name, str) else super()._look_up(name)
        return self._named(identifier) if isinstance(identifier, str) else super()._look_up(identifier)

    def serialize(self, obj: Any) -> Any:
        return config.function_config(obj) if obj in self.functions.values() else super().serialize(obj)


def checked_config(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same config, if it has the two keys that every Keras config of an object has."""
    if "class_name" not in value or "config" not in value:
        if list(value) == ["value"]:  # what Keras writes of a lambda
            raise UnsafeConfigError("the config holds the bytecode of a Python lambda, which is never run. Way out: in "
                                    "Keras, put a function with a name in its place, registered with "
                                    "@keras.saving.register_keras_serializable, and save again")
        raise ConfigError(f"a config needs the keys 'class_name' and 'config', got {dict(value)!r}")
    return value


# ``deserialize`` has an argument named ``config``, as in Keras, which hides the module of that name.
scope = config.custom_object_scope
