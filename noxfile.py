"""The project's checks; `nox` runs the default ones, `nox -s NAME` one of them, `nox -l` lists all."""

from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "build", "tests", "backends", "examples"]
nox.options.reuse_existing_virtualenvs = True

TEST_PACKAGES = ["pytest", "pytest-timeout", "hypothesis", "scipy"]
# The CPU build of torch; another platform's newest is as good.
TORCH = "torch==2.13.0"
TENSORFLOW = "tensorflow-cpu"


def install_wheel(session: nox.Session, *extra: str, extras: str = "") -> None:
    """Build the wheel and install it, so that the tests see what users get and not the source tree."""
    folder = Path(session.create_tmp())
    for old in folder.glob("*.whl"):
        old.unlink()
    session.run("python", "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), ".")
    (wheel,) = folder.glob("*.whl")
    session.install(f"{wheel}{extras}", *extra)
    session.install("--force-reinstall", "--no-deps", str(wheel))


@nox.session
def tests(session: nox.Session) -> None:
    """Run the fast tests against the installed wheel."""
    install_wheel(session, *TEST_PACKAGES)
    session.run("pytest", "-m", "not slow and not torch and not tensorflow", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """Run the slow tests."""
    install_wheel(session, *TEST_PACKAGES)
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and the order of the folders."""
    session.install("ruff", "import-linter")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", env={"PYTHONPATH": str(Path.cwd())})


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the package, strictly."""
    session.install("mypy", "numpy", "rich", "typer", "pillow", "matplotlib", "filelock", "platformdirs", "tomli-w")
    session.run("mypy")


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel from the sdist, as an installer would."""
    session.install("build")
    session.run("python", "-m", "build", "--outdir", session.create_tmp())
