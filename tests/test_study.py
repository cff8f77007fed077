"""Studies: the variants, the search for learning rates, the ranking, and going on after an interruption."""

import dataclasses
import inspect
import json

import pytest
from experiment_case import FakeRun, make_config, tiny_dataset
from typer.testing import CliRunner

from cnnflow.cli.main import app
from cnnflow.config import DataConfig, FitConfig, ModelConfig, Recipe
from cnnflow.errors import OptionError, TrainingError
from cnnflow.experiments import rates as rates_module
from cnnflow.experiments import trials as trials_module
from cnnflow.experiments.command import fit_command
from cnnflow.experiments.factors import FACTORS, Variant, grid_of, reference, variants_of
from cnnflow.experiments.markdown import study_figures
from cnnflow.experiments.plan import read_plan
from cnnflow.experiments.rates import find_rate
from cnnflow.experiments.study import StudyPlan, study
from cnnflow.presets import find_preset

BASE = make_config(epochs=6)


@pytest.fixture
def fake(monkeypatch):
    """Replace training by a stand-in; call it to say how accurate networks are and when training is interrupted."""

    def install(accuracy, *, stop_after=None) -> FakeRun:
        stand_in = FakeRun(accuracy, stop_after=stop_after)
        monkeypatch.setattr(trials_module, "run", stand_in)
        return stand_in

    return install


def by_dropout(config: FitConfig) -> float:
    return 0.7 + 0.2 * bool(config.model.dropout) - 0.1 * bool(config.model.l1)


@pytest.mark.parametrize("factor", sorted(set(FACTORS) - {"parts"}))
def test_variants_differ_in_their_factor_alone(factor):
    variants = variants_of(factor, BASE)
    configs = [variant.applied(BASE) for variant in variants]
    assert len(variants) >= 3
    assert len({variant.name for variant in variants}) == len(variants)
    options = {
        field.name
        for kind in ("model", "recipe")
        for field in dataclasses.fields(getattr(BASE, kind))
        if len({getattr(getattr(config, kind), field.name) for config in configs}) > 1
    }
    assert (
        options
        == {
            "regularization": {"dropout", "l1", "l2", "batch_norm"},
            "augmentation": {"augment"},
            "optimizer": {"optimizer", "momentum"},
            "batch-size": {"batch_size"},
            "depth": {"name"},
            "learning-rate": {"learning_rate"},
        }[factor]
    )
    assert all(dataclasses.replace(config, model=BASE.model, recipe=BASE.recipe) == BASE for config in configs)


def test_each_part_of_a_recipe_is_left_out_once():
    recipe = Recipe(optimizer="sgd", momentum=0.9, schedule="linear", warmup=0.1, augment="light", tta="mirror")
    base = dataclasses.replace(BASE, recipe=recipe)
    variants = variants_of("parts", base)
    assert [variant.name for variant in variants] == [
        "the whole recipe", "no momentum", "no schedule", "no warmup", "no augment", "no tta",
    ]  # fmt: skip
    assert reference(variants, base).name == "the whole recipe"
    usual = Recipe(optimizer="sgd")
    for variant in variants[1:]:
        (name,) = variant.recipe
        assert variant.applied(base).recipe == dataclasses.replace(recipe, **{name: getattr(usual, name)})


def test_a_plain_recipe_has_no_parts_to_leave_out():
    with pytest.raises(OptionError, match="--preset fast"):
        variants_of("parts", BASE)


@pytest.mark.parametrize(
    ("factor", "name"), [("augmentation", "none"), ("optimizer", "adam"), ("batch-size", "64 images")]
)
def test_variants_are_compared_with_the_one_that_is_the_base(factor, name):
    assert reference(variants_of(factor, BASE), BASE).name == name


def test_a_grid_has_every_combination():
    grid = grid_of(["augmentation", "batch-size"], BASE)
    assert len(grid) == 5 * 5
    assert grid[0].name == "none + 16 images"
    assert grid[0].applied(BASE).recipe == dataclasses.replace(BASE.recipe, augment="none", batch_size=16)
    with pytest.raises(OptionError, match="its own good rate"):
        grid_of(["optimizer", "learning-rate"], BASE)


def test_unknown_factors_suggest_the_nearest():
    with pytest.raises(OptionError, match="did you mean regularization"):
        StudyPlan(BASE, ("regularisation",))


def test_a_study_ranks_by_validation_accuracy_and_compares_with_the_base(tmp_path, fake):
    fake(by_dropout)
    (part,) = study(StudyPlan(BASE, ("regularization",), seeds=2), tmp_path, dataset=tiny_dataset())
    assert part.best == "dropout"
    assert part.reference == "none"
    assert [row.variant for row in part.comparison.rows][-1] == "L1"
    assert {pair.a for pair in part.comparison.pairs} == {"none"}
    assert len(part.comparison.pairs) == 5
    assert "--dropout 0.3" in part.command
    content = json.loads((tmp_path / "study.json").read_text())
    assert content[0]["best"] == "dropout"
    assert part.command in (tmp_path / "study.md").read_text()
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        "regularization-gap.png",
        "regularization-learning.png",
    ]


def test_an_interrupted_study_goes_on_where_it_was(tmp_path, fake):
    plan = StudyPlan(BASE, ("augmentation", "optimizer"), seeds=1)
    first = fake(lambda config: 0.7, stop_after=6)
    assert study(plan, tmp_path, dataset=tiny_dataset()) is None
    assert len(first.trained) == 6
    second = fake(lambda config: 0.7)
    saved = StudyPlan.from_dict(read_plan(tmp_path, "study"))
    assert saved == plan
    parts = study(saved, tmp_path, dataset=tiny_dataset())
    assert [part.factor for part in parts] == ["augmentation", "optimizer"]
    assert not set(first.trained) & set(second.trained)


def near(best):
    """Validation loss is lowest where the learning rate is `best`."""
    return lambda config: max(
        0.0, 0.9 - 0.1 * abs(config.recipe.learning_rate / best - best / config.recipe.learning_rate)
    )


SGD = Variant("sgd", recipe={"optimizer": "sgd"}, rates=(0.03, 0.1, 0.3))


@pytest.mark.parametrize(("best", "trials"), [(0.1, 3), (0.9, 5), (0.01, 5), (0.001, 5)])
def test_a_search_finds_the_rate_and_goes_beyond_its_list(tmp_path, fake, best, trials):
    stand_in = fake(near(best))
    found = find_rate(SGD, BASE, tmp_path)
    assert len(stand_in.trained) == trials
    assert found == pytest.approx(max(best, 0.0033), rel=0.15)


def test_a_search_trains_a_third_of_the_epochs(tmp_path, fake):
    seen = []
    fake(lambda config: seen.append(config.recipe.epochs) or 0.5)
    find_rate(SGD, BASE, tmp_path)
    assert set(seen) == {2}


def test_rates_that_diverge_count_as_the_worst(tmp_path, fake, monkeypatch):
    def accuracy(config):
        if config.recipe.learning_rate > 0.05:
            raise TrainingError("the loss is not finite")
        return 0.8

    fake(accuracy)
    assert find_rate(SGD, BASE, tmp_path) < 0.05
    monkeypatch.setattr(rates_module, "_EXTENSIONS", 0)
    fake(lambda config: (_ for _ in ()).throw(TrainingError("the loss is not finite")))
    with pytest.raises(TrainingError, match="not finite with any learning rate"):
        find_rate(SGD, BASE, tmp_path / "other")


def test_each_optimizer_is_trained_with_its_own_rate(tmp_path, fake):
    fake(lambda config: near(0.1 if config.recipe.optimizer == "sgd" else 0.001)(config))
    (part,) = study(StudyPlan(BASE, ("optimizer",), seeds=1), tmp_path, dataset=tiny_dataset())
    assert part.rates["sgd"] == pytest.approx(0.1)
    assert part.rates["adam"] == pytest.approx(0.001)
    assert {outcome.variant for outcome in part.comparison.rows} == set(part.rates)
    header, rows = study_figures(part)
    assert header[:2] == ("variant", "rate")
    assert {row[:2] for row in rows} == {(name, f"{rate:g}") for name, rate in part.rates.items()}


def test_no_column_of_rates_where_none_was_searched_for(tmp_path, fake):
    fake(by_dropout)
    (part,) = study(StudyPlan(BASE, ("augmentation",), seeds=1), tmp_path, dataset=tiny_dataset())
    header, rows = study_figures(part)
    assert "rate" not in header
    assert {len(row) for row in rows} == {len(header)}


def test_the_command_says_what_differs_from_the_preset():
    config = FitConfig(
        DataConfig("my photos", classes=("a", "b"), size=(80, 60), limit=50),
        ModelConfig("vgg_net", dropout=0.3, batch_norm=True),
        Recipe(epochs=3, learning_rate=0.003, keep_best=True),
        seed=2,
        time_limit=90.0,
    )
    assert fit_command(config, tiny_dataset()) == (
        "cnnflow fit 'my photos' --preset tutorial --classes a,b --limit 50 --size 60x80 --model vgg_net --dropout 0.3 "
        "--batch-norm --epochs 3 --learning-rate 0.003 --keep-best --seed 2 --time-limit 90s"
    )


def test_the_command_switches_off_what_the_preset_does():
    config = FitConfig(DataConfig("x"), ModelConfig("flower_cnn"), Recipe(epochs=50, batch_size=32), preset="flowers")
    command = fit_command(config, tiny_dataset())
    assert command == ("cnnflow fit x --preset flowers --early-stopping 0 --reduce-on-plateau 0 --keep-last")


def test_a_study_keeps_the_share_of_its_preset(tmp_path, fake):
    fake(lambda config: 0.5)
    words = ["fashion", "--vary", "depth", "--limit", "50", "--seeds", "1", "--preset", "fast", "--runs", tmp_path]
    result = CliRunner().invoke(app, ["study", *map(str, words), "--name", "study"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    plan = StudyPlan.from_dict(read_plan(tmp_path / "study", "study"))
    assert plan.base.data.validation == 0.1
    assert "cnnflow fit fashion --preset fast --limit 50" in " ".join(result.stdout.split())


@pytest.mark.parametrize(("share", "words"), [(0.1, ""), (0.2, " --validation 0.2")])
def test_the_command_leaves_out_the_presets_share_of_validation_images(share, words):
    choice = find_preset("fast").choose(tiny_dataset())
    config = FitConfig(DataConfig("x", validation=share), choice.model, choice.recipe, preset="fast")
    assert fit_command(config, tiny_dataset()) == "cnnflow fit x --preset fast" + words


def test_every_flag_of_the_command_is_one_of_fit():
    from cnnflow.cli.fit import fit

    options = set(inspect.signature(fit).parameters)
    for field in (*dataclasses.fields(Recipe), *dataclasses.fields(ModelConfig)):
        # The network is `--model`; the rate of fine-tuning is for config files.
        if field.name not in ("name", "fine_tune_rate"):
            assert field.name in options, f"`cnnflow fit` has no option for {field.name}"
