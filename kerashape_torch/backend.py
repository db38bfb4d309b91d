"""``keras.backend``, as far as code that defines models asks for it."""

from kerashape_torch.graph import SymbolicTensor
from kerashape_torch.settings import backend as backend
from kerashape_torch.settings import epsilon as epsilon
from kerashape_torch.settings import floatx as floatx
from kerashape_torch.settings import image_data_format as image_data_format
from kerashape_torch.settings import set_epsilon as set_epsilon
from kerashape_torch.settings import set_floatx as set_floatx
from kerashape_torch.settings import set_image_data_format as set_image_data_format


def is_keras_tensor(x: object) -> bool:
    """Whether a value is a symbolic tensor."""
    return isinstance(x, SymbolicTensor)


def clear_session(free_memory: bool = True) -> None:
    """Nothing: names are each model's own, and no graph is kept for all."""
