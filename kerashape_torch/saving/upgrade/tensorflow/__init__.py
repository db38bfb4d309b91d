"""What each function of TensorFlow is among the ops, in TensorFlow's argument names.

A function here takes what the call of the old layer took, and gives the ops that compute it. Names are those by which
TensorFlow exports a function; ``compat.v1`` in front of one is of no account where the arguments mean the same.
"""

from kerashape_torch.saving.upgrade.tensorflow import (  # noqa: F401  importing a file enters its functions
    creation,
    elementwise,
    images,
    losses,
    picking,
    products,
    reductions,
    refusals,
    shapes,
    signals,
    windows,
)
from kerashape_torch.saving.upgrade.tensorflow.creation import counted
from kerashape_torch.saving.upgrade.tensorflow.nodes import arguments_of_node
from kerashape_torch.saving.upgrade.tensorflow.table import Untranslated, bare_name, refusal, takes_sizes, translated

__all__ = ["Untranslated", "arguments_of_node", "bare_name", "counted", "refusal", "takes_sizes", "translated"]
