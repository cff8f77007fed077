"""`cnnflow data list`, `show` and `get`: tables, JSON, pictures, and the figures in them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cnnflow.cli.main import app
from cnnflow.config import DataConfig
from cnnflow.data.image_set import ImageSet
from cnnflow.data.npz import write_arrays
from cnnflow.data.sources import load
from cnnflow.data.statistics import image_statistics
from cnnflow.errors import CnnflowError, DataError
from cnnflow.plots.grid import GridRow, plot_grid
from cnnflow.plots.samples import plot_samples, plot_variants


@pytest.fixture(scope="module", autouse=True)
def module_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNFLOW_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    for variable in ("TFDS_DATA_DIR", "KERAS_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))


@pytest.fixture
def small(tmp_path: Path) -> str:
    """Sixty pictures of three classes."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 12, 10, 3), np.uint8)
    labels = np.arange(60) % 3
    arrays = {"x_train": images[:48], "y_train": labels[:48], "x_test": images[48:], "y_test": labels[48:]}
    write_arrays(tmp_path / "small.npz", arrays)
    return "small.npz"


def run(*words: str) -> str:
    """What the command writes to stdout; raises what it raises."""
    result = CliRunner().invoke(app, ["data", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: str) -> str:
    with pytest.raises(CnnflowError) as caught:
        run(*words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_list_names_every_source_and_form() -> None:
    text = run("list")
    for word in ("fashion", "cifar10", "flowers", "tfds:NAME", "FOLDER", "FILE.npz", "comes with cnnflow"):
        assert word in text
    assert "fetched when first used" in text


def test_list_as_json() -> None:
    sources = {source["name"]: source for source in json.loads(run("list", "--json"))}
    assert list(sources) == ["fashion", "cifar10", "flowers"]
    assert sources["fashion"]["here"] is True
    assert sources["cifar10"]["here"] is False
    assert sources["fashion"]["languages"] == ["en", "ko"]


def test_show_fashion_with_korean_names() -> None:
    text = run("show", "fashion", "--language", "ko")
    for word in ("T-shirt/top", "티셔츠/탑", "앵클부츠", "6,000", "1,000", "60,000", "10,000", "28 x 28, grey"):
        assert word in text
    assert "mean 0.2860, standard deviation 0.3530" in text
    with Image.open("fashion-samples.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 700


def test_show_as_json_writes_one_document(small: str) -> None:
    facts = json.loads(run("show", small, "--json", "--out", "a.png"))
    assert facts["images"] == {"train": 48, "test": 12}
    assert facts["image_shape"] == [12, 10, 3]
    assert facts["classes"][2] == {"label": 2, "name": "2", "en": "2", "train": 16, "test": 4}
    pixels = load(DataConfig(small)).train.images[:]
    assert facts["training_pixels"]["mean"] == pytest.approx(pixels.mean((0, 1, 2)).tolist())
    assert facts["training_pixels"]["deviation"] == pytest.approx(pixels.std((0, 1, 2)).tolist())
    assert facts["picture"] == "a.png"
    assert Path("a.png").is_file()


def test_show_draws_variants_and_repeats_itself(small: str) -> None:
    for name in ("a.png", "b.png", "c.png"):
        run(
            "show",
            small,
            "--augment",
            "tutorial",
            "--samples",
            "4",
            "--out",
            name,
            "--seed",
            "1" if name > "b.q" else "0",
        )
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    assert Path("a.png").read_bytes() != Path("c.png").read_bytes()
    run("show", small, "--augment", "light")
    assert Path("small-light.png").is_file()


def test_show_some_classes_in_their_order(small: str) -> None:
    facts = json.loads(run("show", small, "--classes", "2,0", "--json"))
    assert [entry["name"] for entry in facts["classes"]] == ["2", "0"]


def test_wrong_words_are_one_line(small: str) -> None:
    assert refused("show", "fasion") == "no dataset 'fasion'; did you mean fashion?"
    assert refused("show", small, "--language", "ko") == "no class names in 'ko' for small; it has en"
    assert refused("show", small, "--augment", "none").startswith("augment 'none' changes no picture; choose light")
    assert refused("show", small, "--augment", "tutorail") == "no augmentation 'tutorail'; did you mean tutorial?"
    assert refused("show", small, "--classes", "0,7") == "no class '7' in small; it has 0, 1, 2"
    assert refused("show", "cifar10", "--data-dir", "nowhere").startswith("no file or folder nowhere")
    assert "Ways to get it: give --data-dir" in refused("get", "cifar10")
    (Path("dir.png")).mkdir()
    assert CliRunner().invoke(app, ["data", "show", small, "--out", "dir.png"]).exit_code != 0


def test_get_says_what_there_is_and_where(small: str, tmp_path: Path) -> None:
    assert run("get", "fashion").startswith("fashion: 60,000 train, 10,000 test images; cache: ")
    assert json.loads(run("get", "fashion", "--json"))["images"] == {"train": 60000, "test": 10000}


def test_every_option_has_help() -> None:
    for command in ("list", "show", "get"):
        assert "Example" in run(command, "--help")


def test_help_imports_nothing_heavy() -> None:
    heavy = "'tensorflow_datasets', 'keras', 'jax', 'torch', 'matplotlib', 'sklearn', 'scipy', 'numpy', 'PIL'"
    program = f"import sys; import cnnflow.cli.data; print([name for name in ({heavy}) if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def pictures(count: int, classes: int, shape: tuple[int, int, int] = (8, 6, 1)) -> ImageSet:
    labels = np.arange(count, dtype=np.int64) % classes
    images = np.broadcast_to(labels.astype(np.uint8)[:, None, None, None], (count, *shape)).copy()
    return ImageSet(images, labels, tuple(f"class {i}" for i in range(classes)), ["x"] * count)


def drawn(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_the_grid_shows_each_picture_in_its_colours(tmp_path: Path) -> None:
    red, green, grey = ((255, 0, 0), (0, 255, 0), (90, 90, 90))
    rows = [
        GridRow("two", np.array([np.full((8, 8, 3), color, np.uint8) for color in (red, green)])),
        GridRow("one", np.full((1, 8, 8, 1), 90, np.uint8)),
    ]
    plot_grid(rows, tmp_path / "grid.png", title="three $pictures$", columns=("first",))
    pixels = drawn(tmp_path / "grid.png").reshape(-1, 3)
    areas = [int((pixels == color).all(axis=1).sum()) for color in (red, green, grey)]
    assert min(areas) > 5000
    assert max(areas) < 1.1 * min(areas)
    with pytest.raises(DataError, match="a grid of no pictures"):
        plot_grid([GridRow("none", np.zeros((0, 8, 8, 1), np.uint8))], tmp_path / "none.png")


def test_samples_are_of_their_class_and_rows_are_limited(tmp_path: Path) -> None:
    plot_samples(pictures(400, 200), tmp_path / "many.png", columns=2)
    with Image.open(tmp_path / "many.png") as picture:
        assert picture.height < 20 * 130 + 100
    plot_samples(pictures(5, 3), tmp_path / "few.png", columns=10)
    colors = set(map(tuple, drawn(tmp_path / "few.png").reshape(-1, 3).tolist()))
    assert {(0, 0, 0), (1, 1, 1), (2, 2, 2)} <= colors


def test_variants_stand_beside_their_original(tmp_path: Path) -> None:
    def brighter(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return (images + np.uint8(100)).astype(np.uint8)

    plot_variants(pictures(6, 2), brighter, tmp_path / "a.png", columns=3)
    pixels = drawn(tmp_path / "a.png").reshape(-1, 3)
    once, twice = ((pixels == [value] * 3).all(axis=1).sum() for value in (1, 101))
    assert twice == pytest.approx(2 * once, rel=0.1)


def test_statistics_are_exact() -> None:
    images = np.random.default_rng(0).integers(3, 250, (5000, 4, 3, 3), np.uint8)
    found = image_statistics(images)
    assert found.mean == pytest.approx(images.mean((0, 1, 2)).tolist(), rel=1e-12)
    assert found.deviation == pytest.approx(images.std((0, 1, 2)).tolist(), rel=1e-12)
    assert found.minimum == tuple(images.min((0, 1, 2)).tolist())
    assert found.maximum == tuple(images.max((0, 1, 2)).tolist())
