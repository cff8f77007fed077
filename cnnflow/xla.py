"""What is known of the XLA inside jaxlib that its public interface does not promise."""

import os
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

TESTED_JAXLIB = ("0.10.2",)
_EMITTERS = "--xla_cpu_use_fusion_emitters"


@cache
def tested() -> bool:
    """Whether this is a jaxlib whose inside was tested with cnnflow, on Linux on x86-64."""
    try:
        known = version("jaxlib") in TESTED_JAXLIB
    except PackageNotFoundError:
        known = False
    return known and sys.platform == "linux" and platform.machine() == "x86_64"


@cache
def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 numbers (AVX-512 BF16, AMX), as Linux tells."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags.split())


def use_older_emitters() -> bool:
    """Have XLA write its CPU loops as it did before its fusion emitters; gives whether it was told so.

    Two cores, images a second through `fit`, in turns: MobileNetV2 at 96x96 202 with those of jaxlib 0.10.2, 246 with
    the older ones, which keep 1.83 cores busy instead of 1.67; ResNet-18 at 32x32 and the small networks level;
    programs of small networks compile in 0.6 of the time, MobileNetV2's in 0.8. XLA reads its flags when it computes
    something for the first time: too late, this does nothing. What XLA_FLAGS already says of it stays, and an unknown
    flag would end the process, so that only a tested jaxlib is told.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if _EMITTERS in flags or not tested():
        return False
    os.environ["XLA_FLAGS"] = f"{flags} {_EMITTERS}=false".strip()
    return True
