"""Models in another precision."""

import keras
import numpy as np
import pytest

from cnnflow.models.precision import with_precision
from cnnflow.models.speed_net import speed_net
from cnnflow.models.tutorial import basic_cnn


@pytest.mark.parametrize(
    ("model", "exact"),
    [
        (lambda: basic_cnn((12, 12, 1), 3), {"rescaling", "output_layer"}),
        (lambda: speed_net((12, 12, 3), 3, widths=(8,)), {"rescaling", "logits", "logits_scale", "output_layer"}),
    ],
)
def test_everything_between_pixels_and_logits_computes_in_bfloat16(model, exact):
    plain = model()
    mixed = with_precision(plain, "mixed_bfloat16")
    computed = {layer.name: layer.compute_dtype for layer in mixed.layers if layer.name != "input_layer"}
    assert {name for name, dtype in computed.items() if dtype == "float32"} == exact
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    images = np.random.default_rng(0).integers(0, 256, (8, *plain.input_shape[1:]), dtype=np.uint8)
    output = mixed.predict_on_batch(images)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, plain.predict_on_batch(images), atol=0.05)
    assert keras.config.dtype_policy().name == "float32"


def test_there_and_back_is_the_same_model():
    plain = basic_cnn((12, 12, 1), 3, dropout=0.1)
    back = with_precision(with_precision(plain, "mixed_bfloat16"), "float32")
    assert back.get_config() == plain.get_config()
    assert all(map(np.array_equal, back.get_weights(), plain.get_weights()))
