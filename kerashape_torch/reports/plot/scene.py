"""A drawing as data: boxes, texts and paths, and the two small back ends that turn it into SVG text or a PNG image.

Both back ends read the same numbers, so both pictures look the same. Lengths are CSS pixels (1/96 inch), y downwards.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from kerashape_torch.errors import KerashapeError

if TYPE_CHECKING:
    from PIL.Image import Image

Point = tuple[float, float]

SUPERSAMPLING = 3
MOST_PIXELS = 40_000_000
"""A larger PNG is drawn at a lower resolution: viewers refuse images far beyond this."""


class Rect(NamedTuple):
    """A filled rectangle; its upper or lower corners may be round."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str | None = None
    radius: float = 0.0
    round_top: bool = True
    round_bottom: bool = True


class Text(NamedTuple):
    """One line of text that begins at x, with its baseline at y, and is as wide as said."""

    x: float
    y: float
    text: str
    size: float
    color: str
    width: float


class Path(NamedTuple):
    """A line: a start, then steps of one point (straight) or three points (a cubic curve)."""

    start: Point
    steps: tuple[tuple[Point, ...], ...]
    color: str
    width: float

    def points(self) -> list[Point]:
        """The line as a polyline, curves cut into short pieces."""
        points = [self.start]
        for step in self.steps:
            pieces = max(12, int(math.dist(points[-1], step[-1]) / 8))
            points.extend(_cubic(points[-1], step, pieces) if len(step) == 3 else step)
        return points


class Polygon(NamedTuple):
    points: tuple[Point, ...]
    fill: str


Shape = Rect | Text | Path | Polygon


@dataclass
class Group:
    """Shapes that belong together; the title is what a viewer shows when pointing at them."""

    kind: str
    title: str = ""
    shapes: list[Shape] = field(default_factory=list)


@dataclass
class Scene:
    width: float
    height: float
    title: str
    groups: list[Group]
    background: str = "#FFFFFF"

    def shapes(self) -> Iterator[Shape]:
        for group in self.groups:
            yield from group.shapes


def _cubic(start: Point, step: tuple[Point, ...], pieces: int) -> Iterator[Point]:
    for i in range(1, pieces + 1):
        t = i / pieces
        weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3)
        knots = (start, *step)
        yield (sum(w * p[0] for w, p in zip(weights, knots)), sum(w * p[1] for w, p in zip(weights, knots)))


# ---- the width of a text ---------------------------------------------------------------------------------------------

_WIDTHS = {176: "'", 216: " ", 220: ",.:;", 233: "j", 238: "i", 242: "!", 247: "l", 250: "|", 264: "I", 274: "-",
           290: "f", 295: "]", 300: "`", 303: "/\\{}", 307: "[", 313: "t", 315: "()", 330: "r", 339: '"', 459: "s",
           462: "z", 482: "x", 499: "?", 500: "_", 513: "y", 514: "v", 522: "k", 529: "c", 531: "a", 544: "J", 549: "e",
           560: "*", 567: "F", 575: "L", 580: "#$+0123456789<=>^~", 581: "Y", 585: "S", 586: "o", 587: "E", 591: "Z",
           592: "u", 593: "hn", 598: "P", 609: "K", 611: "bp", 612: "T", 615: "dgq", 619: "R", 622: "V", 625: "X",
           627: "B", 639: "A", 654: "&", 682: "U", 699: "C", 709: "D", 710: "G", 718: "N", 730: "H", 733: "Q",
           737: "O", 740: "%", 785: "w", 852: "@", 855: "m", 866: "M", 952: "W"}
_WIDTH_OF = {char: width / 1000 for width, chars in _WIDTHS.items() for char in chars}
"""Advance widths of Aileron, the font that Pillow brings along, so that boxes are sized without Pillow."""


def text_width(text: str, size: float) -> float:
    """How wide a line of text is.

    >>> round(text_width("Dense", 10), 2)
    28.59
    """
    return size * sum(_WIDTH_OF.get(char) or _unlisted(char) for char in text)


def _unlisted(char: str) -> float:
    from unicodedata import east_asian_width

    return 1.0 if east_asian_width(char) in "WF" else 0.65


# ---- SVG -------------------------------------------------------------------------------------------------------------

_FONTS = "Aileron, Helvetica, Arial, 'Liberation Sans', sans-serif"


def to_svg(scene: Scene) -> str:
    """The scene as the text of a standalone SVG file."""
    width, height = _number(scene.width), _number(scene.height)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>',
             f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
             f'viewBox="0 0 {width} {height}" role="img" font-family="{_FONTS}">',
             f"<title>{_text(scene.title)}</title>",
             f'<rect width="{width}" height="{height}" fill="{scene.background}"/>']
    for group in scene.groups:
        title = f"<title>{_text(group.title)}</title>" if group.title else ""
        lines.append(f'<g class="{group.kind}">{title}')
        lines.extend(_svg_shape(shape) for shape in group.shapes)
        lines.append("</g>")
    lines.append("</svg>\n")
    return "\n".join(lines)


def _svg_shape(shape: Shape) -> str:
    if isinstance(shape, Rect):
        stroke = f' stroke="{shape.stroke}" stroke-width="1.2"' if shape.stroke else ""
        return f'<path d="{_svg_outline(shape)}" fill="{shape.fill}"{stroke}/>'
    if isinstance(shape, Text):
        # textLength keeps the text inside its box whatever font the viewer has
        return (f'<text x="{_number(shape.x)}" y="{_number(shape.y)}" font-size="{_number(shape.size)}" '
                f'fill="{shape.color}" textLength="{_number(shape.width)}" lengthAdjust="spacingAndGlyphs" '
                f'xml:space="preserve">{_text(shape.text)}</text>')
    if isinstance(shape, Path):
        steps = "".join(("C" if len(step) == 3 else "L") + " ".join(map(_point, step)) for step in shape.steps)
        return (f'<path d="M{_point(shape.start)}{steps}" fill="none" stroke="{shape.color}" '
                f'stroke-width="{_number(shape.width)}" stroke-linejoin="round"/>')
    return f'<polygon points="{" ".join(map(_point, shape.points))}" fill="{shape.fill}"/>'


def _svg_outline(rect: Rect) -> str:
    x, y, w, h, r = rect.x, rect.y, rect.width, rect.height, rect.radius
    top, bottom = r * rect.round_top, r * rect.round_bottom

    def arc(radius: float, end: Point) -> str:
        return f"A{_number(radius)} {_number(radius)} 0 0 1 {_point(end)}" if radius else ""

    return (f"M{_point((x + top, y))}L{_point((x + w - top, y))}{arc(top, (x + w, y + top))}"
            f"L{_point((x + w, y + h - bottom))}{arc(bottom, (x + w - bottom, y + h))}"
            f"L{_point((x + bottom, y + h))}{arc(bottom, (x, y + h - bottom))}"
            f"L{_point((x, y + top))}{arc(top, (x + top, y))}Z")


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _point(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _text(text: str) -> str:
    """Text that XML may hold: a layer's name may contain anything."""
    return escape("".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text))




# ---- PNG -------------------------------------------------------------------------------------------------------------


def require_pillow() -> None:
    """Refuses early, before any work, where Pillow is missing."""
    try:
        import PIL.ImageFont
    except ImportError:
        raise KerashapeError("a PNG is drawn with Pillow, which is not installed. pip install 'kerashape_torch[plot]', "
                             "or write an .svg, which needs nothing") from None
    import PIL

    if tuple(int(part) for part in PIL.__version__.split(".")[:2]) < (10, 1):
        raise KerashapeError(f"a PNG needs Pillow 10.1 or newer, this is {PIL.__version__}. "
                             "pip install -U 'kerashape_torch[plot]', or write an .svg, which needs nothing")


def pixels(scene: Scene, dpi: float) -> tuple[int, int, float]:
    """Width and height of the PNG, and pixels per CSS pixel."""
    scale = min(dpi / 96, math.sqrt(MOST_PIXELS / (scene.width * scene.height)))
    return max(1, round(scene.width * scale)), max(1, round(scene.height * scale)), scale


def to_image(scene: Scene, dpi: float) -> Image:
    """The scene as an image: drawn three times as large in strips, so that memory stays small, and averaged down."""
    from PIL import Image, ImageDraw

    width, height, scale = pixels(scene, dpi)
    picture = Image.new("RGB", (width, height), scene.background)
    strip = 512
    shapes = [(shape, *_reach(shape)) for shape in scene.shapes()]
    for top in range(0, height, strip):
        rows = min(strip, height - top)
        large = Image.new("RGB", (width * SUPERSAMPLING, rows * SUPERSAMPLING), scene.background)
        pencil = _Pencil(ImageDraw.Draw(large), scale * SUPERSAMPLING, top * SUPERSAMPLING)
        for shape, first, last in shapes:
            if last * scale >= top - 4 and first * scale <= top + rows + 4:
                pencil.draw(shape)
        picture.paste(large.reduce(SUPERSAMPLING), (0, top))
    picture.info["dpi"] = (round(scale * 96), round(scale * 96))
    return picture


def _reach(shape: Shape) -> tuple[float, float]:
    """The rows that a shape touches."""
    if isinstance(shape, Rect):
        return shape.y, shape.y + shape.height
    if isinstance(shape, Text):
        return shape.y - shape.size, shape.y + shape.size
    rows = [p[1] for p in (shape.points() if isinstance(shape, Path) else shape.points)]
    return min(rows) - 8, max(rows) + 8


class _Pencil:
    def __init__(self, draw: Any, scale: float, top: int) -> None:
        self.pen = draw
        self.scale = scale
        self.top = top

    def at(self, point: Point) -> Point:
        return point[0] * self.scale, point[1] * self.scale - self.top

    def draw(self, shape: Shape) -> None:
        if isinstance(shape, Rect):
            self._rect(shape)
        elif isinstance(shape, Text):
            self._text(shape)
        elif isinstance(shape, Path):
            self.pen.polygon(_outline([self.at(p) for p in shape.points()], shape.width * self.scale), fill=shape.color)
        else:
            self.pen.polygon([self.at(p) for p in shape.points], fill=shape.fill)

    def _rect(self, rect: Rect) -> None:
        corners = (rect.round_top, rect.round_top, rect.round_bottom, rect.round_bottom)
        box = [*self.at((rect.x, rect.y)), *self.at((rect.x + rect.width, rect.y + rect.height))]
        self.pen.rounded_rectangle([round(v) for v in box], round(rect.radius * self.scale), fill=rect.fill,
                                   outline=rect.stroke, width=max(1, round(1.2 * self.scale)) if rect.stroke else 0,
                                   corners=corners)

    def _text(self, text: Text) -> None:
        font = _font(round(text.size * self.scale, 2), all(char in _WIDTH_OF for char in text.text))
        wide = font.getlength(text.text)
        if wide > text.width * self.scale * 1.01:  # another font than the one that was measured
            size = font.size * text.width * self.scale / wide
            font = font.font_variant(size=size)
        self.pen.text(self.at((text.x, text.y)), text.text, fill=text.color, font=font, anchor="ls")


def _outline(points: list[Point], width: float) -> list[Point]:
    """A line as the polygon that it covers: Pillow's own wide lines are thinner where they are slanted."""
    half = max(width - 0.5, 1.0) / 2  # Pillow fills the pixels on the border too
    left, right = [], []
    for i, (x, y) in enumerate(points):
        (x0, y0), (x1, y1) = points[max(i - 1, 0)], points[min(i + 1, len(points) - 1)]
        length = math.hypot(x1 - x0, y1 - y0) or 1.0
        dx, dy = (y0 - y1) / length * half, (x1 - x0) / length * half
        left.append((x + dx, y + dy))
        right.append((x - dx, y - dy))
    return left + right[::-1]


@lru_cache(maxsize=64)
def _font(size: float, plain: bool) -> Any:
    """The font that Pillow brings along; for letters that it lacks, one of the usual fonts of the machine."""
    from PIL import ImageFont

    if not plain:
        for name in ("NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "arialuni.ttf", "DejaVuSans.ttf", "msyh.ttc"):
            try:
                return ImageFont.truetype(name, size)
            except OSError:
                continue
    return ImageFont.load_default(size)


def in_notebook() -> bool:
    """Whether IPython is loaded and running; it is never imported for this."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
