"""A saved model needs Keras and nothing else, and takes the bytes of pictures."""

import json
import subprocess
import sys

import numpy as np
import pytest

from cnnflow.config import ModelConfig
from cnnflow.models.catalog import MODELS, build

# `-I` leaves out the folder of the tests and PYTHONPATH; an installed cnnflow is made impossible to import.
SCRIPT = """
import json, sys
sys.modules["cnnflow"] = None
import keras, numpy as np
outputs = {}
for name, path in json.loads(sys.argv[1]).items():
    model = keras.models.load_model(path)
    images = np.random.default_rng(0).integers(0, 256, (2, *model.input_shape[1:]), dtype=np.uint8)
    outputs[name] = model.predict_on_batch(images).tolist()
print(json.dumps(outputs))
"""
FAST = ["basic_cnn", "dense_net", "comparison_cnn", "flower_cnn", "vgg_net", "speed_net"]


def check_saved(names, folder):
    paths, expected = {}, {}
    for name in names:
        height, width, channels = MODELS[name].input_shape
        shape = (min(height, 40), min(width, 40), channels)
        model = build(ModelConfig(name, dropout=0.2, l2=1e-4, batch_norm=True), shape, MODELS[name].classes, seed=0)
        images = np.random.default_rng(0).integers(0, 256, (2, *shape), dtype=np.uint8)
        expected[name] = model.predict_on_batch(images)
        paths[name] = str(folder / f"{name}.keras")
        model.save(paths[name])
    done = subprocess.run([sys.executable, "-I", "-c", SCRIPT, json.dumps(paths)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name, output in json.loads(done.stdout).items():
        np.testing.assert_allclose(output, expected[name], atol=1e-6)


def test_saved_models_load_without_cnnflow(tmp_path):
    check_saved(FAST, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODELS if name not in FAST])
def test_saved_large_models_load_without_cnnflow(name, tmp_path):
    check_saved([name], tmp_path)
