"""Train several networks under equal conditions, and say which is better and what is not shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cnnflow.config import FitConfig, from_dict, to_dict
from cnnflow.data.image_set import Dataset
from cnnflow.errors import OptionError
from cnnflow.events import Caution, OnEvent, ignore
from cnnflow.experiments.comparison import Comparison, compare_outcomes
from cnnflow.experiments.markdown import comparison_markdown
from cnnflow.experiments.plan import save_plan
from cnnflow.experiments.trials import Outcome, Trial, by_variant, read_outcome, run_trials
from cnnflow.files import write_json, write_text
from cnnflow.models.cost import multiply_adds
from cnnflow.plots.comparison import plot_class_differences, plot_gaps, plot_learning
from cnnflow.training.run_folder import RunFolder
from cnnflow.training.stopping import ShouldStop, never
from cnnflow.training.trained import load_trained


@dataclass(frozen=True)
class ComparisonPlan:
    """What is compared.

    Attributes:
        configs: options of each variant that is trained, by its name; seeds are counted up from each one's seed.
        runs: runs that are there already, by the name that they get in tables.
        seeds: how often each variant is trained; 1 where there are `runs`.
        wanted: the difference in accuracy that matters; sample sizes are for it.
    """

    configs: Mapping[str, FitConfig] = field(default_factory=dict)
    runs: Mapping[str, str] = field(default_factory=dict)
    seeds: int = 3
    wanted: float = 0.01

    def __post_init__(self) -> None:
        if len(self.configs) + len(self.runs) < 2 or set(self.configs) & set(self.runs):
            raise OptionError(
                f"{', '.join([*self.configs, *self.runs])}; a comparison needs two or more of other names"
            )
        if self.seeds < 1 or (self.runs and self.seeds > 1):
            raise OptionError(
                f"seeds={self.seeds}; it must be at least 1, and 1 where a run is compared, which has one"
            )
        if not 0 < self.wanted < 1:
            raise OptionError(f"wanted={self.wanted}; it must be above 0 and below 1, such as 0.01 for one point")

    @property
    def trials(self) -> list[Trial]:
        """The trainings, seed by seed, so that a comparison that is stopped early has something of every variant."""
        return [
            Trial(name, replace(config, seed=config.seed + number))
            for number in range(self.seeds)
            for name, config in self.configs.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """The plan in JSON's types."""
        configs = {name: to_dict(config) for name, config in self.configs.items()}
        return {"configs": configs, "runs": dict(self.runs), "seeds": self.seeds, "wanted": self.wanted}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ComparisonPlan":
        """The plan that `to_dict` described."""
        configs = {name: from_dict(config) for name, config in content["configs"].items()}
        return cls(configs, content["runs"], content["seeds"], content["wanted"])


def compare(
    plan: ComparisonPlan,
    folder: Path,
    *,
    dataset: Dataset | None = None,
    should_stop: ShouldStop = never,
    on_event: OnEvent = ignore,
) -> Comparison | None:
    """Train what `plan` says, with equal splits and batches, and compare the answers to the test images.

    `folder` gets the plan, a run folder a trial, compare.json, compare.md and plots. The same call on the same folder
    goes on where it was interrupted.

    Args:
        plan: what is compared.
        folder: a folder of its own.
        dataset: what `load` gives for the configs' data, where the caller has it already.
        should_stop: is asked after every step.
        on_event: receives what happens.

    Returns:
        The comparison; None where `should_stop` said to stop.

    Raises:
        RunError: the runs were tested on different images, or the folder has another plan.

    Example:
        >>> plan = ComparisonPlan({name: FitConfig(data, ModelConfig(name)) for name in ("dense_net", "basic_cnn")})
        >>> compare(plan, Path("runs/compare-001")).pairs[0].sentence
        'basic_cnn is more accurate than dense_net, by 2.1 to 3.4 points.'
    """
    save_plan(folder, "compare", plan.to_dict())
    if plan.seeds == 2:
        on_event(Caution("2 seeds: the intervals between ways to train are somewhat too narrow; 3 or more are better"))
    outcomes = [read_outcome(RunFolder(Path(path)), name) for name, path in plan.runs.items()]
    trained = run_trials(plan.trials, folder, dataset=dataset, should_stop=should_stop, on_event=on_event)
    if len(trained) < len(plan.trials):
        return None
    outcomes += trained
    comparison = compare_outcomes(outcomes, wanted=plan.wanted, multiply_adds=count_multiply_adds(outcomes))
    write_json(folder / "compare.json", comparison.to_dict())
    write_text(folder / "compare.md", comparison_markdown(comparison))
    draw(comparison, outcomes, folder / "plots")
    return comparison


def count_multiply_adds(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """The multiply-adds of each variant's network for one picture."""
    return {name: multiply_adds(load_trained(group[0].folder).model) for name, group in by_variant(outcomes).items()}


def draw(comparison: Comparison, outcomes: Sequence[Outcome], folder: Path) -> None:
    """Write the plots of a comparison into `folder`."""
    plot_learning(
        {name: [outcome.history for outcome in group] for name, group in by_variant(outcomes).items()},
        folder / "learning.png",
    )
    plot_gaps(
        {row.variant: row.train_accuracy for row in comparison.rows},
        {row.variant: row.test_accuracy for row in comparison.rows},
        folder / "gap.png",
    )
    for number, pair in enumerate(comparison.pairs, 1):
        name = "classes.png" if len(comparison.pairs) == 1 else f"classes-{number}.png"
        plot_class_differences(pair.a, pair.b, pair.per_class, folder / name)
