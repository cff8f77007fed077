"""Training speed against plain Keras on JAX, Keras on PyTorch and TensorFlow, and plain PyTorch and TensorFlow.

    python tests/benchmarks/train.py                      all networks
    python tests/benchmarks/train.py basic_cnn_28:64      some, with their batch sizes

Every peer runs in a process of its own and they take turns, in short rounds, so that a busy machine slows all of them;
the table gives medians, and ratios as the median over the rounds of that round's ratio.
Peers that need another interpreter take it from CNNFLOW_TORCH_PYTHON and CNNFLOW_TENSORFLOW_PYTHON (default: this
one); a peer that cannot start is left out, and says so.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

WORKER = Path(__file__).with_name("_train_worker.py")
CASES = (
    "basic_cnn_28:64",
    "basic_cnn_28:256",
    "basic_cnn_32:64",
    "comparison_cnn:64",
    "flower_cnn:32",
    "resnet18:32",
    "mobilenetv2:32",
)
OURS, PLAIN = "cnnflow", "keras-jax"
PEERS = (
    OURS,
    PLAIN,
    "keras-torch",
    "keras-tensorflow",
    "keras-tensorflow-jit",
    "tensorflow",
    "tensorflow-jit",
    "torch",
    "torch-channels-last",
    "torch-compile",
    "torch-channels-last-compile",
)


def interpreter(peer: str) -> str:
    if "torch" in peer:
        return os.environ.get("CNNFLOW_TORCH_PYTHON", sys.executable)
    if "tensorflow" in peer:
        return os.environ.get("CNNFLOW_TENSORFLOW_PYTHON", sys.executable)
    return sys.executable


@dataclass
class Peer:
    """A worker process and what it measured."""

    name: str
    process: "subprocess.Popen[str]"
    first_step: float = 0.0
    weights: int = 0
    multiply_adds: int = 0
    steps: int = 1
    train: list[float] = field(default_factory=list)
    predict: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    product: float = 0.0

    def ask(self, line: str) -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.read()

    def read(self) -> dict[str, float]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return dict(json.loads(line))
        raise RuntimeError(f"{self.name}: ended with code {self.process.wait()}")


def start(name: str, network: str, batch: int) -> Peer | None:
    command = [interpreter(name), str(WORKER), name, network, str(batch)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    peer = Peer(name, process)
    try:
        ready = peer.read()
    except RuntimeError as error:
        print(f"# left out: {error}", flush=True)
        return None
    peer.first_step = ready["build"] + ready["first_step"]
    peer.weights = int(ready["weights"])
    peer.multiply_adds = int(ready.get("multiply_adds", 0))
    return peer


def measure(case: str, names: list[str], rounds: int, seconds: float) -> list[Peer]:
    """Let the peers take turns, `seconds` each a round."""
    network, _, size = case.partition(":")
    batch = int(size)
    peers = [peer for name in names if (peer := start(name, network, batch)) is not None]
    if len({peer.weights for peer in peers}) > 1:
        raise SystemExit(f"{case}: not one network: {', '.join(f'{peer.name} {peer.weights:,}' for peer in peers)}")
    for peer in peers:
        peer.ask("train 3")
        peer.steps = max(2, round(seconds / (peer.ask("train 5")["seconds"] / 5)))
        peer.ask("predict 2")
    for _ in range(rounds):
        for peer in peers:
            peer.train.append(batch * peer.steps / peer.ask(f"train {peer.steps}")["seconds"])
    for _ in range(min(rounds, 5)):
        for peer in peers:
            peer.predict.append(batch * peer.steps / peer.ask(f"predict {peer.steps}")["seconds"])
    for peer in peers:
        peer.peak_mb = peer.ask("memory")["peak_mb"]
        if peer.multiply_adds:
            peer.product = peer.ask("product")["gflops"]
        peer.process.communicate("quit\n")
    return peers


def ratio(of: list[float], to: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(of, to, strict=True))


def work_done(ours: Peer) -> str:
    """How much of the machine is used: three passes (outputs and two gradients) of two operations a multiply-add."""
    rate = 6 * ours.multiply_adds * statistics.median(ours.train) / 1e9
    return f"cnnflow does {rate:.0f} GFLOP/s by the direct count; a plain matrix product reaches {ours.product:.0f}"


def table(case: str, peers: list[Peer]) -> None:
    ours = next((peer for peer in peers if peer.name == OURS), peers[0])
    print(
        f"\n{case}\n{'peer':30s} {'images/s':>9s} {'cnnflow is':>11s}"
        f" {'predict':>9s} {'first step':>11s} {'peak MB':>8s}"
    )
    for peer in sorted(peers, key=lambda peer: -statistics.median(peer.train)):
        print(
            f"{peer.name:30s} {statistics.median(peer.train):9.0f} {ratio(ours.train, peer.train):10.2f}x"
            f" {statistics.median(peer.predict):9.0f} {peer.first_step:9.1f} s {peer.peak_mb:8.0f}",
            flush=True,
        )
    if ours.multiply_adds:
        print(work_done(ours), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--peers", nargs="*", default=PEERS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    for case in options.cases:
        table(case, measure(case, list(options.peers), options.rounds, options.seconds))


if __name__ == "__main__":
    main()
