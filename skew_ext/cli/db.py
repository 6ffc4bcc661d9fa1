"""`skew db`: the PostgreSQL that the log is kept in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from skew_ext.cli.output import Target, complain, write_json

if TYPE_CHECKING:
    from skew_ext.cli.repo import Repo


@click.group()
def db() -> None:
    """Look after the PostgreSQL database that the log is kept in."""


@db.command()
@click.option("--dsn-env", help="The environment variable that holds the DSN; the repo's skew.destination names it.")
@click.option("--schema", help="The database's schema; the repo's, or skew.")
@click.option("--json", "json_file", type=Target(), help="Write what was done as JSON; - is standard output.")
@click.pass_obj
def upgrade(repo: Repo, /, dsn_env: str | None, schema: str | None, json_file: str | None) -> None:
    """Make the log's tables and roles, or bring them up to date; nothing happens where they are.

    The roles skew_migrator (owns the tables), skew_writer (may only insert) and skew_auditor (may only read) are made
    if this user may make roles. Give them to the users that log and audit: GRANT skew_writer TO app.

    No superuser is needed: a login with CREATEROLE, and CREATE on the database. What another role owns or manages
    (the schema, something in it, one of the roles) is refused.

    \b
    Example:
      DATABASE_URL=postgresql://log_admin@db/features skew db upgrade --dsn-env DATABASE_URL
    """
    from dataclasses import asdict

    from skew_ext.log.destination import needing_psycopg

    with needing_psycopg():
        from skew_ext.log.postgres_migrations import upgrade as upgrade_database

    if dsn_env is None:
        dsn_env, configured = _configured(repo)
        schema = schema or configured
    done = upgrade_database(dsn_env, schema or "skew")
    if json_file is not None:
        write_json(json_file, asdict(done))
        return
    for migration in done.applied:
        click.echo(f"applied {migration}")
    for role in done.roles:
        click.echo(f"made role {role}")
    for note in done.notes:
        complain(note)
    if not done.applied:
        click.echo("the log's tables are up to date")


def _configured(repo: Repo) -> tuple[str, str]:
    """Give the variable and the schema that the repo's settings name."""
    from skew_ext.errors import SettingsError
    from skew_ext.settings import PostgresSettings

    destination = repo.settings().destination
    if not isinstance(destination, PostgresSettings):
        msg = f"this repo's log goes to {destination.type}, not to PostgreSQL: set skew.destination, or give --dsn-env"
        raise SettingsError(msg)
    return destination.dsn_env, destination.schema_name
