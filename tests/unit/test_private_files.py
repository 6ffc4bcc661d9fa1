"""Files with served values are made for their owner alone, whatever the umask; one that is there keeps its mode."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from skew_ext.cli import output
from skew_ext.cli.main import cli
from skew_ext.errors import SettingsError
from skew_ext.report import Report
from skew_ext.transform.fingerprint import Manifest
from skew_ext.transform.kept import keep_manifest, kept_manifests
from skew_ext.watch.sqlite_store import SqliteWatchStore
from skew_ext.watch.state import ServiceState
from skew_ext.watch.store import Commit
from tests.kit import NOON
from tests.unit.test_report import report as example_report


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield int(request.param)
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@click.command()
@click.pass_context
def writer(ctx: click.Context) -> None:
    """Write a file, as commands do."""
    output.write_text(ctx.obj, "4711")


def written(file: Path, *options: str, **variables: str) -> None:
    """Run a command that writes a file below the real `skew`, with its options."""
    cli.add_command(writer, "writer")
    try:
        # Repo is what a command gets there; this one takes the file's name from its own.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("skew_ext.cli.main.Repo", lambda *_: str(file))
            result = CliRunner().invoke(cli, [*options, "writer"], env=variables)
    finally:
        cli.commands.pop("writer")
    assert result.exit_code == 0, result.output


def test_a_report_is_for_its_owner_alone_or_for_its_group(umask: int, tmp_path: Path) -> None:
    written(tmp_path / "a.json")
    written(tmp_path / "b.json", "--report-access", "group")
    written(tmp_path / "c.json", SKEW_REPORT_ACCESS="group")
    assert [mode(tmp_path / f"{name}.json") for name in "abc"] == [0o600, 0o640, 0o640], umask
    assert (tmp_path / "a.json").read_text() == "4711\n"


def test_a_file_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "there.json"
    file.write_text("before")
    file.chmod(0o664)
    written(file)
    written(file, "--report-access", "group")
    assert (mode(file), file.read_text()) == (0o664, "4711\n")
    written(Path(os.devnull))  # no file at all
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "far.json")
    written(link)
    assert mode(tmp_path / "far.json") == 0o600


def test_a_page_is_for_its_owner_alone(umask: int, tmp_path: Path) -> None:
    page = example_report().to_html(tmp_path / "report.html")
    assert mode(page) == 0o600, umask
    page.chmod(0o644)
    assert mode(example_report().to_html(page)) == 0o644


def test_what_a_watch_keeps_is_for_its_owner_alone(umask: int, tmp_path: Path) -> None:
    path = tmp_path / "log-watch" / "watch.sqlite"
    store = SqliteWatchStore(path, "rides")
    journals = []
    with store.transaction() as run:
        run("DELETE FROM {}.watch_incidents")
        run("INSERT INTO {}.watch_incidents VALUES ('p', 'i', 's', 't', NULL, 'c')")
        journals = [mode(one) for one in path.parent.iterdir() if one != path]
    assert (mode(path), mode(path.parent)) == (0o600, 0o700), umask
    assert journals == [0o600]
    assert store.commit(Commit(ServiceState("scoring", NOON))).revision == 1


def test_a_kept_transform_is_for_its_owner_alone_and_two_containers_may_share_it(
    umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Manifest({"name": "km"}, {}, {})
    drafts: list[str] = []
    rename = Path.replace

    def renamed(self: Path, target: Path) -> Path:
        drafts.append(self.name)
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", renamed)
    monkeypatch.setattr(os, "getpid", lambda: 1)  # as in a container, where every process is the first
    for _ in range(2):
        keep_manifest(tmp_path / "kept", manifest)
        (path,) = (tmp_path / "kept").iterdir()
        assert (mode(path), mode(tmp_path / "kept")) == (0o600, 0o700), umask
        assert [one.fingerprint for one in kept_manifests(tmp_path / "kept")] == [manifest.fingerprint]
        path.unlink()
    assert len(set(drafts)) == 2


def test_a_draft_that_cannot_be_written_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        keep_manifest(tmp_path / "kept", Manifest({}, {}, {}))
    assert list((tmp_path / "kept").iterdir()) == []


NASTY = "a\x1b[2J\u202egnp\nskew: forged postgresql://me:s3cr3t@db/x"


def test_an_error_line_is_one_line_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise SettingsError(NASTY)

    monkeypatch.setattr("skew_ext.cli.repo.Repo.settings", failing)
    for arguments in (["log", "stats"], ["-c", str(tmp_path), "db", "upgrade"]):
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 2
        assert result.stderr == "skew: a\\x1b[2J\\u202egnp\\nskew: forged postgresql://***@db/x\n"


def test_a_wrong_option_is_said_without_control_characters(tmp_path: Path) -> None:
    folder = tmp_path / "a\x1b[2J\u202e"
    folder.mkdir()
    result = CliRunner().invoke(cli, ["log", "stats", "--json", str(folder)])
    assert result.exit_code == 2
    assert "\\x1b[2J\\u202e" in result.stderr
    assert not set("\x1b\u202e") & set(result.stderr)


def test_what_is_logged_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    output.log_to_terminal()
    logging.getLogger("skew_ext.example").warning("%s was not watched", NASTY)
    logging.getLogger("skew_ext.example").warning("it failed", exc_info=ValueError(NASTY))
    said = capsys.readouterr().err
    assert "WARNING a\\x1b[2J\\u202egnp\\nskew: forged" in said
    assert not set("\x1b\u202e") & set(said)
    assert "ValueError: a\\x1b" in said


def test_a_reports_repr_moves_no_cursor() -> None:
    one = example_report(feature_service=NASTY)
    assert isinstance(one, Report)
    assert repr(one).isprintable()
