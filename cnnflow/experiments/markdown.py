"""Tables of experiments as Markdown."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnflow.evaluation.statistics import Interval
from cnnflow.experiments.claims import Claim, claims_for, judge_claims
from cnnflow.experiments.comparison import Comparison, Pair, Row

if TYPE_CHECKING:
    from cnnflow.experiments.study import Part

MOST_CLASSES = 3

FIGURES = (
    "parameters",
    "multiply-adds",
    "epochs",
    "training time",
    "images/s",
    "training accuracy",
    "test accuracy",
    "95% interval",
    "gap, points",
)
_STUDY_FIGURES = (
    "validation accuracy",
    "test accuracy",
    "difference, points",
    "training accuracy",
    "gap",
    "training time",
)


def comparison_markdown(comparison: Comparison) -> str:
    """The comparison as a Markdown page: figures, differences, classes, and the tutorial's claims where it has some.

    Example:
        >>> write_text(folder / "compare.md", comparison_markdown(comparison))
    """
    test = f"{comparison.images['test']:,}"
    parts = [
        f"# {' against '.join(row.variant for row in comparison.rows)} on {comparison.dataset}",
        f"{comparison.images['train']:,} training and {test} test images{limited(comparison)}; "
        f"means over {_seeds(comparison.rows[0])}.",
        table(*figure_columns(comparison)),
    ]
    if claims := judge_claims(comparison):
        parts += ["Against the tutorial's own figures:", bullets(claims)]
    parts += [part for pair in comparison.pairs for part in _pair(pair)]
    return "\n\n".join(parts) + "\n"


def study_markdown(parts: Sequence["Part"]) -> str:
    """The parts of a study as a Markdown page: a ranked table a factor, what is shown, and the best as a command.

    Example:
        >>> write_text(folder / "study.md", study_markdown(parts))
    """
    pages = []
    for part in parts:
        comparison = part.comparison
        pages += [
            f"# {part.factor} on {comparison.dataset}",
            f"{comparison.images['train']:,} training, {comparison.images['validation']:,} validation and "
            f"{comparison.images['test']:,} test images{limited(comparison)}; means over {_seeds(comparison.rows[0])}; "
            f"ranked by validation accuracy, differences from {part.reference!r}.",
            table(*study_figures(part)),
            bullets([pair.sentence for pair in comparison.pairs]),
            f"The best on the validation images is {part.best!r}:",
            f"```\n{part.command}\n```",
        ]
    return "\n\n".join(pages) + "\n"


def rate_title(part: "Part") -> tuple[str, ...]:
    """The title of the column of learning rates; no column in a part that searched for none."""
    return ("rate",) if part.rates else ()


def rate_of(part: "Part", variant: str) -> tuple[str, ...]:
    """A row's learning rate as a cell; no cell in a part that searched for none."""
    if not part.rates:
        return ()
    return (f"{part.rates[variant]:g}" if variant in part.rates else "",)


def study_figures(part: "Part") -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and the rows of a part, ranked; learning rates where the part searched for them.

    Example:
        >>> print(table(*study_figures(part)))
    """
    differences = {pair.b: pair.difference for pair in part.comparison.pairs}
    header = ("variant", *rate_title(part), *_STUDY_FIGURES)
    return header, [
        (
            row.variant,
            *rate_of(part, row.variant),
            f"{row.validation_accuracy:.2%}",
            percent(row.test_accuracy),
            points(differences[row.variant]) if row.variant in differences else "",
            f"{row.train_accuracy:.2%}",
            f"{100 * row.gap:.2f}",
            f"{row.seconds / 60:.2f} min",
        )
        for row in part.comparison.rows
    ]


def figure_columns(comparison: Comparison) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and the rows of the table of all figures: a column a variant, and one for what the tutorial reports.

    Example:
        >>> header, rows = figure_columns(comparison)
        >>> header
        ('', 'dense_net', 'reported', 'comparison_cnn', 'reported')
    """
    claims = claims_for(comparison)
    columns: list[tuple[str, ...]] = [("", *FIGURES)]
    for row in comparison.rows:
        columns.append((row.variant, *_figures(row)))
        if row.variant in claims:
            columns.append(("reported", *_claimed(claims[row.variant])))
    header, *rows = zip(*columns, strict=True)
    return header, rows


def _figures(row: Row) -> tuple[str, ...]:
    return (
        f"{row.parameters:,}",
        "" if row.multiply_adds is None else f"{row.multiply_adds:,}",
        f"{row.epochs:g}",
        f"{row.seconds / 60:.2f} min",
        f"{row.images_per_second:,.0f}",
        f"{row.train_accuracy:.2%}",
        f"{row.test_accuracy.value:.2%}",
        f"{100 * row.test_accuracy.low:.1f} to {100 * row.test_accuracy.high:.1f}",
        f"{100 * row.gap:.2f}",
    )


def _claimed(claim: Claim) -> tuple[str, ...]:
    accuracies = (f"{claim.train_accuracy:.2%}", f"{claim.test_accuracy:.2%}", "")
    return (f"{claim.parameters:,}", "", "", f"{claim.minutes:.2f} min", "", *accuracies, f"{100 * claim.gap:.2f}")


def limited(comparison: Comparison) -> str:
    """What to say where only a part of the images was used."""
    return "" if comparison.limit is None else f" (a part: --limit {comparison.limit})"


def percent(interval: Interval) -> str:
    """An accuracy with its interval: "46.78% (45.9 to 47.6)"."""
    return f"{interval.value:.2%} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def points(interval: Interval) -> str:
    """A difference with its interval, in points: "+15.6 (+14.8 to +16.4)"."""
    return f"{100 * interval.value:+.2f} ({100 * interval.low:+.2f} to {100 * interval.high:+.2f})"


def mcnemar_text(pair: Pair) -> str:
    """McNemar's test of a pair in a line."""
    test = pair.mcnemar
    chance = "p < 0.0001" if test.p_value < 1e-4 else f"p = {test.p_value:.4f}"
    return f"{chance}; only {pair.a} right: {test.only_a:,}, only {pair.b} right: {test.only_b:,}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars within cells are escaped."""
    lines = [header, [":---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def bullets(lines: Sequence[str]) -> str:
    """A Markdown list."""
    return "\n".join(f"- {line}" for line in lines)


def _pair(pair: Pair) -> list[str]:
    level = f"{100 * pair.difference.level:.4g}%"
    classes = list(pair.per_class.items())[:MOST_CLASSES]
    return [
        f"## {pair.b} against {pair.a}",
        pair.sentence,
        bullets(
            [
                f"difference in test accuracy, points ({level} interval): {points(pair.difference)}",
                f"McNemar's test: {mcnemar_text(pair)}",
                f"agreement: {pair.agreement:.1%} of the answers",
                "classes that differ most, points of recall: "
                + "; ".join(f"{name} {points(interval)}" for name, interval in classes),
            ]
        ),
    ]


def _seeds(row: Row) -> str:
    return "1 seed" if row.seeds == 1 else f"{row.seeds} seeds"
