"""One peer of the training benchmark, in a process of its own: `python _train_worker.py PEER NETWORK BATCH`.

Reads `train STEPS`, `predict BATCHES`, `memory` or `product` lines and answers each with one JSON line; `quit` or the
end of the input ends it. The first line that it writes says how long the start and the first step took. Images are
uint8 in memory and a step takes the next batch of them, as training on a small data set does.
"""

import json
import os
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

IMAGES = 8192

Train = Callable[[int], None]


def images_of(shape: tuple[int, int, int], classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    count = IMAGES if shape[0] < 64 else IMAGES // 16
    images = rng.integers(0, 256, size=(count, *shape), dtype=np.uint8)
    return images, rng.integers(0, classes, size=count).astype(np.int64)


def batches(images: np.ndarray, labels: np.ndarray, batch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless shuffled batches."""
    rng = np.random.default_rng(1)
    while True:
        order = rng.permutation(len(images))
        for start in range(0, len(order) - batch + 1, batch):
            rows = order[start : start + batch]
            yield images[rows], labels[rows]


class Paused:
    """A training that runs in a thread of its own and waits whenever it has done the steps that were asked for.

    `cnnflow.fit` is one call for a whole training; being asked after each step whether it should stop, it can be held
    there, so that what is measured is the inside of one long training.
    """

    def __init__(self, training: Callable[[Callable[[], bool]], object]) -> None:
        self._left, self._go, self._done = 0, threading.Event(), threading.Event()
        self._thread = threading.Thread(target=training, args=(self._after_step,), daemon=True)

    def train(self, steps: int) -> None:
        self._left = steps
        self._done.clear()
        if self._thread.ident is None:
            self._thread.start()
        self._go.set()
        self._done.wait()

    def _after_step(self) -> bool:
        self._left -= 1
        if self._left == 0:
            self._go.clear()
            self._done.set()
            self._go.wait()
        return False


def cnnflow_peer(network: str, batch: int) -> tuple[Train, Train, int]:
    """`cnnflow.fit` and `cnnflow.predict`, as the command line runs them; no snapshots, a few images for validation."""
    from cnnflow.kernels import enable_compilation_cache
    from cnnflow.process import prepare_for_jax

    prepare_for_jax()
    enable_compilation_cache()
    import _train_networks

    import cnnflow

    model = _train_networks.build(network)
    shape, classes = _train_networks.SHAPES[network]
    images, labels = images_of(shape, classes)
    names = tuple(map(str, range(classes)))
    few = cnnflow.ImageSet(images[:classes], np.arange(classes), names, [""] * classes)
    endless = cnnflow.ImageSet(images, labels, names, [""] * len(images))
    recipe = cnnflow.Recipe(epochs=100_000, batch_size=batch)
    training = Paused(lambda should_stop: cnnflow.fit(model, endless, few, recipe, should_stop=should_stop))

    # Of its own: while a training waits, Keras holds its model's variables.
    other = _train_networks.build(network)
    cnnflow.accelerate(other)

    def predict(steps: int) -> None:
        cnnflow.predict(other, images[np.arange(steps * batch) % len(images)], batch_size=batch)

    return training.train, predict, model.count_params()


def keras_peer(peer: str, network: str, batch: int) -> tuple[Train, Train, int]:
    """Stock Keras `model.fit` on the backend in the peer's name."""
    import _train_networks

    model = _train_networks.build(network)
    jit = {"keras-tensorflow": False, "keras-tensorflow-jit": True}.get(peer, "auto")
    model.compile("adam", _train_networks.loss_of(network), metrics=["accuracy"], jit_compile=jit)
    shape, classes = _train_networks.SHAPES[network]
    images, labels = images_of(shape, classes)
    stream = batches(images, labels, batch)

    def train(steps: int) -> None:
        model.fit(stream, steps_per_epoch=steps, epochs=1, verbose=0)

    def predict(steps: int) -> None:
        rows = np.arange(steps * batch) % len(images)
        model.predict(images[rows], batch_size=batch, verbose=0)

    return train, predict, model.count_params()


def tensorflow_peer(peer: str, network: str, batch: int) -> tuple[Train, Train, int]:
    """The Keras model in a bare `tf.function` loop, without tf.data."""
    import _train_networks
    import tensorflow as tf

    model = _train_networks.build(network)
    shape, classes = _train_networks.SHAPES[network]
    images, labels = images_of(shape, classes)
    stream = batches(images, labels, batch)
    import keras

    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    loss_of = _train_networks.loss_of(network)

    @tf.function(jit_compile=peer.endswith("jit"))
    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    run = tf.function(lambda x: model(x, training=False), jit_compile=peer.endswith("jit"))

    def train(steps: int) -> None:
        for _ in range(steps):
            x, y = next(stream)
            loss = step(tf.constant(x), tf.constant(y))
        float(loss)

    def predict(steps: int) -> None:
        for _ in range(steps):
            run(tf.constant(images[:batch])).numpy()

    return train, predict, model.count_params()


def torch_peer(peer: str, network: str, batch: int) -> tuple[Train, Train, int]:
    """Plain PyTorch, with `channels_last`, `compile` or both in the peer's name."""
    import _train_torch
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    layout = torch.channels_last if "channels-last" in peer else torch.contiguous_format
    module = _train_torch.build(network).to(memory_format=layout)
    called = torch.compile(module) if "compile" in peer else module
    optimizer = torch.optim.Adam(module.parameters(), 1e-3, eps=1e-7, fused=True)
    shape, classes = _train_torch.SHAPES[network]
    stream = batches(*images_of(shape, classes), batch)

    def loss_of(logits: Any, labels: Any) -> Any:
        if classes == 2:
            return torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], labels.float())
        return torch.nn.functional.cross_entropy(logits, labels)

    def tensor(x: np.ndarray) -> Any:
        return torch.from_numpy(x).permute(0, 3, 1, 2).float().contiguous(memory_format=layout)

    def train(steps: int) -> None:
        module.train()
        for _ in range(steps):
            x, y = next(stream)
            loss = loss_of(called(tensor(x)), torch.from_numpy(y))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        loss.item()

    def predict(steps: int) -> None:
        module.eval()
        with torch.inference_mode():
            for _ in range(steps):
                x, _ = next(stream)
                called(tensor(x)).numpy()

    return train, predict, sum(value.numel() for value in module.state_dict().values() if value.is_floating_point())


def start(peer: str, network: str, batch: int) -> tuple[Train, Train, int]:
    if peer.startswith("torch"):
        return torch_peer(peer, network, batch)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    backend = peer.split("-")[1] if peer.startswith("keras-") else "jax" if peer == "cnnflow" else "tensorflow"
    os.environ["KERAS_BACKEND"] = backend
    if peer == "cnnflow":
        return cnnflow_peer(network, batch)
    # Stock Keras: the networks come from cnnflow.models, which would prepare the process for its own operations.
    os.environ["CNNFLOW_KERNELS"] = "off"
    if peer.startswith("tensorflow"):
        return tensorflow_peer(peer, network, batch)
    return keras_peer(peer, network, batch)


def multiply_adds_of(network: str) -> int:
    import _train_networks

    from cnnflow.models.cost import multiply_adds

    return multiply_adds(_train_networks.build(network))


def product_gflops() -> float:
    """GFLOP/s of a large float32 matrix product, by the library that computes the convolutions."""
    import jax

    from cnnflow.kernels import onednn

    a = jax.numpy.ones((2048, 2048))
    multiply = jax.jit(partial(onednn.product, False, False) if onednn.available() else jax.numpy.matmul)
    seconds = []
    for _ in range(6):
        begin = time.perf_counter()
        multiply(a, a).block_until_ready()
        seconds.append(time.perf_counter() - begin)
    return float(2 * 2048**3 / statistics.median(seconds[1:]) / 1e9)


def answer(content: dict[str, float]) -> None:
    print(json.dumps(content), flush=True)


def main() -> None:
    peer, network, batch = sys.argv[1], sys.argv[2], int(sys.argv[3])
    begin = time.perf_counter()
    train, predict, weights = start(peer, network, batch)
    ready = time.perf_counter()
    train(1)
    said = {"build": ready - begin, "first_step": time.perf_counter() - ready, "weights": weights}
    answer(said | ({"multiply_adds": multiply_adds_of(network)} if peer == "cnnflow" else {}))
    work = {"train": train, "predict": predict}
    for line in sys.stdin:
        word, _, count = line.strip().partition(" ")
        if word == "quit":
            return
        if word == "memory":
            answer({"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024})
            continue
        if word == "product":
            answer({"gflops": product_gflops()})
            continue
        begin = time.perf_counter()
        work[word](int(count))
        answer({"seconds": time.perf_counter() - begin})


if __name__ == "__main__":
    main()
