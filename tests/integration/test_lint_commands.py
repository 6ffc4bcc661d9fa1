"""The commands `skew lint` and `skew explain`: what they print, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from skew_ext.audit.causes import CAUSES
from skew_ext.cli.main import cli
from skew_ext.leakage.codes import CODES as LEAKS
from skew_ext.linting.pages import page
from skew_ext.linting.rules import BY_CODE, RULES
from tests.lint_repos import applied, faulty

FINE, FINDINGS, COULD_NOT_RUN = 0, 1, 2


@pytest.fixture
def skew(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `skew` in this process, in a folder."""

    def run(folder: Path, *arguments: str) -> Result:
        monkeypatch.chdir(folder)
        return CliRunner().invoke(cli, arguments)

    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    return run


def test_the_command_prints_as_ruff_does(tmp_path: Path, skew: Callable[..., Result]) -> None:
    faulty(tmp_path / "repo")
    done = skew(tmp_path, "-c", "repo", "lint")
    assert done.exit_code == FINDINGS, done.output
    lines = done.output.splitlines()
    start = (tmp_path / "repo" / "features.py").read_text().splitlines().index("stats = FeatureView(") + 1
    assert lines[0].startswith(f"repo/features.py:{start}: SKW001 [warn] feature view stats: has no TTL")
    assert lines[1] == f"    help: {BY_CODE['SKW001'].remedy}"
    assert lines[2].startswith(
        f"repo/features.py:{start}: SKW013 [warn] feature view stats, feature rating: is a double"
    )
    assert lines[-1].startswith("2 warn in 4 objects of project example, from its Python files.")
    assert len(skew(tmp_path, "-c", "repo", "lint", "--output-format", "concise").output.splitlines()) == 3


def test_exit_codes(tmp_path: Path, skew: Callable[..., Result]) -> None:
    faulty(tmp_path / "repo")
    assert skew(tmp_path, "-c", "repo", "lint", "--fail-on", "fail").exit_code == FINE
    assert skew(tmp_path, "-c", "repo", "lint", "--select", "SKW002,SKW003").exit_code == FINE
    assert skew(tmp_path, "-c", "repo", "lint", "--ignore", "SKW001", "--ignore", "SKW013").exit_code == FINE
    wrong = skew(tmp_path, "-c", "repo", "lint", "--select", "SKW0001")
    assert (wrong.exit_code, wrong.stdout) == (COULD_NOT_RUN, "")
    assert wrong.stderr.startswith("skew: --select: 'SKW0001' is not a rule (did you mean 'SKW001'?)")
    nowhere = skew(tmp_path, "-c", "nowhere", "lint")
    assert (nowhere.exit_code, nowhere.stderr.count("\n")) == (COULD_NOT_RUN, 1)


def test_json_alone_on_standard_output_whatever_the_repo_prints(tmp_path: Path, skew: Callable[..., Result]) -> None:
    folder = faulty(tmp_path / "repo")
    with (folder / "features.py").open("a") as file:
        file.write("print('a word of its own')\n")
    done = skew(folder, "lint", "--json", "-")
    assert done.exit_code == FINDINGS
    report = json.loads(done.stdout)
    assert {key: report[key] for key in ("schema", "project", "origin", "checked", "ignored", "counts")} == {
        "schema": 1,
        "project": "example",
        "origin": "files",
        "checked": 4,
        "ignored": 0,
        "counts": {"info": 0, "warn": 2, "fail": 0},
    }
    first = report["findings"][0]
    assert (first["code"], first["rule"], first["file"]) == ("SKW001", "ttl-missing", "features.py")
    assert (first["object"], first["feature"]) == ({"kind": "feature view", "name": "stats"}, None)
    assert first["line"] > 1


def test_annotations_for_github(tmp_path: Path, skew: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = faulty(tmp_path / "a" / "repo")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    done = skew(folder, "lint", "--output-format", "github", "--select", "SKW001")
    start = (folder / "features.py").read_text().splitlines().index("stats = FeatureView(") + 1
    assert done.stdout == (
        f"::warning file=a/repo/features.py,line={start},title=SKW001 (ttl-missing)::feature view stats: has no TTL: "
        "values of any age are trained on and served. Help: give the view a ttl: the longest that a value still means "
        "something\n"
    )


def test_a_name_cannot_begin_a_line_of_its_own(tmp_path: Path, skew: Callable[..., Result]) -> None:
    """Tags' names are data: neither a terminal nor GitHub takes one for a command."""
    folder = faulty(tmp_path / "repo", r'{"skew.x\n::error::\x1b[31m%0A": "1"}')
    shown = skew(folder, "lint", "--select", "SKW039").stdout
    assert "\x1b[31m" not in shown
    assert "\n::error" not in shown
    annotated = skew(folder, "lint", "--select", "SKW039", "--output-format", "github").stdout
    assert annotated.count("\n") == 1
    assert "\x1b" not in annotated


def test_the_registry_option(tmp_path: Path, skew: Callable[..., Result]) -> None:
    folder = faulty(tmp_path / "repo")
    applied(folder)
    done = skew(folder, "lint", "--registry")
    assert done.output.startswith("registry: SKW001 [warn] feature view stats: has no TTL")


def test_explain(tmp_path: Path, skew: Callable[..., Result]) -> None:
    shown = skew(tmp_path, "explain", "SKW003").output
    assert shown.startswith("SKW003 ttl-below-two-intervals [warn]\n")
    assert [
        line for line in shown.splitlines() if line.istitle() or line.startswith(("What", "Found", "Not", "To"))
    ] == [
        "Why",
        "What to do",
        "Found here",
        "Not here",
        "To ignore it",
    ]
    assert max(len(line) for rule in RULES for line in page(rule).splitlines()) <= 100
    assert skew(tmp_path, "explain", "ttl-below-two-intervals").output == shown
    listed = skew(tmp_path, "explain").output.splitlines()
    assert [line.split()[0] for line in listed if line.startswith("SKW")] == [rule.code for rule in RULES]
    causes = listed[len(RULES) + 3 :][: len(CAUSES)]
    assert [line.split()[0] for line in causes] == list(CAUSES)
    assert [line.split()[0] for line in listed[len(RULES) + len(CAUSES) + 5 :]] == list(LEAKS)
    for leak in LEAKS:
        assert f"{leak} [finding of skew leakage]\n\n" in skew(tmp_path, "explain", leak).output
    for cause in CAUSES:
        explained = skew(tmp_path, "explain", cause)
        assert explained.exit_code == FINE
        assert explained.output.startswith(f"{cause} [cause of a differing cell]\n\n")
    wrong = skew(tmp_path, "explain", "SKW0O3")
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (COULD_NOT_RUN, 1)
    assert "did you mean" in wrong.stderr
