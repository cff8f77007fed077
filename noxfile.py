"""The project's checks; `nox` runs the default ones, `nox -s NAME` one of them, `nox -l` lists all."""

from pathlib import Path

import nox

# Under ten minutes on two cores; CI runs the examples after them.
nox.options.sessions = ["lint", "types", "build", "tests", "backends"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_external_run = True

TEST_PACKAGES = ["pytest", "pytest-timeout", "pytest-xdist", "hypothesis"]
# The CPU build of torch; a plain "torch" would bring several gigabytes of CUDA.
TORCH = "torch==2.13.0"
TENSORFLOW = "tensorflow-cpu"
# Beside which the augmentations are measured; 2.0.8 is the last release of albumentations under the MIT licence.
AUGMENTERS = ["albumentations==2.0.8", "opencv-python-headless<5"]
# Most tests wait for the compiler, which has one thread: a file each on two cores.
IN_TWO = ["-n", "2", "--dist", "loadfile"]
FAST = "not slow and not torch and not tensorflow"


def install_wheel(session: nox.Session, *others: str, extras: str = "[pretrained]") -> None:
    """Build the wheel and install it, so that the tests see what users get and not the source tree."""
    folder = Path(session.create_tmp()) / "wheel"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), ".")
    (wheel,) = folder.glob("*.whl")
    session.install(f"{wheel}{extras}", *others)
    # A reused environment may hold an older build of the same version.
    session.install("--force-reinstall", "--no-deps", str(wheel))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, and the order of the package's folders."""
    session.install("ruff", "import-linter")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-logo", env={"PYTHONPATH": str(Path.cwd())})


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the package, strictly."""
    session.install("mypy", "numpy", "rich", "typer", "pillow", "matplotlib", "filelock", "platformdirs", "tomli-w")
    session.run("mypy")


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist, and the wheel from it."""
    session.install("build")
    session.run("python", "-m", "build", "--outdir", str(Path(session.create_tmp()) / "dist"))


@nox.session
def tests(session: nox.Session) -> None:
    """Run the fast tests against the installed wheel."""
    install_wheel(session, *TEST_PACKAGES)
    session.run("pytest", *IN_TWO, "-m", FAST, *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """Run the slow tests."""
    install_wheel(session, *TEST_PACKAGES)
    session.run("pytest", "-m", "slow and not torch and not tensorflow", *session.posargs)


@nox.session
def backends(session: nox.Session) -> None:
    """Train for real on torch and on TensorFlow, and compare them with JAX."""
    session.install(TORCH)
    install_wheel(session, TENSORFLOW, "efficientnet-lite-pytorch", *TEST_PACKAGES)
    session.run("pytest", "-n", "2", "-m", "torch or tensorflow", *session.posargs)


@nox.session
def examples(session: nox.Session) -> None:
    """Run the scripts of `examples/` in their quick versions, and check what they found."""
    install_wheel(session, *TEST_PACKAGES)
    session.run("pytest", "-n", "2", "tests/run_examples.py", *session.posargs)


@nox.session
def minimums(session: nox.Session) -> None:
    """Run the fast tests with the lowest versions that pyproject.toml allows."""
    lowest = [
        requirement.split("#")[0].strip().replace(">=", "==")
        for requirement in nox.project.load_toml("pyproject.toml")["project"]["dependencies"]
    ]
    install_wheel(session, *TEST_PACKAGES, *lowest)
    session.run("pytest", *IN_TWO, "-m", FAST, *session.posargs)


@nox.session
def torture(session: nox.Session) -> None:
    """Kill a training 100 times, resume it each time, and compare it with an undisturbed one; about half an hour."""
    install_wheel(session)
    session.run("python", "tests/torture.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Print a benchmark's table: `nox -s bench -- data`, `-- reader`, `-- train`, ...; `-- NAME --help` tells more."""
    benchmarks = Path("tests/benchmarks")
    names = sorted(path.stem for path in benchmarks.glob("*.py") if not path.stem.startswith("_"))
    if not session.posargs or session.posargs[0] not in names:
        session.error(f"name one of {', '.join(names)}")
    name, *options = session.posargs
    session.install(TORCH)
    install_wheel(session, TENSORFLOW, *TEST_PACKAGES, *AUGMENTERS)
    session.run("python", str(benchmarks / f"{name}.py"), *options)
