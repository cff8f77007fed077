"""The larger networks: their published sizes, their options, and what every entry of the catalog promises."""

from functools import partial

import keras
import numpy as np
import pytest

from cnnflow.config import ModelConfig
from cnnflow.errors import OptionError
from cnnflow.models.catalog import MODELS, build
from cnnflow.models.cost import multiply_adds
from cnnflow.models.densenet import densenet
from cnnflow.models.resnet import resnet, wide_resnet
from cnnflow.models.speed_net import speed_net
from cnnflow.models.transfer import assemble
from cnnflow.models.vgg import vgg_net

SHAPE = (16, 16, 3)
FAMILIES = {
    "resnet": partial(resnet, width=4),
    "wide_resnet": partial(wide_resnet, depth=10, width=1),
    "densenet": partial(densenet, depth=10, growth=4),
    "vgg_net": vgg_net,
    "speed_net": partial(speed_net, widths=(8, 8), convolutions=3),
}
DROPOUTS = {"resnet": 1, "wide_resnet": 3, "densenet": 3, "vgg_net": 4, "speed_net": 1}


def pixels(shape, count=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.mark.parametrize("name", FAMILIES)
def test_outputs_are_probabilities_whatever_the_pictures(name):
    model = FAMILIES[name](SHAPE, 3)
    images = pixels(SHAPE)
    images[0], images[1] = 0, 255
    output = model.predict_on_batch(images)
    assert output.shape == (3, 3)
    assert output.dtype == np.float32
    assert output.min() >= 0
    np.testing.assert_allclose(output.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_options_reach_the_network(name):
    model = FAMILIES[name](SHAPE, 3, dropout=0.4, l1=1e-5, l2=1e-4, batch_norm=True)
    trained = [layer for layer in model.layers if hasattr(layer, "kernel") and layer.trainable]
    assert all(layer.kernel_regularizer.l1 == pytest.approx(1e-5) for layer in trained)
    assert all(layer.kernel_regularizer.l2 == pytest.approx(1e-4) for layer in trained)
    dropouts = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert len(dropouts) == DROPOUTS[name]
    assert dropouts[-1] == pytest.approx(0.4)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("BatchNormalization") >= kinds.count("Conv2D") - 4  # shortcuts, stems and transitions go without


@pytest.mark.parametrize("name", FAMILIES)
def test_every_layer_has_a_name_of_its_own_choice(name):
    # A name that Keras counts up would change from one model to the next, and with it what a seed decides.
    first, second = FAMILIES[name](SHAPE, 3), FAMILIES[name](SHAPE, 3)
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]


def test_a_residual_block_starts_as_the_identity():
    model = resnet((8, 8, 3), 2, width=4)
    before, after = model.get_layer("stem_activation").output, model.get_layer("stage1_block2_2_activation").output
    ends = keras.Model(model.input, [before, after])
    np.testing.assert_allclose(*map(np.asarray, ends(pixels((8, 8, 3)))), atol=1e-6)


def test_large_pictures_get_the_stem_of_imagenet():
    assert resnet((32, 32, 3), 2, width=4).get_layer("stage1_block1_conv1").output.shape[1:3] == (32, 32)
    assert resnet((64, 64, 3), 2, width=4).get_layer("stage1_block1_conv1").output.shape[1:3] == (16, 16)


def test_an_unknown_depth_is_refused():
    with pytest.raises(OptionError, match="choose one of 18, 34"):
        resnet(SHAPE, 3, depth=50)


@pytest.mark.parametrize(("name", "smallest"), [("vgg_net", 8), ("densenet_40", 4), ("speed_net", 9)])
def test_pictures_too_small(name, smallest):
    with pytest.raises(OptionError, match=f"smallest are {smallest}x{smallest}"):
        build(ModelConfig(name), (smallest, smallest - 1, 3), 3, seed=0)


@pytest.mark.parametrize(
    ("factory", "smallest"),
    [(vgg_net, 8), (partial(densenet, depth=10, growth=4), 4), (partial(speed_net, widths=(4, 4, 4)), 9)],
)
def test_the_smallest_pictures_do(factory, smallest):
    assert factory((smallest, smallest, 3), 3).output_shape == (None, 3)


def test_options_of_backbones_are_refused_elsewhere():
    with pytest.raises(OptionError, match="weights=imagenet with model basic_cnn"):
        build(ModelConfig("basic_cnn", weights="imagenet"), (28, 28, 1), 10, seed=0)
    with pytest.raises(OptionError, match="hidden=64 with model resnet18"):
        build(ModelConfig("resnet18", hidden=64), (28, 28, 1), 10, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_figures_of_the_catalog(name):
    entry = MODELS[name]
    model = build(ModelConfig(name), entry.input_shape, entry.classes, seed=0)
    assert model.count_params() == entry.parameters
    assert multiply_adds(model) == entry.multiply_adds


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("wide_resnet_28_10", 36.5e6),  # Zagoruyko and Komodakis 2016, table 4
        ("densenet_100", 0.8e6),  # Huang et al. 2017, table 2
        ("resnet18", 11.17e6),  # the small-image ResNet-18 that CIFAR-10 results are reported for
    ],
)
def test_trained_parameters_are_the_published_ones(name, published):
    model = build(ModelConfig(name), (32, 32, 3), 10, seed=0)
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trained == pytest.approx(published, rel=0.05 if name == "densenet_100" else 0.002)


@pytest.mark.slow
def test_a_backbone_from_scratch_trains_its_normalisation():
    model = assemble("mobilenet_v3_small", (32, 32, 3), 3, hidden=8, dropout=0.1)
    assert model.get_layer("mobilenet_v3_small").trainable_weights
    norm = next(
        layer
        for layer in model.get_layer("mobilenet_v3_small").layers
        if isinstance(layer, keras.layers.BatchNormalization)
    )
    before = np.asarray(norm.moving_mean)
    keras.Model(model.input, model.output)(pixels((32, 32, 3)), training=True)
    assert not np.array_equal(before, np.asarray(norm.moving_mean))
