"""What the source text of a Keras lambda would be in torch: read as text, offered to the user, and never run."""

from __future__ import annotations

import ast
from collections.abc import Callable

_PACKAGES = ("tf", "tensorflow", "K", "backend", "keras", "ops")
_DTYPES = ("float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")
_FUNCTIONS = {name: name for name in ("abs", "sqrt", "square", "exp", "log", "sin", "cos", "tanh", "sigmoid", "relu",
                                      "sign", "round", "floor", "ceil")}
_REDUCTIONS = {"mean": "mean", "sum": "sum", "max": "amax", "min": "amin", "prod": "prod", "any": "any", "all": "all"}
_EXPRESSIONS = (ast.BinOp, ast.UnaryOp, ast.Subscript, ast.Slice, ast.Tuple, ast.List, ast.Constant, ast.Load,
                ast.operator, ast.unaryop)
_Words = dict[str, ast.expr]


class _Unknown(Exception):
    """The text has something that is not in the tables."""


def in_torch(text: str) -> str | None:
    """A lambda of torch tensors that says what a lambda of Keras or TensorFlow says; None for what is not known.

    Known are arithmetic, slices, casts, ``tf.image.resize``, and the commonest functions and reductions of ``tf``,
    ``K`` and ``keras.ops``. Images are in Keras' order.

    >>> in_torch("lambda x: tf.cast(x, tf.float32) / 255.0")
    'lambda x: x.to(torch.float32) / 255.0'
    >>> in_torch("lambda x: x[:, -1, :]"), in_torch("lambda x: open(x)")
    ('lambda x: x[:, -1, :]', None)
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        if not isinstance(tree, ast.Lambda) or not tree.args.args or tree.args.defaults:
            return None
        names = [each.arg for each in tree.args.args]
        return f"lambda {', '.join(names)}: {ast.unparse(_Translation(names).visit(tree.body))}"
    except (_Unknown, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Translation(ast.NodeTransformer):
    """An expression of the tensors that have these names."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if not isinstance(node, _EXPRESSIONS):
            raise _Unknown
        return super().generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self.names:
            raise _Unknown
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        path = ast.unparse(node.func).split(".")
        if path[0] not in _PACKAGES or not node.args:
            raise _Unknown
        name = path[-1].removeprefix("reduce_")
        x = self.visit(node.args[0])
        words = dict(zip(_POSITIONAL.get(name, ("axis", "keepdims")), node.args[1:]))
        words |= {word.arg: word.value for word in node.keywords if word.arg}
        if name in _SPECIAL:
            return _SPECIAL[name](x, words)
        if name in _FUNCTIONS and not words:
            return _torch(f"torch.{_FUNCTIONS[name]}", x)
        if name in _REDUCTIONS:
            return _method(x, _REDUCTIONS[name], *_axis(words), keepdim=_value(words.get("keepdims")) or None)
        raise _Unknown


# ---- pieces of torch -------------------------------------------------------------------------------------------------


def _value(tree: ast.expr | None) -> object:
    try:
        return None if tree is None else ast.literal_eval(tree)
    except ValueError:
        raise _Unknown from None


def _torch(path: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(ast.parse(path, mode="eval").body, list(arguments), [])


def _method(x: ast.expr, name: str, *arguments: object, **words: object) -> ast.expr:
    keywords = [ast.keyword(key, _literal(value)) for key, value in words.items() if value is not None]
    return ast.Call(ast.Attribute(x, name, ast.Load()), [_literal(each) for each in arguments], keywords)


def _literal(value: object) -> ast.expr:
    return value if isinstance(value, ast.expr) else ast.parse(repr(value), mode="eval").body


def _axis(words: _Words, default: object = None) -> list[object]:
    axis = _value(words.get("axis"))
    axis = default if axis is None else axis
    return [] if axis is None else [axis]


def _cast(x: ast.expr, words: _Words) -> ast.expr:
    dtype = words.get("dtype")
    name = dtype.value if isinstance(dtype, ast.Constant) else ast.unparse(dtype).split(".")[-1] if dtype else None
    if name not in _DTYPES:
        raise _Unknown
    return _method(x, "to", ast.parse(f"torch.{name}", mode="eval").body)


def _resize(x: ast.expr, words: _Words) -> ast.expr:
    size, method = _value(words.get("size")), _value(words.get("method"))
    if not isinstance(size, (tuple, list)) or len(size) != 2 or method not in (None, "bilinear", "nearest"):
        raise _Unknown
    how = f", {method!r}" if method else ""
    return _torch(f"kerashape_torch.layers.Resizing({size[0]!r}, {size[1]!r}{how}).to_torch()", x)


_POSITIONAL = {"cast": ("dtype",), "resize": ("size",), "clip_by_value": ("low", "high"), "clip": ("low", "high")}
_SPECIAL: dict[str, Callable[[ast.expr, _Words], ast.expr]] = {
    "cast": _cast,
    "resize": _resize,
    "softmax": lambda x, words: _method(x, "softmax", *_axis(words, -1)),
    "expand_dims": lambda x, words: _method(x, "unsqueeze", *_axis(words, -1)),
    "squeeze": lambda x, words: _method(x, "squeeze", *_axis(words)),
    "clip": lambda x, words: _method(x, "clamp", _value(words.get("low")), _value(words.get("high"))),
    "clip_by_value": lambda x, words: _method(x, "clamp", _value(words.get("low")), _value(words.get("high"))),
    "l2_normalize": lambda x, words: _torch("torch.nn.functional.normalize", x,
                                            *map(_literal, [2.0, *_axis(words, -1)])),
}
