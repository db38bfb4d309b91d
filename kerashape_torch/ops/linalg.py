"""``keras.ops.linalg``: the ops of that family."""

from kerashape_torch.ops.operation import namespace

__getattr__, __dir__ = namespace("linalg")
