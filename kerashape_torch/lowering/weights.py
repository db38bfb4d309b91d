"""Keras' weights and torch's: made, set and read in Keras' order and layout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from kerashape_torch import constraints, initializers, regularizers
from kerashape_torch.errors import KerashapeError, WeightsError
from kerashape_torch.layer import Layer
from kerashape_torch.lowering.lower import Binding
from kerashape_torch.shape import to_text
from kerashape_torch.torch_modules import set_at
from kerashape_torch.torch_modules.places import from_place, joined, keras_value, tensor_at, to_place
from kerashape_torch.weight_paths import Layout
from kerashape_torch.weights import WeightSpec

_M = TypeVar("_M", bound=nn.Module)


class KerasWeights:
    """The weights of a compiled module in Keras' order; kept in ``module.meta["keras"]``."""

    def __init__(self, bindings: Sequence[Binding]) -> None:
        self.specs = [binding.spec for binding in bindings]
        self.layout = Layout([], [])  # where a file keeps them, for :mod:`kerashape_torch.saving`
        self.restored: set[int] = set()  # ids of the specs whose numbers came from a file
        self.order = "keras"  # of the axes that the module takes and gives: or "torch"


class FoldedWeights:
    """Stands where the list of Keras weights was in a module whose weights are folded into each other."""


def keras_weights(module: nn.Module) -> KerasWeights:
    """The list of a compiled module's Keras weights.

    Raises:
        KerashapeError: the module was not made by ``to_torch``, or is optimized for inference.
    """
    found = getattr(module, "meta", {}).get("keras")
    refuse_folded(module)
    if not isinstance(found, KerasWeights):
        hint = " It is lazy: call it once first." if hasattr(module, "initialize_parameters") else ""
        raise KerashapeError(f"this {type(module).__name__} knows no Keras weights: it is not what to_torch() gave."
                             f"{hint}")
    return found


def refuse_folded(module: nn.Module) -> None:
    """
    Raises:
        KerashapeError: the module is optimized for inference, and so its weights are nobody's but its own.
    """
    if isinstance(getattr(module, "meta", {}).get("keras"), FoldedWeights):
        raise KerashapeError("this module is optimized for inference: Keras' weights are folded into each other. Set, "
                             "load, save or train those of what to_torch() gives, then pass it to "
                             "optimize_for_inference")


# ---- one weight ------------------------------------------------------------------------------------------------------


def assign(module: nn.Module, spec: WeightSpec, value: Tensor) -> None:
    """Copies a weight in Keras' layout to where it lives."""
    with torch.no_grad():
        for place in spec.places:
            target = tensor_at(module, place.path)
            value = value.to(target.device)  # first: axes are permuted faster there
            placed = to_place(value, place, len(spec.places)).to(target.dtype).reshape(target.shape)
            _copy(placed, target)


def _copy(value: Tensor, target: Tensor) -> None:
    """In the order in which the target lies in memory, and as a matrix: those torch transposes fast."""
    order = sorted(range(target.dim()), key=target.stride, reverse=True)
    value, target = value.permute(order), target.permute(order)
    if len(order) > 2 and target.is_contiguous():
        value, target = value.flatten(1), target.flatten(1)
    target.copy_(value)


def fill(module: nn.Module, spec: WeightSpec, saved: Any) -> None:
    """Copies a weight from a file to where it lives: in pieces if it is large, so that it is not in memory twice."""
    view: Tensor | None = None
    for index, block in saved.blocks() if hasattr(saved, "blocks") else ((..., np.asarray(saved)),):
        if index is ...:
            assign(module, spec, torch.as_tensor(block))
            continue
        view = _view(module, spec) if view is None else view
        if view is None:
            assign(module, spec, torch.as_tensor(saved.read()))
            return
        view[index].copy_(torch.as_tensor(block).to(view.device))


def _view(module: nn.Module, spec: WeightSpec) -> Tensor | None:
    """A weight in Keras' layout where it lies, if it lies in one place and einops can give a view of it."""
    if len(spec.places) > 1:
        return None
    target = tensor_at(module, spec.places[0].path).detach()
    view = from_place(target, spec.places[0])
    is_view = view.untyped_storage().data_ptr() == target.untyped_storage().data_ptr() and view.shape == spec.shape
    return view if is_view else None


def fill_all(module: nn.Module, found: Iterable[tuple[WeightSpec, Any]]) -> None:
    """Copies weights from a file, None where there is none. If reading fails, the module refuses to run from then on.

    Raises:
        WeightsError: some weights are the new ones, and some are not.
    """
    kept: dict[str, Any] = module.meta  # type: ignore[assignment]
    pairs, done = list(found), 0
    try:
        for spec, array in pairs:
            if array is not None:
                fill(module, spec, array)
                done += 1
    except Exception as error:
        if "unfinished" not in kept:
            kept["unfinished"] = module.register_forward_pre_hook(_refuse_unfinished)
        raise WeightsError(f"{error}. {done} of {len(pairs)} weights of the module are those of the file already: load "
                           "all into it again, or make it anew") from error
    if all(array is not None for _, array in pairs):
        _is_whole(kept)


def _is_whole(kept: dict[str, Any]) -> None:
    if "unfinished" in kept:
        kept.pop("unfinished").remove()


def _refuse_unfinished(*_: Any) -> None:
    raise WeightsError("reading weights into this module failed half-way: load all into it again, or make it anew")


def converted(arrays: Sequence[Any], source: Layer, target: Layer) -> list[np.ndarray[Any, Any]]:
    """The weights of a recurrent layer as another layer of the same sort keeps them.

    So Keras 2 loads what CuDNNLSTM saved into LSTM, and CuDNNGRU into GRU, and back.

    >>> from kerashape_torch.layers import LSTM, CuDNNLSTM
    >>> arrays = [np.ones((3, 8)), np.ones((2, 8)), np.ones(16)]
    >>> [array.shape for array in converted(arrays, CuDNNLSTM(2), LSTM(2))]
    [(3, 8), (2, 8), (8,)]
    """
    shape = (None, None, len(arrays[0]))
    held: dict[str, Tensor] = {}
    for spec, array in zip(source.weight_specs(shape), arrays):
        for place in spec.places:
            held[place.path] = to_place(to_tensor(array), place, len(spec.places))
    specs = target.weight_specs(shape)
    if "bias_hh_l0" in held and not any(place.path == "bias_hh_l0" for spec in specs for place in spec.places):
        held["bias_ih_l0"] = held["bias_ih_l0"] + held["bias_hh_l0"]
    elif "bias_ih_l0" in held:
        held.setdefault("bias_hh_l0", torch.zeros_like(held["bias_ih_l0"]))
    return [to_numpy(joined(spec, held)) for spec in specs]


def device_of(module: nn.Module) -> torch.device:
    """Where a module's tensors are; the CPU if it has none."""
    return next((x.device for x in (*module.parameters(), *module.buffers())), torch.device("cpu"))


# ---- all weights -----------------------------------------------------------------------------------------------------


def materialize(module: _M, device: torch.device) -> _M:
    """Gives memory to what was made on the meta device, and puts constants beside it.

    A Keras weight is left as the memory comes, for :func:`restore` or :func:`initialize` to fill; the rest is zero.
    """
    filled = {id(tensor_at(module, place.path)) for spec in keras_weights(module).specs for place in spec.places}

    def on_device(tensor: Tensor) -> Tensor:
        if not tensor.is_meta or device.type == "meta":
            return tensor.to(device)
        made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)
        return made if id(tensor) in filled else made.zero_()

    shared: dict[int, list[str]] = {}
    for path, parameter in module.named_parameters(remove_duplicate=False):
        shared.setdefault(id(parameter), []).append(path)
    module._apply(on_device)  # type: ignore[no-untyped-call]  # torch has no types for it
    for first, *others in shared.values():  # leaving the meta device makes a parameter anew for each module that has it
        for path in others:
            set_at(module, path, tensor_at(module, first))
    for spec in keras_weights(module).specs:
        for place in spec.places:
            target = tensor_at(module, place.path)
            if isinstance(target, nn.Parameter):
                target.requires_grad_(spec.trainable and target.is_floating_point())
    return module


def weight_dtypes(module: nn.Module) -> dict[int, str]:
    """The dtype of each Keras weight, by the id of its spec."""
    return {id(spec): _dtype_name(tensor_at(module, spec.places[0].path)) for spec in keras_weights(module).specs}


def initialize(module: nn.Module, only: Callable[[WeightSpec], bool] | None = None,
               dtypes: Mapping[int, str] | None = None) -> None:
    """Fills the weights by their Keras initializers; ``dtypes`` says what they are drawn in, where it is not their own.
    """
    for spec in keras_weights(module).specs:
        if only is None or only(spec):
            target = tensor_at(module, spec.places[0].path)
            made = initializers.of_weight(spec.initializer)
            dtype = (dtypes or {}).get(id(spec), _dtype_name(target))
            assign(module, spec, made(spec.shape, dtype=dtype, device=target.device))


def restore(module: nn.Module, bindings: Sequence[Binding]) -> set[int]:
    """Fills the weights of layers that came from a file; returns the ids of their specs.

    Raises:
        WeightsError: a layer is used with other shapes than those it was saved with.
    """
    counts: dict[Any, int] = {}
    filled = set()
    for binding in bindings:
        index = counts[binding.layer] = counts.get(binding.layer, -1) + 1
        saved = None if binding.layer.saved_weights is None else binding.layer.saved_weights[index]
        if saved is not None:
            if tuple(saved.shape) != binding.spec.shape:
                raise WeightsError(f"{binding.layer.describe()} came with a {binding.spec.name} of "
                                   f"{to_text(tuple(saved.shape))}, and this input asks for "
                                   f"{to_text(binding.spec.shape)}")
            fill(module, binding.spec, saved)
            filled.add(id(binding.spec))
    return filled


def _dtype_name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def set_keras_weights(module: nn.Module, arrays: Iterable[Any] | Mapping[str, Any]) -> None:
    """Sets every weight from arrays in Keras' order and layout, as ``keras_model.get_weights()`` gives them.

    Args:
        module: what ``to_torch()`` gave.
        arrays: a list in Keras' order, or a dict by path (``"dense/kernel"``). All are checked before any is set.

    Raises:
        WeightsError: a number or a shape does not fit; nothing has been changed.

    >>> import numpy as np
    >>> from kerashape_torch.layers import Dense
    >>> module = Dense(2, input_shape=(3,)).to_torch()
    >>> set_keras_weights(module, [np.ones((3, 2)), np.zeros(2)])
    >>> module(torch.ones(1, 3))
    tensor([[3., 3.]], grad_fn=<AddmmBackward0>)
    """
    known = keras_weights(module)
    given = _in_order(known, arrays)
    values = []
    for i, (spec, array) in enumerate(zip(known.specs, given)):
        value = to_tensor(array)
        if tuple(value.shape) != spec.shape:
            raise WeightsError(f"{known.layout.kept[i].owner}: {spec.full_path} is {to_text(spec.shape)}, "
                               f"got {to_text(tuple(value.shape))}")
        values.append(value)
    for spec, value in zip(known.specs, values):
        assign(module, spec, value)
    _is_whole(module.meta)  # type: ignore[arg-type]


def _in_order(known: KerasWeights, arrays: Iterable[Any] | Mapping[str, Any]) -> list[Any]:
    paths = [spec.full_path for spec in known.specs]
    if isinstance(arrays, Mapping):
        missing = [path for path in paths if path not in arrays]
        extra = [path for path in arrays if path not in paths]
        if missing or extra:
            raise WeightsError(f"missing weights: {', '.join(missing) or 'none'}; "
                               f"not known: {', '.join(extra) or 'none'}")
        return [arrays[path] for path in paths]
    given = list(arrays)
    if len(given) != len(paths):
        listed = ", ".join(f"{spec.full_path} {to_text(spec.shape)}" for spec in known.specs)
        raise WeightsError(f"the module has {len(paths)} Keras weights, got {len(given)} arrays. It has: {listed}")
    return given


def get_keras_weights(module: nn.Module) -> list[np.ndarray[Any, Any]]:
    """Every weight as an array in Keras' order and layout: what ``keras_model.set_weights`` takes."""
    return [to_numpy(keras_value(module, spec)) for spec in keras_weights(module).specs]


def to_tensor(array: Any) -> Tensor:
    """A tensor of anything like an array, of the bfloat16 too that Keras' ``get_weights`` gives NumPy."""
    if isinstance(array, Tensor):
        return array
    array = np.asarray(array)
    return torch.as_tensor(array.astype(np.float32) if array.dtype.name == "bfloat16" else array)


def to_numpy(tensor: Tensor) -> np.ndarray[Any, Any]:
    """An array of its own; bfloat16, which NumPy lacks, becomes float32."""
    tensor = tensor.detach().cpu()
    array: np.ndarray[Any, Any] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy().copy()
    return array


# ---- training --------------------------------------------------------------------------------------------------------


def regularization_loss(module: nn.Module) -> Tensor:
    """The sum of all weight regularizers, to be added to a loss; differentiable. Activity regularizers look at a batch:
    :mod:`kerashape_torch.training` adds them.

    >>> from kerashape_torch.layers import Dense
    >>> module = Dense(2, input_shape=(3,), kernel_initializer="ones", kernel_regularizer="l1").to_torch()
    >>> regularization_loss(module)
    tensor(0.0600, grad_fn=<AddBackward0>)
    """
    known = keras_weights(module).specs
    terms = [regularizers.get(spec.regularizer)(keras_value(module, spec)) for spec in known
             if spec.regularizer is not None and spec.trainable]
    return sum(terms, torch.zeros((), device=device_of(module)))


def constraint_hook(module: nn.Module) -> Callable[..., None]:
    """What makes constraints hold: ``optimizer.register_step_post_hook(constraint_hook(module))``.

    After each step every constrained weight is projected, in Keras' layout, as Keras does in its optimizers.
    """

    def project(*_: Any) -> None:
        with torch.no_grad():
            for spec in keras_weights(module).specs:
                if spec.constraint is not None and spec.trainable:
                    assign(module, spec, constraints.get(spec.constraint)(keras_value(module, spec)))

    return project
