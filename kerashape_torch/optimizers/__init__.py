"""The optimizers of Keras 3, as descriptions: ``to_torch(module)`` makes a torch optimizer with Keras' arithmetic.

>>> get("adam"), get("RMSprop").get_config()["rho"]
(Adam(), 0.9)
>>> serialize(SGD(0.1))["class_name"]
'SGD'
"""

from kerashape_torch.optimizers import schedules
from kerashape_torch.optimizers.adam import Adam, Adamax, AdamW, Lamb, Nadam, ScheduleFreeAdamW
from kerashape_torch.optimizers.adaptive import Adadelta, Adafactor, Adagrad, Ftrl, RMSprop
from kerashape_torch.optimizers.base import Optimizer
from kerashape_torch.optimizers.identifiers import OptimizerLike, deserialize, get, serialize
from kerashape_torch.optimizers.momentum import SGD, Lion, Muon
from kerashape_torch.optimizers.scaling import LossScaleOptimizer

__all__ = ["SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion",
           "LossScaleOptimizer", "Muon", "Nadam", "Optimizer", "OptimizerLike", "RMSprop", "ScheduleFreeAdamW",
           "deserialize", "get", "schedules", "serialize"]
