"""`skew leakage`: what a training set knows and serving will not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skew_ext.cli.output import STANDARD_OUTPUT, Target, console, progress, write_text

if TYPE_CHECKING:
    from skew_ext.cli.repo import Repo

EXIT_FINDINGS = 1
_RANK = {"pass": 0, "warn": 1, "fail": 2}


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--label", help="The column to be predicted; without it, only cells, times and rows are checked.")
@click.option("--feature-service", help="The features to check; by default the columns named like the repo's features.")
@click.option("--feature", "features", multiple=True, metavar="VIEW:FEATURE", help="A feature to check; repeatable.")
@click.option("--timestamp", default="event_timestamp", show_default=True, help="The column with each row's time.")
@click.option("--weights", help="A column of weights, which is no feature.")
@click.option("--entity-rows", type=click.Path(path_type=Path), help="The keys and times that FILE was made for.")
@click.option(
    "--sample", type=click.IntRange(min=1), default=100_000, show_default=True, help="Rows to check cells of."
)
@click.option(
    "--fail-on",
    type=click.Choice(["warn", "fail"]),
    default="fail",
    show_default=True,
    help="The verdict from which the exit code is 1.",
)
@click.option("--json", "json_file", type=Target(), help="Write the findings as JSON; - is standard output.")
@click.pass_obj
def leakage(repo: Repo, /, *, file: Path, features: tuple[str, ...], **options: Any) -> None:
    """Look in the training set FILE (Parquet or CSV) for what serving will not know.

    Cells are set against the point-in-time values of their rows' keys and times, columns against the label, and rows
    against the entity rows that they were made for.

    \b
    Examples:
      skew leakage training.parquet --label late
      skew -c feature_repo leakage training.csv --label late --fail-on warn --json leaks.json
    """
    # Paths are the caller's: made absolute before the repo becomes the working folder.
    path, entity_rows = file.absolute(), options["entity_rows"] and options["entity_rows"].absolute()
    json_file = options["json_file"]
    from skew_ext.errors import TrainingSetError
    from skew_ext.leakage import check_leakage
    from skew_ext.leakage.terminal import render
    from skew_ext.training.files import read_file

    if features and options["feature_service"]:
        raise TrainingSetError("--feature and --feature-service both name features: give one of them")
    training = read_file(path, "the training set")
    asked = None if entity_rows is None else read_file(entity_rows, "the entity rows")
    with progress("opening the repo") as say:
        report = check_leakage(
            training,
            repo.store(),
            features=list(features) or options["feature_service"],
            label=options["label"],
            timestamp=options["timestamp"],
            entity_rows=asked,
            weights=options["weights"],
            sample=options["sample"],
            progress=say,
        )
    if json_file != STANDARD_OUTPUT:
        render(report, console())
    if json_file is not None:
        write_text(json_file, report.to_json())
    if _RANK[report.verdict] >= _RANK[options["fail_on"]]:
        raise SystemExit(EXIT_FINDINGS)
