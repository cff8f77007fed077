"""Kill a training again and again, and compare what it comes to with one that nobody killed.

Run it: `nox -s torture`, or `python tests/torture.py --kills 100 [--backend torch]`.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

CASE = Path(__file__).with_name("resume_case.py")


def start(runs: Path) -> "subprocess.Popen[str]":
    """The case, trained in `runs` by a process of its own."""
    return subprocess.Popen([sys.executable, str(CASE), str(runs)], stdout=subprocess.PIPE, text=True)


def uninterrupted(runs: Path) -> str:
    """The digest of the case when nothing disturbs it."""
    with start(runs) as process:
        output, _ = process.communicate(timeout=600)
    if process.returncode != 0:
        raise SystemExit(f"the undisturbed run failed with code {process.returncode}")
    return output.splitlines()[-1].removeprefix("digest ")


def kill_in_write(process: "subprocess.Popen[str]", rng: random.Random) -> bool:
    """Kill at a random snapshot, inside its write; False: the run ended before."""
    wait_for = rng.randint(1, 12)
    assert process.stdout is not None
    for line in process.stdout:
        wait_for -= line == "writing\n"
        if wait_for == 0:
            time.sleep(rng.uniform(0, 0.1))
            process.kill()
            return True
    return False


def kill_anywhere(process: "subprocess.Popen[str]", rng: random.Random) -> bool:
    """Kill at a random moment from the start of the process on; False: the run ended before."""
    try:
        process.wait(rng.uniform(0.0, 16.0))
    except subprocess.TimeoutExpired:
        process.kill()
        return True
    return False


def torture(kills: int, seed: int = 0) -> Counter[str]:
    """Kill `kills` times, a third of them inside a write, and count what came of it."""
    rng = random.Random(seed)
    done: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        wanted = uninterrupted(Path(folder) / "undisturbed")
        while done["kills"] < kills:
            runs = Path(folder) / f"run-{done['runs']}"
            for _ in range(rng.randint(1, 6)):
                in_write = rng.random() < 1 / 3
                with start(runs) as process:
                    killed = (kill_in_write if in_write else kill_anywhere)(process, rng)
                    process.wait()
                if not killed:
                    break
                done.update(["kills", "in a write" if in_write else "anywhere"])
            done.update(["runs", "equal" if uninterrupted(runs) == wanted else "different"])
            print(dict(done), flush=True)
    return done


def main() -> None:
    """Print the counts; exit code 1 where a run differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--backend", default="jax")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = options.backend
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    done = torture(options.kills, options.seed)
    print(
        f"backend {options.backend}: {done['kills']} kills, {done['in a write']} of them inside the write of a snapshot"
    )
    print(f"{done['equal']} of {done['runs']} runs equal the undisturbed one to the last bit")
    sys.exit(1 if done["different"] else 0)


if __name__ == "__main__":
    main()
