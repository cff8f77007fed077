"""`python -m cnnflow`: the same as the command `cnnflow`."""

from cnnflow.cli.main import run

run()
