"""`skew audit`: what was served against what training gets, and why they differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skew_ext.cli.output import STANDARD_OUTPUT, Moment, Sample, Target, console, progress, write_text, writing

if TYPE_CHECKING:
    from datetime import datetime

    from skew_ext.cli.repo import Repo

EXIT_FINDINGS = 1
_RANK = {"pass": 0, "warn": 1, "fail": 2}


@click.command()
@click.option("--feature-service", required=True, help="The feature service whose lookups are audited.")
@click.option("--start", required=True, type=Moment(), help="Start of the window, included (ISO 8601).")
@click.option("--end", required=True, type=Moment(), help="End of the window, not included.")
@click.option("--training-set", type=click.Path(path_type=Path), help="Parquet or CSV that the model was trained on.")
@click.option("--weights", metavar="COLUMN", help="The training set's column of weights: drift is from what they give.")
@click.option(
    "--thresholds",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML or JSON with thresholds of the distributions, as psi_act = 0.3, and tables of them by feature or view.",
)
@click.option(
    "--importance",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="JSON, TOML or CSV (feature,importance) with the importance of each view__feature to the model.",
)
@click.option("--top-k", type=click.IntRange(min=1), help="Compare the distributions of the most important ones only.")
@click.option("--model-version", help="Only lookups logged with this model version.")
@click.option("--sample", type=Sample(), help="At most this many rows (100000), or this share of the keys (0.1, 10%).")
@click.option(
    "--fail-on",
    type=click.Choice(["warn", "fail"]),
    default="fail",
    show_default=True,
    help="The verdict from which the exit code is 1.",
)
@click.option("--html", type=Target(), help="Write the report as a page.")
@click.option("--json", "json_file", type=Target(), help="Write the report as JSON; - is standard output.")
@click.option("--junit", type=Target(), help="Write the report as JUnit XML, for CI systems; - is standard output.")
@click.option(
    "--markdown", type=Target(), help="Write the report as Markdown, for a pull request; - is standard output."
)
@click.pass_obj
def audit(repo: Repo, /, *, start: datetime, end: datetime, **options: Any) -> None:
    """Compare what was served with what training gets for the same keys and times, cell by cell, and say why.

    \b
    Example:
      skew audit --feature-service departure_delay \\
        --start 2013-07-22T04:00Z --end 2013-07-25T04:00Z --html report.html

    The exit code is 0 where the verdict is better than --fail-on, 1 where it is not, and 2 where it could not run.
    """
    html, json_file, junit_file, markdown = (options[name] for name in ("html", "json_file", "junit", "markdown"))
    # The caller's path: made absolute before the repo becomes the working folder.
    training, thresholds, importance = (
        options[name] and options[name].absolute() for name in ("training_set", "thresholds", "importance")
    )
    told = [
        f"--{name}"
        for name, file in zip(("json", "junit", "markdown"), (json_file, junit_file, markdown), strict=True)
        if file == STANDARD_OUTPUT
    ]
    if len(told) > 1:
        msg = f"{' and '.join(told[:2])} cannot both be standard output: give one of them a file"
        raise click.UsageError(msg)
    from skew_ext.audit.given import read_importance, read_thresholds
    from skew_ext.auditor import SkewAuditor
    from skew_ext.baseline.duckdb_memory import without_duckdbs_progress
    from skew_ext.report import junit, terminal
    from skew_ext.training.files import read_file

    limits = None if thresholds is None else read_thresholds(thresholds)
    important = None if importance is None else read_importance(importance)
    store = repo.store()
    without_duckdbs_progress(store)
    auditor = SkewAuditor(store)
    trained = None if training is None else read_file(training, "the training set")
    with progress("opening the repo") as say:
        report = auditor.run_audit(
            options["feature_service"],
            start,
            end,
            training_set=trained,
            model_version=options["model_version"],
            sample=options["sample"],
            weights=options["weights"],
            thresholds=limits,
            importance=important,
            top_k=options["top_k"],
            progress=say,
        )
    if json_file is not None:
        write_text(json_file, report.to_json())
    if junit_file is not None:
        write_text(junit_file, junit.dumps(report, options["fail_on"]))
    if markdown is not None:
        write_text(markdown, report.to_markdown())
    if html is not None:
        with writing(html) as page:
            click.echo(f"report: {report.to_html(page)}", err=True)
    if not told:
        terminal.render(report, console())  # last: who reads only its beginning gets the files all the same
    if _RANK[report.verdict] >= _RANK[options["fail_on"]]:
        raise SystemExit(EXIT_FINDINGS)
