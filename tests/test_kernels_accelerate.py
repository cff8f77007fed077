"""Stock Keras models with the fast operations put into them, and taken out again."""

import copy
import os
import subprocess
import sys

import jax
import keras
import numpy as np
import pytest
from keras import layers

from cnnflow import xla
from cnnflow.config import ModelConfig
from cnnflow.errors import OptionError
from cnnflow.kernels import accelerate, enable_compilation_cache, onednn, restore
from cnnflow.memory import keep_freed_memory
from cnnflow.models.catalog import build

pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="the fast operations are JAX's"),
    pytest.mark.usefixtures("uncached"),
]


def images(count=6, side=12, channels=3):
    return np.random.default_rng(0).integers(0, 256, size=(count, side, side, channels)).astype(np.uint8)


def network():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            layers.Input((12, 12, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 3, padding="same"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, padding="same", activation="relu"),
            layers.MaxPooling2D(3, strides=2, padding="same"),
            layers.Conv2D(16, 1, activation="relu"),
            layers.AveragePooling2D(3, padding="same"),
            layers.Flatten(),
            layers.Dense(72, activation="relu"),
            layers.Dense(4, activation="softmax"),
        ]
    )


def trained(model, steps=3):
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for _ in range(steps):
        model.train_on_batch(images(), np.arange(6) % 4)
    return model


def test_training_with_and_without_is_the_same():
    plain, fast = network(), network()
    assert accelerate(fast) == 9
    for mine, theirs in zip(trained(fast).get_weights(), trained(plain).get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4)


def test_a_fused_convolution_still_gives_its_own_output():
    """Heat maps read a convolution's output beside the prediction."""
    model = network()
    both = keras.Model(model.inputs, [model.layers[1].output, model.outputs[0]])
    want = both.predict(images(), verbose=0)
    assert accelerate(model) == 9
    both = keras.Model(model.inputs, [model.layers[1].output, model.outputs[0]])
    for mine, theirs in zip(both.predict(images(), verbose=0), want, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_the_pooling_is_fused_with_the_convolution_before_it():
    model = network()

    def program():
        return str(jax.make_jaxpr(lambda x: model(x))(images()))

    assert "convolve_and_pool" not in program()
    accelerate(model)
    assert program().count("name=convolve_and_pool") == 1


def test_a_convolution_without_a_bias_is_fused_too():
    convolution = layers.Conv2D(16, 3, padding="same", use_bias=False)
    model = keras.Sequential([layers.Input((12, 12, 3)), convolution, layers.MaxPooling2D(2)])
    want = model.predict(images(4), verbose=0)
    accelerate(model)
    assert str(jax.make_jaxpr(lambda x: model(x))(images(4))).count("name=convolve_and_pool") == 1
    np.testing.assert_allclose(model.predict(images(4), verbose=0), want, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("name", "poolings"), [("basic_cnn", 2), ("comparison_cnn", 1), ("speed_net", 3)])
def test_the_networks_of_the_catalog_are_fused(name, poolings):
    model = build(ModelConfig(name), (28, 28, 1), 10, seed=0)
    accelerate(model)
    program = str(jax.make_jaxpr(lambda x: model(x))(np.zeros((2, 28, 28, 1), np.uint8)))
    assert program.count("name=convolve_and_pool") == poolings


def test_restore_leaves_no_trace():
    model = network()
    before = [dict(vars(layer)) for layer in model.layers]
    accelerate(model)
    assert accelerate(model) == 9
    assert restore(model) == 9
    assert restore(model) == 0
    assert [vars(layer).keys() for layer in model.layers] == [attributes.keys() for attributes in before]


def test_a_compiled_model_is_traced_anew():
    model = trained(network())
    want = model.predict(images(), verbose=0)
    accelerate(model)
    assert model.train_function is None
    np.testing.assert_allclose(model.predict(images(), verbose=0), want, rtol=1e-4, atol=1e-5)
    trained(model)


def test_what_is_saved_is_stock_keras(tmp_path):
    model = trained(network())
    config, want = model.get_config(), model.predict(images(), verbose=0)
    accelerate(model)
    assert model.get_config() == config
    model.summary(print_fn=lambda *_, **__: None)
    model.save(tmp_path / "model.keras")
    script = (
        "import sys, numpy, keras; sys.modules['cnnflow'] = None; "
        "model = keras.saving.load_model(sys.argv[1]); "
        "numpy.save(sys.argv[3], model.predict(numpy.load(sys.argv[2]), verbose=0))"
    )
    np.save(tmp_path / "x.npy", images())
    files = [str(tmp_path / name) for name in ("model.keras", "x.npy", "y.npy")]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", script, *files], check=True, env=environment, capture_output=True)
    np.testing.assert_allclose(np.load(files[2]), want, rtol=1e-4, atol=1e-5)


def test_clones_and_copies():
    model = trained(network())
    want = model.predict(images(), verbose=0)
    accelerate(model)
    clone = keras.models.clone_model(model)
    assert restore(clone) == 0
    copied = copy.deepcopy(model)
    for layer in model.layers:
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    np.testing.assert_allclose(copied.predict(images(), verbose=0), want, rtol=1e-4, atol=1e-5)


def test_models_inside_models_and_wrapped_layers():
    inner = keras.Sequential([layers.Input((12, 12, 3)), layers.Conv2D(4, 3), layers.MaxPooling2D(2)])
    video = layers.TimeDistributed(layers.Conv2D(2, 3))
    inputs = layers.Input((2, 12, 12, 3))
    model = keras.Model(
        inputs, layers.TimeDistributed(inner)(video.__class__(layers.Conv2D(3, 3, padding="same"))(inputs))
    )
    x = np.random.default_rng(0).normal(size=(2, 2, 12, 12, 3)).astype(np.float32)
    want = model.predict(x, verbose=0)
    assert accelerate(model) == 3
    np.testing.assert_allclose(model.predict(x, verbose=0), want, rtol=1e-4, atol=1e-5)
    assert restore(model) == 3


@pytest.mark.parametrize("shape", [(128,), (3, 128), (2,)])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_dense_layers(shape, dtype):
    keras.utils.set_random_seed(0)
    layer = layers.Dense(128, activation="tanh", dtype=keras.DTypePolicy(dtype), bias_initializer="uniform")
    model = keras.Sequential([layers.Input(shape), layer])
    x = np.random.default_rng(0).normal(size=(5, *shape)).astype(np.float32)

    def loss(x):
        return jax.numpy.square(model(x)).sum().astype("float32")

    want = model.predict(x, verbose=0), jax.grad(loss)(x)
    assert accelerate(model) == 1
    exact = dtype == "float32"
    for mine, theirs in zip((model.predict(x, verbose=0), jax.grad(loss)(x)), want, strict=True):
        np.testing.assert_allclose(
            np.float32(mine), np.float32(theirs), rtol=1e-4 if exact else 0.05, atol=1e-5 if exact else 0.05
        )


@pytest.mark.slow
def test_an_application_of_keras_is_accelerated():
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(input_shape=(32, 32, 3), weights=None, alpha=0.35, classes=3)
    want = model(images(2, 32) / 255.0, training=False)
    assert accelerate(model) == 53
    got = jax.jit(lambda x: model(x, training=False))(images(2, 32) / 255.0)
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)


def test_layers_that_are_not_stock_are_left_alone():
    class Doubled(layers.Conv2D):
        def call(self, inputs):
            return 2 * super().call(inputs)

    model = keras.Sequential(
        [
            layers.Input((3, 12, 12)),
            layers.Conv2D(4, 3, data_format="channels_first"),
            layers.Permute((2, 3, 1)),
            Doubled(4, 3),
            layers.DepthwiseConv2D(3, depth_multiplier=2),
        ]
    )
    assert accelerate(model) == 0


def test_mixed_precision_stays():
    keras.utils.set_random_seed(0)
    policy = keras.DTypePolicy("mixed_bfloat16")
    model = keras.Sequential(
        [
            layers.Input((12, 12, 3)),
            layers.Conv2D(4, 3, dtype=policy, activation="relu"),
            layers.MaxPooling2D(2, dtype=policy),
        ]
    )
    want = model(images().astype("float32"))
    accelerate(model)
    got = jax.jit(lambda x: model(x))(images().astype("float32"))
    assert got.dtype == want.dtype == jax.numpy.bfloat16
    np.testing.assert_allclose(np.asarray(got, np.float32), np.asarray(want, np.float32), rtol=0.02, atol=0.02 * 255)


def test_switched_off(monkeypatch):
    monkeypatch.setenv("CNNFLOW_KERNELS", "off")
    assert accelerate(network()) == 0


def test_a_switch_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("CNNFLOW_KERNELS", "onednnn")
    with pytest.raises(OptionError, match="CNNFLOW_KERNELS"):
        accelerate(network())


def test_nothing_is_done_on_another_device(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert accelerate(network()) == 0


def test_nothing_is_done_on_another_backend(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    assert accelerate(network()) == 0
    assert enable_compilation_cache() is None


def test_the_step_calls_nothing_on_the_host():
    model = network()
    accelerate(model)
    text = jax.jit(lambda x: model(x)).lower(images()).as_text()
    assert "callback" not in text


def test_the_compilation_cache_is_filled(tmp_path, monkeypatch):
    script = (
        "import sys, pathlib, jax, keras; from cnnflow.kernels import enable_compilation_cache as enable; "
        "folder = enable(); assert folder == enable() == pathlib.Path(sys.argv[1]), folder; "
        "jax.config.update('jax_persistent_cache_min_compile_time_secs', 0); jax.jit(lambda x: x + 1)(1.0)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    folder = tmp_path / "compiled"
    environment |= {"KERAS_BACKEND": "jax", "CNNFLOW_CACHE": str(tmp_path), "CNNFLOW_KERNELS": "off"}
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True, env=environment)
    assert any(folder.iterdir())


def test_no_compilation_cache_where_programs_cannot_be_kept(monkeypatch):
    monkeypatch.setattr(onednn, "available", lambda: True)
    assert enable_compilation_cache() is None


def test_a_compilation_cache_of_the_user_keeps_onednn_out(tmp_path):
    assert not jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    try:
        assert not onednn.available()
    finally:
        jax.config.update("jax_compilation_cache_dir", None)


def test_the_compilation_cache_can_be_switched_off(monkeypatch):
    monkeypatch.setenv("CNNFLOW_COMPILATION_CACHE", "off")
    assert enable_compilation_cache() is None


FAULTS = """
import resource, sys
exec(sys.argv[1])
import jax, jax.numpy as jnp
double, x = jax.jit(lambda x: x * 2), jnp.ones(10_000_000)
for _ in range(20):
    double(x).block_until_ready()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(40):
    double(x).block_until_ready()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what is told to the GNU C library")
@pytest.mark.parametrize(
    "start",
    [
        "from cnnflow.cli.options import use_backend; use_backend(None)",
        "import cnnflow; cnnflow.basic_cnn((28, 28, 1), 10)",
    ],
)
def test_freed_memory_is_kept_from_the_start(start):
    """Arrays of 40 MB, 9,766 pages each: taken from the system anew each time, 40 of them are 390,000 faults.

    Not none: now and then a small block lies in the way, and one of them is new.
    """
    done = subprocess.run([sys.executable, "-c", FAULTS, start], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100_000


@pytest.mark.skipif(not xla.tested(), reason="flags are for a tested jaxlib")
@pytest.mark.parametrize(
    ("set_before", "expected"),
    [
        ({}, "--xla_cpu_use_fusion_emitters=false"),
        ({"XLA_FLAGS": "--xla_cpu_use_fusion_emitters=true"}, "--xla_cpu_use_fusion_emitters=true"),
        ({"XLA_FLAGS": "--xla_dump_to="}, "--xla_dump_to= --xla_cpu_use_fusion_emitters=false"),
        ({"CNNFLOW_KERNELS": "off"}, ""),
    ],
)
def test_xla_is_told_before_jax_starts(set_before, expected):
    program = (
        "import os, cnnflow.models, jax; told = os.environ.get('XLA_FLAGS', '')\n"
        "print(told, jax.jit(lambda x: x + 1)(1), sep='|')"
    )
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"} | set_before
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == f"{expected}|2"


def test_an_unknown_jaxlib_is_told_nothing(monkeypatch):
    monkeypatch.setattr(xla, "tested", lambda: False)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert not xla.use_older_emitters()
    assert "XLA_FLAGS" not in os.environ


def test_freed_memory_is_kept():
    if sys.platform.startswith("linux"):
        assert keep_freed_memory()
    else:
        assert not keep_freed_memory()
