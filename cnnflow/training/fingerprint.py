"""What a run's bits depend on besides its snapshot, and whether it may go on where that has changed."""

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import keras

import cnnflow
from cnnflow.config import FitConfig, to_dict
from cnnflow.errors import RunError
from cnnflow.events import Caution, OnEvent
from cnnflow.kernels import engine

_PACKAGES = ("keras", "jax", "jaxlib", "torch", "tensorflow", "numpy", "pillow")
# Another value of these makes another run, not another rounding of the same one.
_ESSENTIAL = ("config", "data", "backend")


def describe_machine() -> dict[str, str]:
    """Versions, backend, device and cores, as environment.json and fingerprints have them."""
    return {
        "cnnflow": cnnflow.__version__,
        "python": platform.python_version(),
        **{name: found for name in _PACKAGES if (found := _version(name))},
        "backend": keras.backend.backend(),
        "device": ", ".join(devices()),
        "cores": str(available_cores()),
        "machine": platform.machine(),
        "system": platform.platform(),
        "floatx": keras.config.floatx(),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
        "kernels": engine(),
    }


def make_fingerprint(config: FitConfig, image_hashes: Iterable[str]) -> dict[str, str]:
    """The machine, the options, and the sha256 of all images' hashes in their order."""
    return {
        "config": json.dumps(to_dict(config), sort_keys=True),
        "data": hashlib.sha256("".join(image_hashes).encode()).hexdigest(),
        **describe_machine(),
    }


def check_fingerprint(old: Mapping[str, Any], new: Mapping[str, str], *, anyway: bool, on_event: OnEvent) -> None:
    """Raise `RunError` with the first field in which `new` differs from the snapshot's `old`.

    With `anyway` only another config, other data or another backend is refused; other versions, cores or flags are a
    caution, since the run then goes on well, but not to the last bit.
    """
    for name in [n for n in (*_ESSENTIAL, *new) if old.get(n) != new.get(n)]:
        message = f"{name} was {_brief(old.get(name))} when the run was stopped and is {_brief(new.get(name))} now"
        if name in _ESSENTIAL:
            raise RunError(f"{message}; the run cannot go on with it, start a new one with `cnnflow fit`")
        if not anyway:
            raise RunError(f"{message}; the result would differ in its last bits, --resume-anyway accepts that")
        on_event(Caution(f"{message}; the result will differ in its last bits"))


def devices() -> list[str]:
    """The devices that the backend computes on, such as "cpu:0"."""
    try:
        return list(keras.distribution.list_devices())
    except AttributeError:
        # Keras has no distribution on torch; a tensor tells where it lives.
        return [str(keras.ops.zeros(()).device)]


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return version("tensorflow-cpu") if package == "tensorflow" and _has("tensorflow-cpu") else None


def _has(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _brief(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "...")
