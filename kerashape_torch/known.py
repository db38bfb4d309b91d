"""Numbers that Python knows, among tensors that have no values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from kerashape_torch.structure import flatten, map_structure


class KnownNumbers(TorchFunctionMode):
    """Lets tensors of known numbers keep their values on torch's meta device, until they meet a tensor that has none.

    >>> with torch.device("meta"), KnownNumbers():
    ...     sizes = torch.as_tensor([2, 3])
    ...     x = sizes + torch.empty(2)
    >>> sizes.tolist(), x.device.type
    ([2, 3], 'meta')
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function in (torch.tensor, torch.as_tensor):
            if isinstance(args[0], Tensor):
                kwargs["device"] = "meta" if args[0].is_meta else kwargs.get("device")
            elif kwargs.get("device") is None:
                kwargs["device"] = "cpu"
        elif any(isinstance(x, Tensor) and x.is_meta for x in flatten((list(args), kwargs))):
            args, kwargs = map_structure(lambda x: x.to("meta") if isinstance(x, Tensor) else x, (list(args), kwargs))
        return function(*args, **kwargs)
