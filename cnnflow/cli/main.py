"""The command `cnnflow`: its sub-commands, and what becomes of errors."""

import errno
import os
import sys
from typing import Annotated, Any

import typer

import cnnflow
from cnnflow.cli import commands
from cnnflow.cli.output import remarks
from cnnflow.errors import CnnflowError

# Typer names no base of its usage errors; it comes from Click, or from the copy of Click that newer versions bring.
_UsageError: Any = typer.BadParameter.__base__

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    help="From a dataset name or a folder of pictures to a trained, tested CNN image classifier.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
commands.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cnnflow {cnnflow.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """From a dataset name or a folder of pictures to a trained, tested CNN image classifier."""


def run() -> None:
    """Run the command line; the console script's entry point.

    Exit codes: 0 fine, 1 a check failed, 2 wrong usage or bad input, 130 interrupted.
    """
    # TensorFlow logs to stderr from C++; what it says there is no news to a user.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    words = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(words) < len(sys.argv) - 1
    try:
        code = app(args=words, prog_name="cnnflow", standalone_mode=False)
    except CnnflowError as error:
        if debug:
            raise
        _say(str(error))
    except _UsageError as error:
        where = error.ctx.command_path if error.ctx else "cnnflow"
        _say(f"{error.format_message()} (see {where} --help)")
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted")
        sys.exit(EXIT_INTERRUPTED)
    except (BrokenPipeError, SystemExit):
        # The reader of a pipe has seen enough; what is left to write must not raise again at exit. Click turns the
        # error into SystemExit, which it raises for nothing else here.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _say("the disk is full; free some space and type it again; what was training goes on with --resume last")
        else:
            _say(f"unexpected {type(error).__name__}: {error}; --debug shows where")
    else:
        sys.exit(code if isinstance(code, int) else 0)
    sys.exit(EXIT_BAD_INPUT)


def _say(message: str) -> None:
    line = " ".join(message.split())
    remarks().print(f"error: {line}", style="red", soft_wrap=True, markup=False)
