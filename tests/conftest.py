import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # before any test imports Keras, which is the oracle
