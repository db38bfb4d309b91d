"""Whether numbers may be looked at while a module runs."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def is_watched(x: Tensor) -> bool:
    """Whether a tracer, a mode or a CUDA graph follows a tensor, or it is no plain one: it has no numbers, or is one of
    vmap.

    Then what is done must not depend on its numbers, and consist of operations that every tracer knows.

    >>> is_watched(torch.ones(2)), is_watched(torch.ones(2, device="meta"))
    (False, True)
    """
    return (torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None or x.is_meta
            or torch._C._len_torch_dispatch_stack() > 0 or type(x) not in (Tensor, nn.Parameter)
            or torch._C._functorch.maybe_current_level() is not None
            or (x.is_cuda and torch.cuda.is_current_stream_capturing()))
