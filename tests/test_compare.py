"""Comparisons: what they conclude, how they go on after an interruption, and what they refuse."""

import json
from dataclasses import replace

import numpy as np
import pytest
from experiment_case import FakeRun, fill_run, make_config, tiny_dataset
from typer.testing import CliRunner

from cnnflow.cli.main import app
from cnnflow.config import DataConfig, FitConfig, ModelConfig, Recipe
from cnnflow.errors import OptionError, RunError
from cnnflow.evaluation.statistics import Interval
from cnnflow.events import Note
from cnnflow.experiments import compare as compare_module
from cnnflow.experiments import trials as trials_module
from cnnflow.experiments.claims import CLAIMS, judge_claims
from cnnflow.experiments.compare import ComparisonPlan, compare
from cnnflow.experiments.comparison import compare_outcomes, say
from cnnflow.experiments.plan import find_experiment, read_plan
from cnnflow.experiments.trials import Trial, read_outcome, run_trials
from cnnflow.training.run_folder import RunFolder


def by_model(config: FitConfig) -> float:
    return {"dense_net": 0.6, "basic_cnn": 0.85, "vgg_net": 0.855}[config.model.name]


@pytest.fixture
def fake(monkeypatch):
    """Replace training by a stand-in; call it to say how accurate networks are and when training is interrupted."""

    def install(accuracy=by_model, *, stop_after=None) -> FakeRun:
        stand_in = FakeRun(accuracy, stop_after=stop_after)
        monkeypatch.setattr(trials_module, "run", stand_in)
        monkeypatch.setattr(compare_module, "count_multiply_adds", lambda outcomes: {})
        return stand_in

    return install


def plan_of(*names: str, seeds: int = 3) -> ComparisonPlan:
    return ComparisonPlan({name: make_config(name) for name in names}, seeds=seeds)


def test_a_comparison_says_which_is_better_and_writes_it_all(tmp_path, fake):
    fake()
    comparison = compare(plan_of("dense_net", "basic_cnn"), tmp_path)
    (pair,) = comparison.pairs
    assert (pair.a, pair.b) == ("dense_net", "basic_cnn")
    assert 0.1 < pair.difference.low < 0.25 < pair.difference.high < 0.4
    assert pair.mcnemar.p_value < 1e-6
    assert "basic_cnn is more accurate than dense_net, by " in pair.sentence
    assert [row.seeds for row in comparison.rows] == [3, 3]
    content = json.loads((tmp_path / "compare.json").read_text())
    assert content["pairs"][0]["sentence"] == pair.sentence
    page = (tmp_path / "compare.md").read_text()
    assert pair.sentence in page
    assert "| parameters | 100 | 100 |" in page
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["classes.png", "gap.png", "learning.png"]


def test_no_difference_is_not_called_one(tmp_path, fake):
    fake()
    comparison = compare(plan_of("basic_cnn", "vgg_net"), tmp_path)
    (pair,) = comparison.pairs
    assert not pair.difference.leaves_out_zero
    assert "No difference can be seen" in pair.sentence
    assert "would be needed to see a difference of one point" in pair.sentence


def test_three_models_make_three_pairs_whose_intervals_hold_together(tmp_path, fake):
    fake()
    comparison = compare(plan_of("dense_net", "basic_cnn", "vgg_net"), tmp_path)
    assert [(pair.a, pair.b) for pair in comparison.pairs] == [
        ("dense_net", "basic_cnn"),
        ("dense_net", "vgg_net"),
        ("basic_cnn", "vgg_net"),
    ]
    assert all(pair.difference.level == pytest.approx(1 - 0.05 / 3) for pair in comparison.pairs)


def test_an_interrupted_comparison_goes_on_where_it_was(tmp_path, fake):
    plan = plan_of("dense_net", "basic_cnn", seeds=2)
    first = fake(stop_after=3)
    assert compare(plan, tmp_path) is None
    assert first.trained == ["dense_net-seed0", "basic_cnn-seed0", "dense_net-seed1"]
    second = fake()
    saved = ComparisonPlan.from_dict(read_plan(tmp_path, "compare"))
    assert saved == plan
    assert compare(saved, tmp_path) is not None
    assert second.trained == ["basic_cnn-seed1"]
    third = fake()
    compare(saved, tmp_path)
    assert third.trained == []


def test_seeds_count_up_and_all_else_is_equal():
    trials = plan_of("dense_net", "basic_cnn", seeds=2).trials
    assert [(trial.variant, trial.config.seed) for trial in trials] == [
        ("dense_net", 0),
        ("basic_cnn", 0),
        ("dense_net", 1),
        ("basic_cnn", 1),
    ]
    assert len({trial.config.recipe for trial in trials} | {trial.config.recipe for trial in trials}) == 1
    assert len({trial.config.data for trial in trials}) == 1


def test_trained_runs_are_compared_without_training(tmp_path, fake):
    stand_in = fake()
    for name, accuracy in (("one", 0.6), ("two", 0.9)):
        fill_run(RunFolder(tmp_path / name), make_config(), accuracy=accuracy)
    plan = ComparisonPlan(runs={name: str(tmp_path / name) for name in ("one", "two")}, seeds=1)
    comparison = compare(plan, tmp_path / "comparison")
    assert stand_in.trained == []
    assert "two is more accurate than one" in comparison.pairs[0].sentence
    assert "other seeds may differ" in comparison.pairs[0].sentence


def test_runs_on_different_images_are_refused(tmp_path):
    fill_run(RunFolder(tmp_path / "one"), make_config(), accuracy=0.6)
    fill_run(RunFolder(tmp_path / "two"), make_config(), accuracy=0.6, test_images=300)
    outcomes = [read_outcome(RunFolder(tmp_path / name)) for name in ("one", "two")]
    with pytest.raises(RunError, match="tested on different images"):
        compare_outcomes(outcomes)


def test_unequal_numbers_of_seeds_are_refused(tmp_path):
    for name in ("one", "two", "three"):
        fill_run(RunFolder(tmp_path / name), make_config(), accuracy=0.6)
    outcomes = [read_outcome(RunFolder(tmp_path / name), v) for name, v in (("one", "a"), ("two", "a"), ("three", "b"))]
    with pytest.raises(RunError, match="a has 2 seeds and b 1"):
        compare_outcomes(outcomes)


def test_a_folder_with_another_plan_is_refused(tmp_path, fake):
    fake()
    compare(plan_of("dense_net", "basic_cnn", seeds=1), tmp_path)
    with pytest.raises(RunError, match="plan of another experiment"):
        compare(plan_of("dense_net", "basic_cnn", seeds=2), tmp_path)


def test_a_trial_of_other_options_is_refused(tmp_path, fake):
    fake()
    fill_run(RunFolder(tmp_path / "dense_net-seed0"), make_config("dense_net", epochs=9), accuracy=0.6)
    with pytest.raises(RunError, match="other options"):
        compare(plan_of("dense_net", "basic_cnn", seeds=1), tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"configs": {"a": make_config()}}, "two or more"),
        ({"configs": {"a": make_config(), "b": make_config()}, "seeds": 0}, "seeds=0"),
        ({"configs": {"a": make_config()}, "runs": {"b": "runs/b"}, "seeds": 2}, "1 where a run is compared"),
        ({"configs": {"a": make_config(), "b": make_config()}, "wanted": 0.0}, "wanted=0"),
    ],
)
def test_plans_that_cannot_be_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        ComparisonPlan(**options)


def test_experiments_are_found_by_path_name_and_as_the_last(tmp_path, fake):
    fake()
    compare(plan_of("dense_net", "basic_cnn", seeds=1), tmp_path / "compare-001")
    for name in ("compare-001", str(tmp_path / "compare-001"), "last"):
        assert find_experiment(tmp_path, name, "compare") == tmp_path / "compare-001"
    with pytest.raises(RunError, match="no `cnnflow compare` called 'other'"):
        find_experiment(tmp_path, "other", "compare")
    with pytest.raises(RunError, match="no `cnnflow study`"):
        find_experiment(tmp_path, "last", "study")
    with pytest.raises(RunError, match="use that command"):
        read_plan(tmp_path / "compare-001", "study")


def test_trials_say_which_one_the_best_so_far_and_the_time_left(tmp_path, fake):
    fake()
    events = []
    run_trials([Trial(n, make_config(n)) for n in ("dense_net", "basic_cnn")], tmp_path, on_event=events.append)
    notes = [event.message for event in events if isinstance(event, Note)]
    assert notes[0] == "trial 1 of 2: dense_net, seed 0"
    assert notes[1].startswith("trial 2 of 2: basic_cnn, seed 0; best so far dense_net with 60.00%")
    assert notes[1].endswith("min left")


def test_two_trials_of_one_name_are_refused(tmp_path):
    with pytest.raises(RunError, match="two trials are called a-b-seed0"):
        run_trials([Trial("a b", make_config()), Trial("a/b", make_config())], tmp_path)


@pytest.mark.parametrize("name", ["metrics.json", "history.csv", "predictions.csv", "config.toml"])
def test_a_damaged_run_is_refused(tmp_path, name):
    fill_run(RunFolder(tmp_path / "one"), make_config(), accuracy=0.6)
    (tmp_path / "one" / name).write_bytes(b"\xff\x00 damaged")
    with pytest.raises((RunError, OptionError)):
        read_outcome(RunFolder(tmp_path / "one"))


SHAPE = {"shape": (3, 10_000), "wanted": 0.01, "images": 2_278, "seeds": 2}


@pytest.mark.parametrize(
    ("interval", "options", "sentence"),
    [
        ((0.16, 0.152, 0.169), {}, "b is more accurate than a, by 15.2 to 16.9 points."),
        ((-0.16, -0.169, -0.152), {}, "a is more accurate than b, by 15.2 to 16.9 points."),
        (
            (0.002, -0.01, 0.014),
            {"shape": (3, 1000)},
            "No difference can be seen between a and b (-1.0 to +1.4 points); about 2,300 test images instead of 1,000 "
            "would be needed to see a difference of one point.",
        ),
        (
            (0.002, -0.01, 0.014),
            {"seeds": 8, "wanted": 0.005},
            "No difference can be seen between a and b (-1.0 to +1.4 points); about 8 seeds instead of 3 would be "
            "needed to see a difference of 0.5 points.",
        ),
        (
            (0.001, -0.005, 0.007),
            {},
            "No difference can be seen between a and b (-0.5 to +0.7 points); a difference of one point or more is "
            "ruled out.",
        ),
    ],
)
def test_sentences_say_what_is_shown_and_what_is_not(interval, options, sentence):
    assert say("a", "b", Interval(*interval), **{**SHAPE, **options}) == sentence


def test_the_claims_are_judged(tmp_path, fake):
    assert CLAIMS["cifar10", "comparison_cnn"].gap == pytest.approx(0.2625)
    fake(lambda config: 0.6237 if config.model.name == "comparison_cnn" else 0.4678)
    comparison = compare(plan_of("dense_net", "comparison_cnn", seeds=1), tmp_path)
    assert judge_claims(comparison) == ()
    lines = judge_claims(replace(comparison, dataset="cifar10"))
    assert "dense_net, parameters: not reproduced (100; reported 411,146)" in lines
    assert "order by test accuracy: reproduced (dense_net < comparison_cnn)" in lines
    assert any(line.startswith("comparison_cnn, training accuracy: 16.2 points lower") for line in lines)


def test_tiny_networks_are_really_trained_interrupted_and_compared(tmp_path):
    dataset = tiny_dataset()
    configs = {
        name: FitConfig(DataConfig("tiny"), ModelConfig("dense_net"), Recipe(epochs=epochs, batch_size=16))
        for name, epochs in (("short", 1), ("long", 12))
    }
    plan, asked = ComparisonPlan(configs, seeds=1), iter(range(1000))
    # Stopped in the middle of the second training, and gone on with.
    assert compare(plan, tmp_path, dataset=dataset, should_stop=lambda: next(asked) > 20) is None
    comparison = compare(plan, tmp_path, dataset=dataset)
    assert comparison.images["test"] == 45
    short, long = comparison.rows
    assert short.multiply_adds == 64 * 128 + 128 * 128 + 128 * 3
    assert long.test_accuracy.value > 0.9
    assert np.isfinite(long.gap)


@pytest.fixture
def arrays(tmp_path):
    """The tiny dataset as an .npz file."""
    tiny = tiny_dataset()
    path = tmp_path / "tiny.npz"
    np.savez(
        path,
        x_train=tiny.train.images,
        y_train=tiny.train.labels,
        x_test=tiny.test.images,
        y_test=tiny.test.labels,
    )
    return path


def call(*words: object):
    """Run the command line in this process; an error of cnnflow is raised."""
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_the_command_compares_and_prints(tmp_path, arrays, fake):
    fake()
    runs = tmp_path / "runs"
    result = call("compare", arrays, "dense_net", "basic_cnn", "--runs", runs, "--seeds", 3, "--epochs", 1)
    assert "basic_cnn is more accurate than dense_net" in result.stdout
    assert "McNemar's test: p < 0.0001" in result.stdout
    assert "classes that differ most:" in result.stdout
    (folder,) = runs.iterdir()
    assert folder.name == "compare-tiny-001"
    plan = ComparisonPlan.from_dict(read_plan(folder, "compare"))
    assert {config.recipe.epochs for config in plan.configs.values()} == {1}
    assert {config.data.validation for config in plan.configs.values()} == {None}, "the default preset has no share"


def test_a_comparison_keeps_the_share_of_its_preset(tmp_path, arrays, fake):
    fake()
    runs = tmp_path / "runs"
    names = ("dense_net", "tutorial")
    call("compare", arrays, *names, "--preset", "fast", "--runs", runs, "--seeds", 1, "--name", "preset")
    call("compare", arrays, *names, "--validation", 0.3, "--runs", runs, "--seeds", 1, "--name", "said")
    for name, share in (("preset", 0.1), ("said", 0.3)):
        plan = ComparisonPlan.from_dict(read_plan(runs / name, "compare"))
        assert {config.data.validation for config in plan.configs.values()} == {share}


def test_the_command_prints_one_json_document_and_goes_on(tmp_path, arrays, fake):
    fake(stop_after=1)
    runs = tmp_path / "runs"
    words = ("compare", arrays, "dense_net", "basic_cnn", "--runs", runs, "--seeds", 1)
    stopped = CliRunner().invoke(app, [str(word) for word in words])
    assert stopped.exit_code == 130
    assert "cnnflow compare --resume compare-tiny-001" in " ".join(stopped.stderr.split())
    fake()
    content = json.loads(call("compare", "--resume", "last", "--runs", runs, "--json").stdout)
    assert content["pairs"][0]["b"] == "basic_cnn"
    assert content["claims"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dense_net"], "two or more MODELs"),
        (["dense_net", "basic_cn"], "did you mean basic_cnn"),
        (["dense_net", "dense_net"], "each must be named once"),
        (["dense_net", "basic_cnn", "--difference", "0"], "wanted=0"),
    ],
)
def test_the_command_refuses_what_cannot_be(tmp_path, arrays, words, message):
    with pytest.raises(OptionError, match=message):
        call("compare", arrays, *words, "--runs", tmp_path / "runs")
