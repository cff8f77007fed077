"""What the tutorial that cnnflow follows reports of its own comparison, to be shown beside what is measured here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from cnnflow.experiments.comparison import Comparison, Row


@dataclass(frozen=True)
class Claim:
    """Figures that were reported for a network on a dataset; accuracies 0 to 1."""

    parameters: int
    minutes: float
    train_accuracy: float
    test_accuracy: float

    @property
    def gap(self) -> float:
        """Training minus test accuracy."""
        return self.train_accuracy - self.test_accuracy


# Neither epochs nor batch size nor optimizer are reported with these.
CLAIMS: Mapping[tuple[str, str], Claim] = MappingProxyType(
    {
        ("cifar10", "dense_net"): Claim(411_146, 0.71, 0.4883, 0.4678),
        ("cifar10", "comparison_cnn"): Claim(1_634_058, 8.02, 0.8862, 0.6237),
    }
)
# An accuracy that is this near to a reported one reproduces it: runs of the same recipe differ by about as much.
NEAR = 0.02


def claims_for(comparison: Comparison) -> dict[str, Claim]:
    """The reported figures of the comparison's variants, by variant."""
    keys = {row.variant: (comparison.dataset, row.variant) for row in comparison.rows}
    return {variant: CLAIMS[key] for variant, key in keys.items() if key in CLAIMS}


def judge_claims(comparison: Comparison) -> tuple[str, ...]:
    """What of the reported figures reproduces here and what does not, in sentences; empty where none are reported.

    Example:
        >>> judge_claims(compare_outcomes(outcomes))
        ('dense_net, parameters: reproduced (411,146; reported 411,146)', ...)
    """
    claims = claims_for(comparison)
    rows = {row.variant: row for row in comparison.rows}
    lines = [line for variant, claim in claims.items() for line in _judge(rows[variant], claim)]
    return (*lines, *_judge_order([rows[variant] for variant in claims], claims), *_explain(rows, claims))


def _judge(row: Row, claim: Claim) -> list[str]:
    same = "reproduced" if row.parameters == claim.parameters else "not reproduced"
    return [
        f"{row.variant}, parameters: {same} ({row.parameters:,}; reported {claim.parameters:,})",
        _judge_accuracy(row.variant, "training accuracy", row.train_accuracy, claim.train_accuracy),
        _judge_accuracy(row.variant, "test accuracy", row.test_accuracy.value, claim.test_accuracy),
    ]


def _judge_accuracy(variant: str, what: str, here: float, there: float) -> str:
    if abs(here - there) <= NEAR:
        verdict = f"reproduced within {100 * NEAR:g} points"
    else:
        verdict = f"{100 * abs(here - there):.1f} points {'higher' if here > there else 'lower'}"
    return f"{variant}, {what}: {verdict} ({here:.2%}; reported {there:.2%})"


def _judge_order(rows: Sequence[Row], claims: Mapping[str, Claim]) -> list[str]:
    """Whether the order by test accuracy, by gap and by time is the reported one."""
    if len(rows) < 2:
        return []
    measures = {
        "test accuracy": ([r.test_accuracy.value for r in rows], [claims[r.variant].test_accuracy for r in rows]),
        "generalization gap": ([r.gap for r in rows], [claims[r.variant].gap for r in rows]),
        "training time": ([r.seconds for r in rows], [claims[r.variant].minutes for r in rows]),
    }
    lines = []
    for what, (here, there) in measures.items():
        verdict = "reproduced" if np.array_equal(np.argsort(here), np.argsort(there)) else "not reproduced"
        order = " < ".join(rows[i].variant for i in np.argsort(here))
        lines.append(f"order by {what}: {verdict} ({order})")
    return lines


def _explain(rows: Mapping[str, Row], claims: Mapping[str, Claim]) -> list[str]:
    if not claims:
        return []
    ratio = {variant: rows[variant].seconds / 60 / claim.minutes for variant, claim in claims.items()}
    times = ", ".join(f"{variant} in {100 * share:.0f}% of the time" for variant, share in ratio.items())
    return [
        f"times are those of another machine: here {times}",
        "epochs, batch size and optimizer are not reported; the dense network gets to its training accuracy in 8 to 11 "
        "epochs of Adam in batches of 32 to 128 (--epochs 10 is near)",
    ]
