"""Training in another precision, in a model that stays what it is."""

import keras
import numpy as np
import pytest

import cnnflow.training.precision
from cnnflow.config import Recipe
from cnnflow.data.image_set import ImageSet
from cnnflow.models.speed_net import speed_net
from cnnflow.models.transfer import assemble
from cnnflow.models.tutorial import basic_cnn
from cnnflow.training.fit import fit
from cnnflow.training.precision import chosen, computing_in

BFLOAT16 = "mixed_bfloat16"


def dtypes(model):
    return {layer.name: layer.compute_dtype for layer in model.layers if layer.name != "input_layer"}


@pytest.mark.parametrize(
    ("model", "exact"),
    [
        (lambda: basic_cnn((12, 12, 1), 3), {"rescaling", "output_layer"}),
        (lambda: speed_net((12, 12, 3), 3, widths=(8,)), {"rescaling", "logits", "logits_scale", "output_layer"}),
    ],
)
def test_everything_between_pixels_and_logits_computes_in_bfloat16(model, exact):
    plain = model()
    before = plain.to_json()
    images = np.random.default_rng(0).integers(0, 256, (8, *plain.input_shape[1:]), dtype=np.uint8)
    want = keras.Model(plain.inputs, plain.outputs).predict_on_batch(images)
    with computing_in(plain, BFLOAT16):
        assert {name for name, dtype in dtypes(plain).items() if dtype == "float32"} == exact
        got = plain.predict_on_batch(images)
        assert keras.config.dtype_policy().name == "float32"
    assert got.dtype == np.float32
    assert 0 < np.abs(got - want).max() < 0.05
    assert {weight.dtype for weight in plain.weights} == {"float32"}
    assert set(dtypes(plain).values()) == {"float32"}
    assert plain.to_json() == before


def test_the_layers_of_a_backbone_too():
    model = assemble("mobilenet_v3_small", (32, 32, 3), 3)
    (backbone,) = (layer for layer in model.layers if isinstance(layer, keras.Model))
    with computing_in(model, BFLOAT16):
        found = {layer.compute_dtype for layer in backbone.layers if layer.weights}
    assert found == {"bfloat16"}


def test_a_model_is_itself_again_after_an_error():
    model = basic_cnn((12, 12, 1), 3)
    with pytest.raises(ValueError, match="within"), computing_in(model, BFLOAT16):
        raise ValueError("within")
    assert set(dtypes(model).values()) == {"float32"}


@pytest.mark.parametrize(("fast", "policy"), [(True, BFLOAT16), (False, "float32")])
def test_auto_is_what_the_processor_does_faster(monkeypatch, fast, policy):
    monkeypatch.setattr(cnnflow.training.precision, "multiplies_bfloat16", lambda: fast)
    assert chosen("auto") == policy
    assert (chosen("float32"), chosen(BFLOAT16)) == ("float32", BFLOAT16)


def stripes(count):
    """Pictures of lying and of standing stripes, with noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    lying = np.where(np.arange(12) % 4 < 2, 200, 50)[:, None] * np.ones((1, 12))
    clean = np.where(labels[:, None, None] == 0, lying, lying.T)
    pictures = np.clip(clean + rng.normal(0, 20, clean.shape), 0, 255).astype(np.uint8)
    return ImageSet(pictures[..., None], labels.astype(np.int64), ("lying", "standing"), tuple(["test"] * count))


def test_a_network_learns_in_bfloat16_and_other_numbers_than_in_float32():
    weights, accuracies = {}, {}
    for precision in ("float32", BFLOAT16):
        keras.utils.set_random_seed(0)
        model = basic_cnn((12, 12, 1), 2)
        result = fit(model, stripes(128), stripes(64), Recipe(epochs=3, batch_size=16, precision=precision))
        weights[precision] = np.concatenate([value.ravel() for value in model.get_weights()])
        accuracies[precision] = result.state.history[-1]["val_accuracy"]
        assert set(dtypes(model).values()) == {"float32"}
    assert accuracies[BFLOAT16] == accuracies["float32"] == 1.0
    assert 0 < np.abs(weights[BFLOAT16] - weights["float32"]).max() < 0.1
