"""Records tests/data/legacy_optimizers.json from tf_keras: what optimizers of Keras 1 and 2 do to variables.

    pip install tensorflow-cpu tf_keras numpy     (2.21.0 when this was last run; in an environment of its own)
    python scripts/record_legacy_optimizers.py

Each case is an optimizer's config as a file has it, and two variables after one step and after five. ``optimizers`` of
tf_keras are those of Keras since 2.11, ``legacy`` those of tf.keras before it, and ``optimizer_v1`` those of Keras 1.
"""

import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras.src.optimizers import optimizer_v1 as first

TARGET = Path(__file__).resolve().parent.parent / "tests" / "data" / "legacy_optimizers.json"
STEPS = 5
random = np.random.default_rng(3)
START = [random.normal(size=shape).astype("float32") for shape in ((3, 2), (2,))]
GRADIENTS = [[(0.1 * random.normal(size=x.shape)).astype("float32") for x in START] for _ in range(STEPS)]
legacy = keras.optimizers.legacy


def of_tf_keras():
    """Before 2.11, or the legacy ones, and those since."""
    yield legacy.SGD(0.1)
    yield legacy.SGD(0.1, momentum=0.9, nesterov=True, decay=0.2)
    yield legacy.SGD(0.1, momentum=0.5, clipnorm=0.1)
    yield legacy.SGD(0.1, global_clipnorm=0.1)
    yield legacy.SGD(0.1, clipvalue=0.05)
    for momentum in (0.0, 0.5):
        for centered in (False, True):
            yield legacy.RMSprop(0.01, momentum=momentum, centered=centered, epsilon=0.01)
    yield legacy.RMSprop(decay=0.5)
    yield legacy.Adagrad(0.1, epsilon=0.05)
    yield legacy.Adagrad(0.1, initial_accumulator_value=0.01, decay=0.1)
    yield legacy.Nadam(0.01)
    yield legacy.Nadam(0.01, schedule_decay=0.5, beta_1=0.8, epsilon=0.01)
    yield legacy.Adam(0.01, epsilon=0.01, decay=0.1)
    yield legacy.Adam(0.01, amsgrad=True, beta_2=0.7)
    yield legacy.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5))
    yield legacy.Adamax(0.01, epsilon=0.01)
    yield legacy.Adadelta(0.5, rho=0.8, epsilon=0.001)
    yield legacy.Ftrl(0.1, l1_regularization_strength=0.01, l2_regularization_strength=0.1, beta=0.1,
                      l2_shrinkage_regularization_strength=0.1)
    for name in ("SGD", "RMSprop", "Adagrad", "Nadam", "Adam", "Adamax", "Adadelta", "Ftrl", "AdamW"):
        more = {} if name in ("SGD", "Ftrl") else {"epsilon": 0.01}
        yield getattr(keras.optimizers, name)(0.05, jit_compile=False, **more)
    yield keras.optimizers.RMSprop(0.05, momentum=0.5, centered=True, weight_decay=0.1, jit_compile=False)


OF_KERAS_1 = [  # without decay: whether their steps are counted before or after it is looked at, nothing says
    (first.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}), (first.RMSprop, {"lr": 0.01, "epsilon": 0.01}),
    (first.Adagrad, {"lr": 0.1, "epsilon": 0.05}), (first.Adadelta, {"lr": 0.5, "rho": 0.8, "epsilon": 0.001}),
    (first.Adam, {"lr": 0.01, "epsilon": 0.01, "amsgrad": True}), (first.Adamax, {"lr": 0.01, "epsilon": 0.01})]


def numbers(arrays):
    return [[float(f"{x:.9g}") for x in np.asarray(array).ravel()] for array in arrays]


def stepped(optimizer):
    variables = [tf.Variable(x) for x in START]
    for gradients in GRADIENTS:
        optimizer.apply_gradients(zip(map(tf.constant, gradients), variables))
        yield numbers(v.numpy() for v in variables)


def stepped_in_a_graph(cls, arguments):
    """Those of Keras 1 write their updates into a graph."""
    with tf.Graph().as_default(), tf.compat.v1.Session().as_default() as session:
        optimizer = cls(**arguments)
        variables = [tf.compat.v1.get_variable(f"x{i}", initializer=x, use_resource=True) for i, x in enumerate(START)]
        held = [tf.compat.v1.placeholder("float32", x.shape) for x in START]
        loss = tf.add_n([tf.reduce_sum(x * g) for x, g in zip(variables, held)])
        updates = optimizer.get_updates(loss, variables)
        session.run(tf.compat.v1.global_variables_initializer())
        for gradients in GRADIENTS:
            session.run(updates, dict(zip(held, gradients)))
            yield numbers(session.run(variables))


def case(config, steps):
    steps = list(steps)
    return {"optimizer_config": config, "after_1": steps[0], f"after_{STEPS}": steps[-1]}


def main():
    cases = [case(json.loads(json.dumps(keras.optimizers.serialize(made))), stepped(made)) for made in of_tf_keras()]
    for cls, arguments in OF_KERAS_1:
        config = {"class_name": cls.__name__, "config": cls(**arguments).get_config()}
        cases.append(case(config, stepped_in_a_graph(cls, arguments)))
    data = {"start": numbers(START), "gradients": [numbers(step) for step in GRADIENTS], "cases": cases}
    text = json.dumps(data, separators=(",", ":")).replace('{"optimizer_config"', '\n{"optimizer_config"')
    TARGET.write_text(text + "\n")
    print(len(cases), "cases,", TARGET.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
