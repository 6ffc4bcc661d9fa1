"""The audits of docs/schedules.md and docs/ci.md: each command line is one that there is, as its scheduler runs it."""

from __future__ import annotations

import ast
import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.commandlines import parsed

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "schedules.md").read_text()
BASH = shutil.which("bash") or "/bin/bash"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for found, text in _BLOCK.findall(PAGE) if found == language]


def commands(script: str, folder: Path) -> list[list[str]]:
    """Give the command lines of ours in a script: what a shell, which works the dates out, hands to the programs."""
    seen, programs = folder / "seen", folder / "bin"
    programs.mkdir()
    for name in ("skew", "flock"):
        said = (
            'shift 2; exec "$@"' if name == "flock" else f'printf "%s\\0" skew "$@" >> {seen}; printf "\\n" >> {seen}'
        )
        (programs / name).write_text(f"#!{BASH}\n{said}\n")
        (programs / name).chmod(0o755)
    here = script.replace("/srv/flights", str(folder)).replace("/srv/reports", str(folder))
    subprocess.run(
        [BASH, "-euc", here], check=True, env={"PATH": f"{programs}:/usr/bin:/bin"}, cwd=folder, capture_output=True
    )
    return [line.rstrip("\0").split("\0") for line in seen.read_text().splitlines()]


def audited(words: list[str]) -> dict[str, object]:
    path, options = parsed(words)
    assert path == "skew audit"
    assert options["feature_service"] == "departure_delay"
    return options


def test_cron_runs_commands_that_there_are(tmp_path: Path) -> None:
    """As cron hands them to the shell: an escaped % is a %, and a % alone would end the command."""
    lines = [line for block in blocks("cron") for line in block.splitlines() if not line.startswith("MAILTO")]
    found = []
    for place, line in enumerate(lines):
        command = line.split(maxsplit=5)[5]
        assert not re.search(r"(?<!\\)%", command)
        (tmp_path / str(place)).mkdir()
        found += commands(command.replace("\\%", "%"), tmp_path / str(place))
    assert [parsed(words)[0] for words in found] == ["skew audit", "skew watch"]
    options = audited(found[0])
    start, end = (str(options[name]) for name in ("start", "end"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:00.*", start)
    assert start < end


def test_systemd_runs_a_command_that_there_is(tmp_path: Path) -> None:
    """As systemd hands it on: %% is a %, and what is quoted is one word."""
    service, timer = (configparser.RawConfigParser() for _ in range(2))
    for parser, text in zip((service, timer), blocks("ini"), strict=True):
        parser.optionxform = str  # type: ignore[assignment,method-assign] # keys keep their case
        parser.read_string(text)
    shell, options, script = shlex.split(service["Service"]["ExecStart"].replace("%%", "%"))
    assert (shell, options) == ("/bin/sh", "-euc")
    (words,) = commands(script, tmp_path)
    assert str(audited(words)["start"]) < str(audited(words)["end"])
    assert timer["Timer"]["Persistent"] == "true"


def test_airflow_runs_a_command_that_there_is(tmp_path: Path) -> None:
    """As Airflow hands it on, its templates filled in with a data interval; the file is Python."""
    (text,) = blocks("python")
    (call,) = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "BashOperator"
    ]
    given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    start, end, short = "2026-03-01T00:20:00+00:00", "2026-03-01T01:20:00+00:00", "20260301T002000"
    filled = given["bash_command"].replace("{{ data_interval_start.isoformat() }}", start)
    filled = filled.replace("{{ data_interval_end.isoformat() }}", end).replace("{{ ts_nodash }}", short)
    assert "{{" not in filled
    (words,) = commands(filled, tmp_path)
    assert words[words.index("--start") + 1] == start
    assert audited(words)["json_file"]
    assert list(given["env"]) == ["FLIGHTS_LOG_DSN"]


def test_the_gate_of_a_deploy_runs_a_command_that_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of docs/ci.md: as GitHub hands it to the shell, with the inputs filled in."""
    monkeypatch.chdir(tmp_path)
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", (DOCS / "ci.md").read_text(), re.MULTILINE | re.DOTALL)
    steps = yaml.safe_load(text)["jobs"]["audit"]["steps"]
    (script,) = [step["run"] for step in steps if "skew -c" in step.get("run", "")]
    (words,) = commands(script.replace("${{ inputs.model_version }}", "v2"), tmp_path)
    options = audited(words)
    assert (options["model_version"], options["fail_on"]) == ("v2", "fail")
