"""One factor at a time: what a change to a base recipe brings, and what cannot be told."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnflow.config import FitConfig, from_dict, to_dict
from cnnflow.data.image_set import Dataset
from cnnflow.data.sources import load
from cnnflow.errors import OptionError
from cnnflow.events import Note, OnEvent, ignore
from cnnflow.experiments.command import fit_command
from cnnflow.experiments.comparison import Comparison, compare_outcomes
from cnnflow.experiments.factors import Variant, grid_of, reference, variants_of
from cnnflow.experiments.markdown import study_markdown
from cnnflow.experiments.plan import save_plan
from cnnflow.experiments.rates import find_rate
from cnnflow.experiments.trials import Outcome, Trial, by_variant, run_trials
from cnnflow.files import write_json, write_text
from cnnflow.plots.comparison import plot_gaps, plot_learning
from cnnflow.training.stopping import ShouldStop, never


@dataclass(frozen=True)
class StudyPlan:
    """What is studied.

    Attributes:
        base: the recipe that is varied; seeds are counted up from its seed.
        factors: names of `FACTORS`, one after the other.
        grid: every combination of the factors' variants instead.
        seeds: how often each variant is trained.
        wanted: the difference in accuracy that matters; sample sizes are for it.
    """

    base: FitConfig
    factors: tuple[str, ...]
    grid: bool = False
    seeds: int = 3
    wanted: float = 0.01

    def __post_init__(self) -> None:
        if not self.factors or len(set(self.factors)) < len(self.factors):
            raise OptionError(f"factors {', '.join(self.factors) or 'none'}; name at least one, each once")
        if self.seeds < 1:
            raise OptionError(f"seeds={self.seeds}; it must be at least 1")
        if not 0 < self.wanted < 1:
            raise OptionError(f"wanted={self.wanted}; it must be above 0 and below 1, such as 0.01 for one point")
        for variants in self.variants.values():
            for variant in variants:
                variant.applied(self.base)

    @property
    def variants(self) -> dict[str, list[Variant]]:
        """The variants of each part of the study: a factor, or the whole grid."""
        if self.grid:
            return {" x ".join(self.factors): grid_of(self.factors, self.base)}
        return {factor: variants_of(factor, self.base) for factor in self.factors}

    def to_dict(self) -> dict[str, Any]:
        """The plan in JSON's types."""
        return {
            "base": to_dict(self.base),
            "factors": list(self.factors),
            "grid": self.grid,
            "seeds": self.seeds,
            "wanted": self.wanted,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "StudyPlan":
        """The plan that `to_dict` described."""
        base = from_dict(content["base"])
        return cls(base, tuple(content["factors"]), content["grid"], content["seeds"], content["wanted"])


@dataclass(frozen=True)
class Part:
    """What a study found on one factor.

    Attributes:
        factor: its name.
        reference: the variant that others are compared with.
        comparison: the variants by validation accuracy, best first, and each one's difference from the reference.
        rates: the learning rates that were searched for, by variant; empty where the base's was kept.
        command: trains the best variant: the one with the highest validation accuracy.
    """

    factor: str
    reference: str
    comparison: Comparison
    rates: Mapping[str, float]
    command: str

    @property
    def best(self) -> str:
        """The variant with the highest validation accuracy; test images choose nothing."""
        return self.comparison.rows[0].variant

    def to_dict(self) -> dict[str, Any]:
        """The part in JSON's types."""
        return {
            "factor": self.factor,
            "reference": self.reference,
            "best": self.best,
            "command": self.command,
            "rates": dict(self.rates),
            **self.comparison.to_dict(),
        }


def study(
    plan: StudyPlan,
    folder: Path,
    *,
    dataset: Dataset | None = None,
    should_stop: ShouldStop = never,
    on_event: OnEvent = ignore,
) -> tuple[Part, ...] | None:
    """Train every variant that `plan` asks for, and rank them by their validation accuracy.

    `folder` gets the plan, a run folder a trial, study.json, study.md and plots. The same call on the same folder goes
    on where it was interrupted.

    Returns:
        What was found on each factor; None where `should_stop` said to stop.

    Raises:
        OptionError: a variant cannot be, such as batch norm in a network that has no place for it.
        RunError: the folder has another plan.

    Example:
        >>> base = FitConfig(DataConfig("fashion", limit=5000), recipe=Recipe(epochs=10))
        >>> parts = study(StudyPlan(base, ("regularization",)), Path("runs/study-001"))
        >>> parts[0].best, parts[0].command
        ('dropout', 'cnnflow fit fashion --dropout 0.3 --epochs 10')
    """
    save_plan(folder, "study", plan.to_dict())
    dataset = dataset or load(plan.base.data, on_event=on_event)
    parts = []
    for factor, variants in plan.variants.items():
        on_event(Note(f"study of {factor}: {', '.join(variant.name for variant in variants)}"))
        part = _study_part(plan, factor, variants, folder, dataset, should_stop, on_event)
        if part is None:
            return None
        parts.append(part)
        # After each part, so that an interrupted study has the parts that are done.
        write_json(folder / "study.json", [part.to_dict() for part in parts])
        write_text(folder / "study.md", study_markdown(parts))
    return tuple(parts)


def _study_part(
    plan: StudyPlan,
    factor: str,
    variants: Sequence[Variant],
    folder: Path,
    dataset: Dataset,
    should_stop: ShouldStop,
    on_event: OnEvent,
) -> Part | None:
    place = folder / "-".join(factor.split(" "))
    rates: dict[str, float] = {}
    for variant in variants:
        if variant.rates:
            rate = find_rate(
                variant, plan.base, place / "search", dataset=dataset, should_stop=should_stop, on_event=on_event
            )
            if rate is None:
                return None
            rates[variant.name] = rate
    configs = {variant.name: _with_rate(variant.applied(plan.base), rates.get(variant.name)) for variant in variants}
    trials = [
        Trial(name, dataclasses.replace(config, seed=config.seed + number))
        for number in range(plan.seeds)
        for name, config in configs.items()
    ]
    outcomes = run_trials(trials, place, dataset=dataset, should_stop=should_stop, on_event=on_event)
    if len(outcomes) < len(trials):
        return None
    chosen = reference(variants, plan.base).name
    comparison = _ranked(compare_outcomes(outcomes, wanted=plan.wanted, against=chosen))
    _draw(comparison, outcomes, folder / "plots", place.name)
    best = configs[comparison.rows[0].variant]
    return Part(factor, chosen, comparison, rates, fit_command(best, dataset))


def _with_rate(config: FitConfig, rate: float | None) -> FitConfig:
    if rate is None:
        return config
    return dataclasses.replace(config, recipe=dataclasses.replace(config.recipe, learning_rate=rate))


def _ranked(comparison: Comparison) -> Comparison:
    rows = sorted(comparison.rows, key=lambda row: -row.validation_accuracy)
    places = {row.variant: place for place, row in enumerate(rows)}
    pairs = sorted(comparison.pairs, key=lambda pair: places[pair.b])
    return dataclasses.replace(comparison, rows=tuple(rows), pairs=tuple(pairs))


def _draw(comparison: Comparison, outcomes: Sequence[Outcome], folder: Path, name: str) -> None:
    groups = by_variant(outcomes)
    plot_learning(
        {row.variant: [outcome.history for outcome in groups[row.variant]] for row in comparison.rows},
        folder / f"{name}-learning.png",
    )
    plot_gaps(
        {row.variant: row.train_accuracy for row in comparison.rows},
        {row.variant: row.test_accuracy for row in comparison.rows},
        folder / f"{name}-gap.png",
    )
