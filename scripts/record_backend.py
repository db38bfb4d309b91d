"""Records what functions of Keras 2's backend make of tensors; run it by hand, where tf_keras is installed.

``PYTHONPATH=tests python scripts/record_backend.py tests/data/backend.npz``, with the expressions of
``tests/backend_cases.py``.
"""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf
from backend_cases import CASES, names
from tf_keras import backend as K


def main() -> None:
    found = {expression: eval(expression, {"K": K, **dict(zip(names(expression), map(tf.constant, tensors)))})
             for expression, tensors in CASES.items()}
    np.savez_compressed(sys.argv[1], **{str(i): np.asarray(y) for i, y in enumerate(found.values())})


if __name__ == "__main__":
    main()
