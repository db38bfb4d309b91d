"""Pictures of models: ``plot_model`` and ``model_to_svg``. No Graphviz, no tensors.

A model becomes a diagram (its words), the diagram a picture (its places), the picture a scene (rectangles, texts,
lines), the scene a file.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from kerashape_torch.errors import ConfigError
from kerashape_torch.reports.plot.diagram import Options, diagram
from kerashape_torch.reports.plot.picture import Direction, arrange, scene
from kerashape_torch.reports.plot.scene import Scene, in_notebook, require_pillow, to_image, to_svg


def model_scene(model: Any, options: Options) -> Scene:
    """The drawing of a model as data."""
    Direction.of(options.rankdir)  # refused before any work
    names = options.show_layer_names
    return scene(arrange(diagram(model, options), names, options.rankdir), names)


def model_to_svg(model: Any, show_shapes: bool = False, show_dtype: bool = False, show_layer_names: bool = False,
                 rankdir: str = "TB", expand_nested: bool = False, show_layer_activations: bool = False,
                 show_trainable: bool = False) -> str:
    """The picture of a model as the text of an SVG file; see :func:`plot_model`.

    >>> from kerashape_torch.layers import Dense
    >>> from kerashape_torch.models import Sequential
    >>> "(None, 4)" in model_to_svg(Sequential([Dense(4, input_shape=(3,))]), show_shapes=True)
    True
    """
    return to_svg(model_scene(model, Options(show_shapes, show_dtype, show_layer_names, rankdir, expand_nested,
                                             show_layer_activations, show_trainable)))


def plot_model(model: Any, to_file: Any = "model.png", show_shapes: bool = False, show_dtype: bool = False,
               show_layer_names: bool = False, rankdir: str = "TB", expand_nested: bool = False, dpi: float = 200,
               show_layer_activations: bool = False, show_trainable: bool = False) -> Any:
    """Draws a model to a file: a box for each layer, an arrow for each tensor.

    Args:
        to_file: a ``.png`` (needs Pillow: ``pip install 'kerashape_torch[plot]'``) or an ``.svg`` (needs nothing).
        show_shapes: input and output shapes, and parameter counts.
        rankdir: the way the data flows: ``"TB"`` (top to bottom), ``"LR"``, ``"BT"`` or ``"RL"``.
        expand_nested: draws the layers of a model inside the model, in a frame; else it is one box.
        dpi: pixels per inch of a PNG. A huge picture gets fewer, so that viewers can still open it.

    A long chain is folded into columns. Returns the path; in a notebook, the image.

    Raises:
        ShapeError: the model has no input shape yet.
    """
    path = Path(to_file)
    suffix = path.suffix.lower()
    if not suffix:
        path, suffix = path.with_suffix(".png"), ".png"
    if suffix not in (".png", ".svg"):
        raise ConfigError(f"to_file must end in .png or .svg, got {str(to_file)!r}")
    if not path.parent.is_dir():
        raise ConfigError(f"there is no directory {path.parent}")
    if not dpi > 0:
        raise ConfigError(f"dpi must be positive, got {dpi!r}")
    if suffix == ".png":
        require_pillow()
    drawing = model_scene(model, Options(show_shapes, show_dtype, show_layer_names, rankdir, expand_nested,
                                         show_layer_activations, show_trainable))
    if suffix == ".svg":
        _write(path, to_svg(drawing).encode())
    else:
        _write(path, _png(drawing, dpi))
    return _displayed(path, suffix)


def _png(drawing: Scene, dpi: float) -> bytes:
    from io import BytesIO

    image, buffer = to_image(drawing, dpi), BytesIO()
    image.save(buffer, "PNG", dpi=image.info["dpi"])
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    """Writes beside the file and renames: whoever looks sees the old file or the new one, whole."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).chmod(0o666 & ~_umask())  # mkstemp lets nobody else read it
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _displayed(path: Path, suffix: str) -> Any:
    if not in_notebook():
        return path
    from IPython import display  # loaded already, or this would be no notebook

    return display.SVG(filename=str(path)) if suffix == ".svg" else display.Image(filename=str(path))
