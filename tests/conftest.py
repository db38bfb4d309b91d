import gc
import os

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")  # before any test imports Keras, which is the oracle


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Thousands of tests stay to the end: the garbage collector need not look through them again and again."""
    gc.collect()
    gc.freeze()
