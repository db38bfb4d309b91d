"""A diagram made visible: boxes get their sizes, models inside models their frames, everything its place and colour.

The layout knows only *across* and *along*; turning that into left-to-right or top-to-bottom happens once, at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from kerashape_torch.errors import ConfigError
from kerashape_torch.reports.plot.diagram import Box, Diagram
from kerashape_torch.reports.plot.layers import Item
from kerashape_torch.reports.plot.routes import ARROW, Layout, Point, Way, layout
from kerashape_torch.reports.plot.scene import Group, Path, Polygon, Rect, Scene, Text, text_width

MARGIN = 24.0
PAD = 16.0
TITLE = 22.0
ASPECT = 1.5
"""The width over the height that a folded picture should have."""

INK, MUTED, LINE, FRAME = "#1B2530", "#52606D", "#52606D", "#9AA5B1"
FRAME_FILLS = ("#F5F7F9", "#FFFFFF")

# Paul Tol's "light" scheme, made for labels on colour: told apart by all eyes, and in grey by their lightness.
COLORS = {
    "input": ("#D9DDE2", "#7B8794"), "convolution": ("#A5C6E8", "#4A78AB"), "pooling": ("#C2EBFF", "#4F9BBD"),
    "dense": ("#8FD4C1", "#2E8B72"), "recurrent": ("#FFC8D2", "#C0687C"), "normalization": ("#F5E9B4", "#B09A3E"),
    "merge": ("#F5B49F", "#C4623F"), "nested": ("#D9E08A", "#8A9420"), "other": ("#F0F1F3", "#7B8794"),
}
"""For each family of layers the colour of the heading and of the border."""

_NAME, _CLASS, _ROW = 13.0, 12.0, 11.0
_HEADING, _LINE_HEIGHT, _SIDE, _BODY = 25.0, 16.0, 10.0, 5.0


@dataclass
class Placed:
    """A box, or the frame of an expanded model, at its place in the picture."""

    box: Box
    path: str
    x: float
    y: float
    width: float
    height: float
    level: int = 0


@dataclass
class Arrow:
    """A line between two placed boxes; it has no head where it meets the border of a frame."""

    source: Box
    target: Box
    start: Point
    steps: list[tuple[Point, ...]]
    head: bool

    def shape(self) -> Path:
        return Path(self.start, tuple(self.steps), LINE, 1.4)


@dataclass
class Picture:
    title: str
    width: float
    height: float
    boxes: list[Placed] = field(default_factory=list)
    frames: list[Placed] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)


class Direction(NamedTuple):
    """The way the data flows: ``TB``, ``BT``, ``LR`` or ``RL``."""

    horizontal: bool
    flipped: bool

    @classmethod
    def of(cls, rankdir: str) -> Direction:
        if rankdir not in ("TB", "BT", "LR", "RL"):
            raise ConfigError(f"rankdir must be 'TB', 'BT', 'LR' or 'RL', got {rankdir!r}")
        return cls(rankdir in ("LR", "RL"), rankdir in ("BT", "RL"))


# ---- sizes -----------------------------------------------------------------------------------------------------------


def shortened(text: str, most: int) -> str:
    """A text with its middle left out where it is too long.

    >>> shortened("a_very_long_name", 11)
    'a_ve...name'
    """
    keep = most - 3
    return text if len(text) <= most else f"{text[:(keep + 1) // 2]}...{text[-(keep // 2):]}"


class Words(NamedTuple):
    """The texts of a box as they are drawn."""

    name: str
    class_name: str
    rows: list[tuple[str, str]]
    notes: list[str]

    @classmethod
    def of(cls, box: Box, names: bool) -> Words:
        rows = [(label, shortened(value, 64)) for label, value in box.rows]
        rows += [("", "")] * (len(box.notes) - len(rows))
        notes = box.notes + [""] * (len(rows) - len(box.notes))
        return cls(shortened(box.name, 48) if names else "", shortened(box.class_name, 48), rows, notes)

    @property
    def labels(self) -> float:
        return max((text_width(label, _ROW) + 8 for label, _ in self.rows if label), default=0.0)

    def size(self) -> tuple[float, float]:
        heading = text_width(self.class_name, _CLASS) + (text_width(self.name, _NAME) + 20 if self.name else 0.0)
        widths = [self.labels + text_width(value, _ROW) + (text_width(note, _ROW) + 18 if note else 0.0)
                  for (_, value), note in zip(self.rows, self.notes)]
        height = _HEADING + (2 * _BODY + _LINE_HEIGHT * len(self.rows) if self.rows else 0.0)
        return max([84.0, heading + 2 * _SIDE, *(width + 2 * _SIDE for width in widths)]), height


@dataclass
class Sheet:
    """One diagram arranged: sizes of its boxes, the layout, and the sheets of the frames in it."""

    diagram: Diagram
    layout: Layout
    items: list[Item]
    inside: dict[int, Frame]


@dataclass
class Frame:
    """A sheet with room around it: before and after it across the flow, first and last along it."""

    sheet: Sheet
    before: float
    after: float
    first: float
    last: float

    def item(self) -> Item:
        """The frame as a box of the sheet around it. It is anchored where its first line enters."""
        sheet = self.sheet
        ports = {end: [self.before + sheet.layout.places[i][0] for i, box in enumerate(sheet.diagram.boxes)
                       if box.port == end] for end in ("in", "out")}
        across = self.before + sheet.layout.across + self.after
        anchor = sum(ports["in"]) / len(ports["in"]) if ports["in"] else across / 2
        return Item(anchor, across - anchor, self.first + sheet.layout.along + self.last,
                    [p - anchor for p in ports["in"]], [p - anchor for p in ports["out"]])


class Arranger:
    """Arranges a diagram, the innermost frames first."""

    def __init__(self, names: bool, direction: Direction) -> None:
        self.names = names
        self.direction = direction
        self.aspect = ASPECT if direction.horizontal else 1 / ASPECT
        self.done: dict[int, Sheet] = {}

    def sheet(self, diagram: Diagram) -> Sheet:
        order = [diagram]
        for each in order:  # grows while it is walked
            order.extend(box.inside for box in each.boxes if box.inside is not None)
        for each in reversed(order):
            if id(each) not in self.done:
                self.done[id(each)] = self._arrange(each)
        return self.done[id(diagram)]

    def _arrange(self, diagram: Diagram) -> Sheet:
        inside = {i: self._frame(box, self.done[id(box.inside)])
                  for i, box in enumerate(diagram.boxes) if box.inside is not None}
        sizes = [Words.of(box, self.names).size() for box in diagram.boxes]
        least = _usual([width for (width, _), box in zip(sizes, diagram.boxes) if not box.port and not box.inside])
        items = []
        for i, (box, (width, height)) in enumerate(zip(diagram.boxes, sizes)):
            if i in inside:
                items.append(inside[i].item())
            elif box.port:
                items.append(Item(0.0, 0.0, 0.0, end="first" if box.port == "in" else "last"))
            else:
                width = max(width, least)
                across, along = (height, width) if self.direction.horizontal else (width, height)
                items.append(Item(across / 2, across / 2, along))
        return Sheet(diagram, layout(items, diagram.links, self.aspect), items, inside)

    def _frame(self, box: Box, sheet: Sheet) -> Frame:
        """Room for the title, at the upper left, where no line runs."""
        title = sum(text_width(text, size) for text, size, _ in title_parts(box, self.names)) + 10
        if self.direction.horizontal:
            missing = title + 2 * PAD - sheet.layout.along - PAD
            return Frame(sheet, TITLE + PAD / 2, PAD, PAD / 2, max(PAD / 2, missing))
        crossing = "out" if self.direction.flipped else "in"
        lines = [sheet.layout.places[i][0] for i, b in enumerate(sheet.diagram.boxes) if b.port == crossing]
        side = max(PAD, title + PAD + 10 - min(lines, default=0.0))
        first, last = (PAD / 2, TITLE) if self.direction.flipped else (TITLE, PAD / 2)
        return Frame(sheet, side, max(PAD, title + 2 * PAD - side - sheet.layout.across), first, last)


def _usual(widths: list[float]) -> float:
    """A width that most boxes have in common; only the much wider ones stand out."""
    usual = sorted(widths)[len(widths) * 3 // 4] if widths else 0.0
    return max((width for width in widths if width <= 1.2 * usual), default=0.0)


def title_parts(box: Box, names: bool) -> Iterator[tuple[str, float, str]]:
    """The title of a frame: texts with their sizes and colours."""
    if names:
        yield shortened(box.name, 48) + "  ", _NAME, INK
    yield shortened(box.class_name, 48), _CLASS, MUTED


# ---- places ----------------------------------------------------------------------------------------------------------


class Turn(NamedTuple):
    """From across and along to x and y."""

    direction: Direction
    length: float
    left: float = 0.0
    top: float = 0.0

    def within(self, across: float, along: float) -> Turn:
        return self._replace(left=self.left + across, top=self.top + along)

    def point(self, across: float, along: float) -> Point:
        across, along = self.left + across, self.top + along
        if self.direction.flipped:
            along = self.length - along
        x, y = (along, across) if self.direction.horizontal else (across, along)
        return x + MARGIN, y + MARGIN

    def rect(self, across: float, along: float, width: float, depth: float) -> tuple[float, float, float, float]:
        (x, y), (right, bottom) = self.point(across, along), self.point(across + width, along + depth)
        return min(x, right), min(y, bottom), abs(right - x), abs(bottom - y)


def arrange(diagram: Diagram, names: bool, rankdir: str) -> Picture:
    """The picture of a diagram: everything at its place."""
    direction = Direction.of(rankdir)
    sheet = Arranger(names, direction).sheet(diagram)
    across, along = sheet.layout.across, sheet.layout.along
    width, height = (along, across) if direction.horizontal else (across, along)
    picture = Picture(diagram.name, width + 2 * MARGIN, height + 2 * MARGIN)
    todo = [(Frame(sheet, 0.0, 0.0, 0.0, 0.0), Turn(direction, along), "", 0)]
    while todo:
        frame, turn, path, level = todo.pop()
        sheet = frame.sheet
        for i, box in enumerate(sheet.diagram.boxes):
            if box.port:
                continue
            item, (x, y) = sheet.items[i], sheet.layout.places[i]
            corner = (x - item.before, y)
            placed = Placed(box, path + box.name, *turn.rect(*corner, item.before + item.after, item.depth), level)
            inner = sheet.inside.get(i)
            if inner is None:
                picture.boxes.append(placed)
            else:
                picture.frames.append(placed)
                place = turn.within(corner[0] + inner.before, corner[1] + inner.first)
                todo.append((inner, place, f"{path}{box.name}/", level + 1))
        picture.arrows.extend(_arrow(way, frame, turn) for way in sheet.layout.ways)
    return picture


def _arrow(way: Way, frame: Frame, turn: Turn) -> Arrow:
    """A way as it is drawn: it goes on to the border where it comes from a port, and makes room for its head."""
    boxes = frame.sheet.diagram.boxes
    source, target = boxes[way.link.source], boxes[way.link.target]
    start, steps = way.start, list(way.steps)
    if source.port:
        steps.insert(0, (start,))
        start = (start[0], start[1] - frame.first)
    if target.port:
        steps.append(((steps[-1][-1][0], steps[-1][-1][1] + frame.last),))
    head = not target.port and (target.inside is None or source is target)
    turned = [tuple(turn.point(*p) for p in step) for step in steps]
    return Arrow(source, target, turn.point(*start), turned, head)


# ---- drawing ---------------------------------------------------------------------------------------------------------


def scene(picture: Picture, names: bool) -> Scene:
    """Frames below, lines over them, boxes on top."""
    groups = [_frame_group(placed, names) for placed in picture.frames]
    groups += [_arrow_group(arrow) for arrow in picture.arrows]
    groups += [_box_group(placed, names) for placed in picture.boxes]
    return Scene(picture.width, picture.height, picture.title, groups)


def _frame_group(placed: Placed, names: bool) -> Group:
    rect = Rect(placed.x, placed.y, placed.width, placed.height, FRAME_FILLS[placed.level % 2], FRAME, 9.0)
    group = Group("frame", f"{placed.path} ({placed.box.class_name})", [rect])
    x = placed.x + PAD
    for text, size, color in title_parts(placed.box, names):
        width = text_width(text, size)
        group.shapes.append(Text(x, placed.y + 20, text, size, color, width))
        x += width
    return group


def _arrow_group(arrow: Arrow) -> Group:
    path = arrow.shape()
    if not arrow.head:
        return Group("edge", "", [path])
    tip = arrow.steps[-1][-1]
    before = next(p for p in reversed([arrow.start, *(q for step in arrow.steps for q in step)]) if p != tip)
    length = math.dist(before, tip)
    dx, dy = (tip[0] - before[0]) / length, (tip[1] - before[1]) / length
    base = (tip[0] - dx * ARROW, tip[1] - dy * ARROW)
    head = Polygon((tip, (base[0] - dy * 3.6, base[1] + dx * 3.6), (base[0] + dy * 3.6, base[1] - dx * 3.6)), LINE)
    if len(arrow.steps[-1]) == 1 and length >= ARROW:  # the line ends inside its head, not at its tip
        inner = (tip[0] - dx * ARROW / 2, tip[1] - dy * ARROW / 2)
        path = path._replace(steps=(*path.steps[:-1], (inner,)))
    return Group("edge", "", [path, head])


def _box_group(placed: Placed, names: bool) -> Group:
    box, words = placed.box, Words.of(placed.box, names)
    fill, border = COLORS[box.family]
    x, y, width, height = placed.x, placed.y, placed.width, placed.height
    heading = _HEADING if words.rows else height
    lines = [f"{placed.path} ({box.class_name})", *(f"{label} {value}".strip() for label, value in box.rows),
             *filter(None, box.notes)]
    group = Group(f"box {box.family}", "\n".join(lines), [Rect(x, y, width, height, "#FFFFFF", border, 5.0)])
    group.shapes.append(Rect(x, y, width, heading, fill, border, 5.0, round_bottom=not words.rows))
    baseline = y + heading / 2 + 4.5
    wide = text_width(words.class_name, _CLASS)
    if words.name:
        group.shapes.append(Text(x + _SIDE, baseline, words.name, _NAME, INK, text_width(words.name, _NAME)))
        group.shapes.append(Text(x + width - _SIDE - wide, baseline, words.class_name, _CLASS, "#3A4754", wide))
    else:
        group.shapes.append(Text(x + (width - wide) / 2, baseline, words.class_name, _CLASS, INK, wide))
    for i, ((label, value), note) in enumerate(zip(words.rows, words.notes)):
        baseline = y + _HEADING + _BODY + _LINE_HEIGHT * i + 12
        wide = text_width(note, _ROW)
        texts = ((x + _SIDE, label, MUTED), (x + _SIDE + words.labels, value, INK),
                 (x + width - _SIDE - wide, note, MUTED))
        group.shapes.extend(Text(left, baseline, text, _ROW, color, text_width(text, _ROW))
                            for left, text, color in texts if text)
    return group
