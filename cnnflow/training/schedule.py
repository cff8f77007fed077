"""Learning-rate schedules: plain functions from progress (0 at the first step, 1 after the last) to a factor.

The learning rate of a step is the recipe's highest one times this factor. A schedule knows nothing of steps or
seconds, so that one schedule serves a run of a number of epochs and a run with a time limit.
"""

import math
from collections.abc import Callable

Schedule = Callable[[float], float]

# One-cycle (Smith and Topin 2018, arXiv:1708.07120, section 3): where the peak is, and how low it starts.
_PEAK = 0.3
_START = 1 / 25


def constant(progress: float) -> float:
    """1 everywhere."""
    return 1.0


def linear(progress: float) -> float:
    """From 1 down to 0 in a straight line."""
    return 1.0 - progress


def cosine(progress: float) -> float:
    """From 1 down to 0 along half a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5)."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def one_cycle(progress: float) -> float:
    """Up from 1/25 to 1 in the first 30%, then down to 0, both along half a cosine."""
    if progress < _PEAK:
        return _START + (1.0 - _START) * (1.0 - cosine(progress / _PEAK))
    return cosine((progress - _PEAK) / (1.0 - _PEAK))


def with_warmup(schedule: Schedule, warmup: float) -> Schedule:
    """`schedule` after a straight rise from 0 in the first `warmup` (fraction of all progress)."""
    if warmup == 0:
        return schedule

    def warmed(progress: float) -> float:
        if progress < warmup:
            return progress / warmup
        return schedule((progress - warmup) / (1.0 - warmup))

    return warmed


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "cosine": cosine,
    "one-cycle": one_cycle,
    "linear": linear,
}
