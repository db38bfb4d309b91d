"""``keras.mixed_precision``: the dtype policy of layers, and what scales the loss beside it."""

from kerashape_torch.dtype_policies import DTypePolicy as DTypePolicy
from kerashape_torch.optimizers import LossScaleOptimizer as LossScaleOptimizer
from kerashape_torch.settings import dtype_policy as dtype_policy
from kerashape_torch.settings import set_dtype_policy as set_dtype_policy

Policy = DTypePolicy
global_policy = dtype_policy
set_global_policy = set_dtype_policy
