"""What does nothing in inference is left out, and what stands around modules is taken off."""

from __future__ import annotations

from typing import Any

from torch import fx, nn

from kerashape_torch.lowering.inference.edit import Editor, dims_of
from kerashape_torch.lowering.module_table import shape_of
from kerashape_torch.torch_modules import set_at
from kerashape_torch.torch_modules.fused_recurrent import fused
from kerashape_torch.torch_modules.mixed import MixedPrecision, cast_weights
from kerashape_torch.torch_modules.regularization import (
    GaussianDropout,
    GaussianNoise,
    SharedAlphaDropout,
    SharedDropout,
)

_DOES_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
                 nn.FeatureAlphaDropout, GaussianNoise, GaussianDropout, SharedDropout, SharedAlphaDropout)


def without_training(editor: Editor) -> None:
    """Dropouts and noise go; one that a Keras call told to work in inference too stays."""
    for node, part in editor.calls():
        if type(part) in _DOES_NOTHING and isinstance(node.args[0], fx.Node):
            editor.bypass(node, node.args[0])


def sequences_apart(editor: Editor) -> None:
    """The modules of an ``nn.Sequential``, as a separable convolution is one, become calls of their own."""
    for node, part in editor.calls():
        if type(part) is not nn.Sequential or not len(part) or node.kwargs or part is not _called(editor, node):
            continue
        value = node.args[0]
        with editor.graph.inserting_before(node):
            for name, _ in part.named_children():
                value = editor.graph.call_module(f"{node.target}.{name}", (value,))
                assert isinstance(value, fx.Node)
        assert isinstance(value, fx.Node)
        value.meta.update(node.meta)
        editor.bypass(node, value)


def _called(editor: Editor, node: fx.Node) -> nn.Module:
    return editor.module.get_submodule(str(node.target))


def without_mixed_precision(root: nn.Module) -> None:
    """Weights that are cast whenever they are read are cast once."""
    for path, part in list(root.named_modules()):
        if isinstance(part, MixedPrecision) and not part.training:
            cast_weights(part)
            set_at(root, path, part.module)


def without_recurrent_modules(root: nn.Module) -> None:
    """torch's recurrent kernels are called directly."""
    made: dict[int, nn.Module | None] = {}
    for path, part in list(root.named_modules(remove_duplicate=False)):
        if not part.training and not part._forward_hooks and not part._forward_pre_hooks:
            if id(part) not in made:
                made[id(part)] = fused(part)
            instead = made[id(part)]
            if instead is not None:
                set_at(root, path, instead)


def without_detours(editor: Editor) -> None:
    """Axes that are permuted twice in a row are permuted once, or not at all."""
    for node in list(editor.graph.nodes):
        dims = dims_of(node)
        source: Any = node.args[0] if dims is not None else None
        before = dims_of(source)
        if dims is not None and before is not None:
            dims = tuple(before[axis] for axis in dims)
            node.meta["keras_shape"] = shape_of(node)  # of which the tensor in between may have known
            node.args = (source.args[0], dims)
        if dims is not None and dims == tuple(range(len(dims))):
            editor.bypass(node, node.args[0])
