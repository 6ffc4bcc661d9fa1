"""The `skew` command: exit code 0 is fine, 1 is findings at or over `--fail-on`, 2 is that it could not run."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import click

from skew_ext import __version__
from skew_ext.cli.audit import audit
from skew_ext.cli.db import db
from skew_ext.cli.demo import demo
from skew_ext.cli.explain import explain
from skew_ext.cli.incidents import incidents
from skew_ext.cli.leakage import leakage
from skew_ext.cli.lint import lint
from skew_ext.cli.log import log
from skew_ext.cli.output import complain, without_warnings
from skew_ext.cli.repo import Repo
from skew_ext.cli.ship import ship
from skew_ext.cli.transforms import transforms
from skew_ext.cli.watch import watch
from skew_ext.errors import SkewError
from skew_ext.text import masked, visible

EXIT_COULD_NOT_RUN = 2


class _Group(click.Group):
    """Turns an error of ours into one line and exit code 2, and leaves every other error its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SkewError as error:
            complain(str(error))
            ctx.exit(EXIT_COULD_NOT_RUN)
        except click.UsageError as error:
            said = error.format_message()
            shown = visible(masked(said) if isinstance(error, click.BadParameter) else said)
            if shown == said:
                raise
            raise click.UsageError(shown, error.ctx) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-c", "--chdir", type=click.Path(path_type=Path), help="The Feast repo, where it is not this folder.")
@click.option(
    "-f",
    "--feature-store-yaml",
    type=click.Path(path_type=Path),
    help="Another feature_store.yaml; a relative path counts from the repo.",
)
@click.option(
    "--report-access",
    type=click.Choice(["owner", "group"]),
    default="owner",
    show_default=True,
    envvar="SKEW_REPORT_ACCESS",
    show_envvar=True,
    help="Who else may read files that are made, which hold served values: nobody, or the file's group.",
)
@click.version_option(__version__, prog_name="skew")
@click.pass_context
def cli(ctx: click.Context, chdir: Path | None, feature_store_yaml: Path | None, report_access: str) -> None:  # noqa: ARG001 - see cli/output.py
    """Make training and serving use the same features, and prove it.

    \b
    Example:
      skew -c feature_repo audit --feature-service departure_delay \\
        --start 2013-07-22T04:00 --end 2013-07-25T04:00
    """
    # Feast's SQLite store reads event times in the process's own time zone; here it is always UTC.
    os.environ["TZ"] = "UTC"
    time.tzset()
    without_warnings()
    ctx.obj = Repo(chdir or Path.cwd(), feature_store_yaml)


for _command in (demo, lint, explain, audit, leakage, log, ship, watch, incidents, db, transforms):
    cli.add_command(_command)

if __name__ == "__main__":
    cli()
