"""What a torch module keeps, as the weights of rows."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from kerashape_torch.shape_table import Connection, Row, Weight


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """What the module keeps, by name, but for the counter of batch normalization, which no number depends on."""
    return {name: x for name, x in module.state_dict(keep_vars=True).items()
            if isinstance(x, Tensor) and not name.endswith("num_batches_tracked")}


def described(weights: dict[str, Tensor]) -> list[Weight]:
    """Tensors as weights of a row."""
    return [Weight(name, tuple(x.shape), x.requires_grad, str(x.dtype).removeprefix("torch."))
            for name, x in weights.items()]


def each_once(module: nn.Module) -> list[Weight]:
    """The weights of a module, of which one that goes by two names counts once."""
    weights = weights_of(module)
    names = {id(x): name for name, x in reversed(weights.items())}
    return described({name: x for name, x in weights.items() if names[id(x)] == name})


def row(name: str, part: Any, shapes: tuple[Any, Any], weights: dict[str, Tensor],
        connected_to: tuple[Connection, ...] = ()) -> Row:
    """The row of a part, which is a module or a function."""
    class_name = type_before_parametrizations(part).__name__ if isinstance(part, nn.Module) else part.__name__
    found = described(weights)
    return Row(name, class_name, *shapes, found, sum(w.size for w in found), connected_to=connected_to)
