"""`skew lint`: what will make training and serving differ, said before it does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skew_ext.cli.output import STANDARD_OUTPUT, Target, write_text

if TYPE_CHECKING:
    from skew_ext.cli.repo import Repo

EXIT_FINDINGS = 1


def _codes(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> list[str] | None:
    """Read codes separated by commas, or the option given more than once; None where it is not given."""
    return [code.strip() for one in value for code in one.split(",") if code.strip()] if value else None


@click.command()
@click.option("--select", multiple=True, callback=_codes, metavar="CODES", help="Only these rules: SKW003,SKW007.")
@click.option("--ignore", multiple=True, callback=_codes, metavar="CODES", help="Not these rules, beside the file's.")
@click.option("--registry", is_flag=True, help="Check what is registered, not the repo's Python files.")
@click.option(
    "--output-format",
    type=click.Choice(["full", "concise", "github"]),
    default="full",
    show_default=True,
    help="Lines with their help, lines alone, or annotations for a GitHub workflow.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["info", "warn", "fail"]),
    default="warn",
    show_default=True,
    help="The severity from which the exit code is 1.",
)
@click.option("--json", "json_file", type=Target(), help="Write the findings as JSON; - is standard output.")
@click.pass_obj
def lint(repo: Repo, /, *, output_format: str, json_file: str | None, **options: Any) -> None:
    """Check the repo for what makes training and serving differ. `skew explain CODE` tells a rule's why and remedy.

    Rules are ignored by a tag on the object, skew.ignore: SKW003,SKW007, or in pyproject.toml, as ruff has it:
    select, ignore and per-object-ignore under [tool.skew]. The repo's Python files are imported, as `feast plan`
    does; with --registry, what is registered is read as data, and no function in it is run.

    \b
    Example:
      skew -c feature_repo lint --output-format github --fail-on fail
    """
    from skew_ext.linting import lint as check
    from skew_ext.linting.output import lines

    base = Path(os.environ.get("GITHUB_WORKSPACE", "") or Path.cwd()) if output_format == "github" else Path.cwd()
    report = check(
        repo.path,
        select=options["select"],
        ignore=options["ignore"],
        registry=options["registry"],
        fs_yaml_file=repo.yaml,
    )
    if json_file is not None:
        write_text(json_file, report.to_json())
    if json_file != STANDARD_OUTPUT:
        for line in lines(report, output_format, base.resolve()):
            click.echo(line)
    if report.at_least(options["fail_on"]):
        raise SystemExit(EXIT_FINDINGS)
