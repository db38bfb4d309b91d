"""Names under which Keras 2 had layers that have moved since."""

from kerashape_torch.layers.einsum import EinsumDense
from kerashape_torch.layers.experimental import preprocessing
from kerashape_torch.layers.legacy import RandomFourierFeatures, SyncBatchNormalization

__all__ = ["EinsumDense", "RandomFourierFeatures", "SyncBatchNormalization", "preprocessing"]
