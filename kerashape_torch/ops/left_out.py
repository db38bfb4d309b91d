"""The names of ``keras.ops`` that a graph cannot hold, and why; some are not here at all."""

from __future__ import annotations

_CODE = ("it takes Python functions, which a graph cannot hold and a config cannot name. Way out: "
         "a Lambda layer or a layer of your own around {}")

CODE = {
    "cond": _CODE.format("torch.where, or ops.where, which computes both sides"),
    "switch": _CODE.format("indexing, or ops.where"),
    "while_loop": _CODE.format("a Python loop"),
    "fori_loop": _CODE.format("a Python loop"),
    "map": _CODE.format("torch.vmap"),
    "scan": _CODE.format("a Python loop, or an RNN layer with a cell of your own"),
    "associative_scan": _CODE.format("torch.cumsum and its like, as ops.cumsum"),
    "vectorized_map": _CODE.format("torch.vmap"),
    "vectorize": _CODE.format("torch.vmap"),
    "custom_gradient": _CODE.format("torch.autograd.Function"),
    "jvp": _CODE.format("torch.func.jvp"),
}
"""All that take Python functions: symbolic tensors cannot be given to them."""

LEFT_OUT = {name: CODE[name] for name in ("vectorize", "custom_gradient", "jvp")}
"""Those that are not here for real tensors either."""
