"""`cnnflow models`: the table and its JSON."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cnnflow.cli.main import app
from cnnflow.cli.models import short
from cnnflow.models.catalog import MODELS


def table(width):
    result = CliRunner().invoke(app, ["models"], env={"COLUMNS": str(width)})
    assert result.exit_code == 0, result.output
    return result.output


def test_every_network_has_a_line_with_its_figures():
    lines = table(160).splitlines()
    for name, entry in MODELS.items():
        (line,) = (line for line in lines if line.split()[:1] == [name])
        assert short(entry.parameters) in line
        assert short(entry.multiply_adds) in line
        assert entry.choose in line


def test_the_table_fits_80_columns_and_cuts_no_word():
    output = table(80)
    assert max(map(len, output.splitlines())) <= 80
    assert "…" not in output
    words = output.split()
    assert all(word in words for entry in MODELS.values() for word in entry.choose.split())


def test_in_a_pipe_it_is_plain_text():
    script = "from cnnflow.cli.main import app; app(['models'])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"}
    )
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "basic_cnn" in done.stdout


def test_json_is_one_document_with_every_network():
    result = CliRunner().invoke(app, ["models", "--json"])
    facts = json.loads(result.stdout)["models"]
    assert [fact["name"] for fact in facts] == list(MODELS)
    assert facts[0]["parameters"] == 421_642
    assert facts[0]["multiply_adds"] == 4_241_152
    assert facts[0]["input_shape"] == [28, 28, 1]
    assert {fact["name"] for fact in facts if fact["backbone"]} >= {"vgg16", "efficientnet_lite0"}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (999, "999"),
        (421_642, "422 k"),
        (999_600, "1.00 M"),
        (1_634_058, "1.63 M"),
        (36_497_146, "36.5 M"),
        (15_346_635_776, "15.3 G"),
    ],
)
def test_short_numbers(number, text):
    assert short(number) == text
