"""Train on one backend, use on another: JAX, PyTorch and TensorFlow give the same answers.

Run it: `python examples/09_any_backend.py` (`--quick`: fewer images; `--train-on torch`: another backend to train on).
A backend is chosen when Keras is imported, so that each one works in a process of its own here.
Those that are not installed are named and left out: `pip install 'cnnflow[torch]'` or `'cnnflow[tensorflow]'`.
"""

import argparse
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

OUTPUT = Path(__file__).parent / "output"
BACKENDS = ("jax", "torch", "tensorflow")

# Trains, and writes the model and what it says of some test images.
TRAIN = """
import sys, numpy as np, cnnflow

folder, count = sys.argv[1], int(sys.argv[2])
where = cnnflow.DataConfig("fashion", limit=count)
splits = cnnflow.split(cnnflow.load(where), where, seed=0)
model = cnnflow.build(cnnflow.ModelConfig("basic_cnn"), (28, 28, 1), 10, seed=0)
cnnflow.fit(model, splits.train, splits.validation, cnnflow.Recipe(epochs=2, learning_rate=0.002), seed=0)
model.save(f"{folder}/09_model.keras")
np.savez(f"{folder}/09_images.npz", images=splits.test.images[:500], labels=splits.test.labels[:500])
"""

# Uses the model. No cnnflow here: the file holds stock Keras layers only and takes the bytes of a picture.
USE = """
import sys, keras, numpy as np

folder = sys.argv[1]
images = np.load(f"{folder}/09_images.npz")["images"]
model = keras.saving.load_model(f"{folder}/09_model.keras")
np.save(f"{folder}/09_{keras.backend.backend()}.npy", model.predict(images, verbose=0))
"""


def run(program: str, backend: str, *arguments: str) -> None:
    """Run a program in a process of its own, in which Keras uses this backend."""
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"}
    subprocess.run([sys.executable, "-c", program, *arguments], env=environment, check=True)


def main() -> None:
    """Print what was found, and write it as JSON beside the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="train on 2,000 images instead of 20,000")
    parser.add_argument("--train-on", default="jax", choices=BACKENDS)
    options = parser.parse_args()

    installed = [backend for backend in BACKENDS if find_spec(backend)]
    missing = [backend for backend in BACKENDS if backend not in installed]
    for backend in missing:
        print(f"{backend} is not installed; pip install 'cnnflow[{backend}]' adds it")
    if options.train_on in missing:
        raise SystemExit(f"--train-on {options.train_on}: it is not installed; here are {', '.join(installed)}")

    OUTPUT.mkdir(exist_ok=True)
    print(f"training on {options.train_on} ...")
    run(TRAIN, options.train_on, str(OUTPUT), "2000" if options.quick else "20000")

    labels = np.load(OUTPUT / "09_images.npz")["labels"]
    answers = {}
    for backend in installed:
        run(USE, backend, str(OUTPUT))
        answers[backend] = np.load(OUTPUT / f"09_{backend}.npy")
        accuracy = float(np.mean(answers[backend].argmax(axis=1) == labels))
        print(f"used on {backend}: accuracy {accuracy:.2%} on {len(labels)} test images")

    differences = {
        backend: float(np.abs(found - answers[options.train_on]).max()) for backend, found in answers.items()
    }
    for backend, difference in differences.items():
        if backend != options.train_on:
            print(f"the largest difference of a probability between {options.train_on} and {backend}: {difference:.1e}")
    if len(installed) == 1:
        print("There is no other backend here to compare with; the model file itself would load on any.")
    right = float(np.mean(answers[options.train_on].argmax(axis=1) == labels))
    found = {"trained_on": options.train_on, "accuracy": right, "differences": differences, "missing": missing}
    (OUTPUT / "09_any_backend.json").write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
