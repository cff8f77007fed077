"""What the process is told before JAX starts, and the variable of the environment that forbids it."""

import os

from cnnflow.config import one_of
from cnnflow.memory import keep_freed_memory
from cnnflow.xla import use_older_emitters

SWITCH = "CNNFLOW_KERNELS"


def switch() -> str:
    """CNNFLOW_KERNELS: "xla", "off" or, where nothing is said, ""; raises `OptionError` for anything else."""
    said = os.environ.get(SWITCH, "").lower()
    if said:
        one_of(SWITCH, said, ("xla", "off"))
    return said


def prepare_for_jax() -> None:
    """Keep freed memory and choose XLA's emitters; must run before JAX starts. Nothing with CNNFLOW_KERNELS=off."""
    if switch() != "off":
        keep_freed_memory()
        use_older_emitters()
