"""Keras' ``utils`` for code that defines and draws models."""

from typing import TYPE_CHECKING, Any

from kerashape_torch.config import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)

if TYPE_CHECKING:
    from kerashape_torch.reports.plot import model_to_svg, plot_model


def __getattr__(name: str) -> Any:
    if name in ("model_to_svg", "plot_model"):  # drawing is loaded when something is drawn
        from kerashape_torch.reports import plot

        return getattr(plot, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


CustomObjectScope = custom_object_scope
__all__ = ["CustomObjectScope", "custom_object_scope", "get_custom_objects", "get_registered_name",
           "get_registered_object", "model_to_svg", "plot_model", "register_keras_serializable"]
