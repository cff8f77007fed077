"""Which commands there are, and the module that each one lives in."""

import typer

from cnnflow.cli import advise, audit, compare, data, doctor, evaluate, fit, models, predict, prepare, study


def register(app: typer.Typer) -> None:
    """Add every command to `app`, in the order in which help lists them."""
    app.command("fit")(fit.fit)
    app.command("evaluate")(evaluate.evaluate)
    app.command("predict")(predict.predict)
    app.command("compare")(compare.compare)
    app.command("study")(study.study)
    app.command("advise")(advise.advise)
    app.add_typer(data.group, name="data")
    app.command("audit")(audit.audit)
    app.command("prepare")(prepare.prepare)
    app.command("models")(models.models)
    app.command("doctor")(doctor.doctor)
