"""The networks: their sizes, their outputs, what options do to them, and what a seed decides."""

import hashlib
import random
import subprocess
import sys

import keras
import numpy as np
import pytest

from cnnflow.config import ModelConfig
from cnnflow.errors import OptionError
from cnnflow.models import tutorial
from cnnflow.models.catalog import MODELS, build
from cnnflow.models.cost import multiply_adds
from cnnflow.models.seeding import fill_seeds

PLAIN = ["basic_cnn", "dense_net", "comparison_cnn", "flower_cnn"]


def pixels(input_shape, count=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *input_shape), dtype=np.uint8)


@pytest.mark.parametrize(
    ("factory", "input_shape", "parameters"),
    [
        (tutorial.basic_cnn, (28, 28, 1), 421_642),
        (tutorial.dense_net, (32, 32, 3), 411_146),
        (tutorial.comparison_cnn, (32, 32, 3), 1_634_058),
    ],
)
def test_parameters_are_those_of_the_document(factory, input_shape, parameters):
    assert factory(input_shape, 10).count_params() == parameters


def test_basic_cnn_has_the_layer_names_of_the_document():
    model = tutorial.basic_cnn((28, 28, 1), 10)
    assert model.inputs[0].name == "input_layer"
    assert [layer.name for layer in model.layers] == [
        "rescaling",
        "conv1",
        "pool1",
        "conv2",
        "pool2",
        "flatten",
        "dense1",
        "output_layer",
    ]


@pytest.mark.parametrize(
    ("name", "input_shape", "expected"),
    [
        ("basic_cnn", (28, 28, 1), 28 * 28 * 9 * 32 + 14 * 14 * 9 * 32 * 64 + 7 * 7 * 64 * 128 + 128 * 10),
        ("dense_net", (32, 32, 3), 3072 * 128 + 128 * 128 + 128 * 10),
        (
            "comparison_cnn",
            (32, 32, 3),
            30 * 30 * 27 * 32 + 28 * 28 * 9 * 32 * 64 + 14 * 14 * 64 * 128 + 128 * 64 + 64 * 10,
        ),
    ],
)
def test_multiply_adds_by_hand(name, input_shape, expected):
    assert multiply_adds(build(ModelConfig(name), input_shape, 10, seed=0)) == expected


def test_multiply_adds_of_strides_groups_and_separable_layers_in_a_nested_model():
    inner = keras.Sequential(
        [
            keras.layers.Input((8, 8, 4)),
            keras.layers.Conv2D(6, 3, strides=2, padding="same", groups=2),
            keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
            keras.layers.SeparableConv2D(5, 3, padding="valid"),
            keras.layers.Dense(7),
        ]
    )
    outer = keras.Sequential([keras.layers.Input((8, 8, 4)), inner, keras.layers.Flatten(), keras.layers.Dense(3)])
    by_hand = 16 * 9 * 2 * 6 + 16 * 9 * 12 + 4 * (9 * 12 + 12 * 5) + 4 * 5 * 7 + 28 * 3
    assert multiply_adds(outer) == by_hand


@pytest.mark.parametrize("name", PLAIN)
def test_outputs_are_probabilities(name):
    entry = MODELS[name]
    model = build(ModelConfig(name), entry.input_shape, entry.classes, seed=0)
    output = model.predict_on_batch(pixels(entry.input_shape))
    assert output.dtype == np.float32
    assert output.min() >= 0
    assert output.max() <= 1
    if output.shape[1] > 1:
        np.testing.assert_allclose(output.sum(axis=1), 1, rtol=1e-5)


def test_flower_cnn_ends_in_one_unit_for_two_classes_and_in_a_softmax_for_more():
    assert tutorial.flower_cnn((80, 80, 3), 2).output_shape == (None, 1)
    assert tutorial.flower_cnn((80, 80, 3), 5).output_shape == (None, 5)


def test_flower_cnn_has_the_dropout_of_the_document():
    model = tutorial.flower_cnn((80, 80, 3), 2)
    assert [model.get_layer(name).rate for name in ("dense1_dropout", "dense2_dropout")] == pytest.approx([0.3, 0.2])


@pytest.mark.parametrize("name", PLAIN)
def test_options_reach_every_kernel(name):
    entry = MODELS[name]
    config = ModelConfig(name, dropout=0.4, l1=1e-5, l2=1e-4, batch_norm=True)
    model = build(config, entry.input_shape, entry.classes, seed=0)
    with_kernel = [layer for layer in model.layers if hasattr(layer, "kernel")]
    for layer in with_kernel:
        assert layer.kernel_regularizer.l1 == pytest.approx(1e-5)
        assert layer.kernel_regularizer.l2 == pytest.approx(1e-4)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("BatchNormalization") == len(with_kernel) - 1
    assert "Dropout" in kinds


def test_batch_norm_stands_between_convolution_and_activation():
    model = tutorial.basic_cnn((28, 28, 1), 10, batch_norm=True)
    names = [layer.name for layer in model.layers]
    at = names.index("conv1")
    assert names[at : at + 3] == ["conv1", "conv1_norm", "conv1_activation"]
    assert model.get_layer("conv1").activation is keras.activations.linear
    assert not model.get_layer("conv1").use_bias


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(OptionError, match="did you mean basic_cnn"):
        build(ModelConfig("basic_cn"), (28, 28, 1), 10, seed=0)


@pytest.mark.parametrize(("name", "smallest"), [("basic_cnn", 4), ("comparison_cnn", 6), ("flower_cnn", 4)])
def test_pictures_too_small(name, smallest):
    build(ModelConfig(name), (smallest, smallest, 3), 3, seed=0)
    with pytest.raises(OptionError, match=f"smallest are {smallest}x{smallest}"):
        build(ModelConfig(name), (smallest, smallest - 1, 3), 3, seed=0)


def test_one_class_is_refused():
    with pytest.raises(OptionError, match="at least 2"):
        tutorial.basic_cnn((28, 28, 1), 1)


def first_weights(seed, **options):
    model = build(ModelConfig("basic_cnn", **options), (12, 12, 1), 3, seed=seed)
    return {variable.path: np.asarray(variable) for variable in model.weights}


def test_a_seed_decides_the_first_weights():
    one, same, other = first_weights(7), first_weights(7), first_weights(8)
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["conv1/kernel"], other["conv1/kernel"])


def test_options_leave_the_first_weights_of_the_kernels_what_they_were():
    plain, regularised = first_weights(7), first_weights(7, dropout=0.5, batch_norm=True, l2=1e-4)
    kernels = [name for name in plain if name.endswith("kernel")]
    assert len(kernels) == 4
    assert all(np.array_equal(plain[name], regularised[name]) for name in kernels)


def test_layers_of_one_shape_start_from_different_weights():
    model = keras.Sequential(
        [keras.layers.Input((4,)), keras.layers.Dense(4, name="a"), keras.layers.Dense(4, name="b")]
    )
    filled = fill_seeds(model.get_config(), 0)
    again = keras.Sequential.from_config(filled)
    assert not np.array_equal(*(np.asarray(layer.kernel) for layer in again.layers))


def test_global_random_state_is_left_as_it_was():
    random.seed(1)
    np.random.seed(1)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    build(ModelConfig("basic_cnn", dropout=0.5), (28, 28, 1), 10, seed=3)
    assert random.getstate() == python_state
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy_state, strict=True))


SCRIPT = """
import hashlib, sys, numpy as np
import random; random.seed(int(sys.argv[1])); np.random.seed(int(sys.argv[1]))
from cnnflow.config import ModelConfig
from cnnflow.models.catalog import build
model = build(ModelConfig("basic_cnn", dropout=0.5), (28, 28, 1), 10, seed=5)
images = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 1), dtype=np.uint8)
output = hashlib.sha256()
for variable in model.variables:
    output.update(np.asarray(variable).tobytes())
output.update(np.asarray(model(images, training=True)).tobytes())
print(output.hexdigest())
"""


def test_weights_and_dropout_are_the_same_in_another_process():
    hashes = [
        subprocess.run([sys.executable, "-c", SCRIPT, str(n)], capture_output=True, text=True, check=True).stdout
        for n in (1, 2)
    ]
    assert hashes[0] == hashes[1]
    assert len(hashes[0].strip()) == hashlib.sha256().digest_size * 2
