"""docs/quickstart.md, command by command: from `feast init` to a fault found, as it is written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flights import PROJECT, environment

BASH = shutil.which("bash") or "/bin/bash"
PAGE = PROJECT / "docs" / "quickstart.md"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^# (\w+\.py)\n")


def script() -> str:
    """Put the page's commands in one script, in their order; a block of Python is the file that it names itself."""
    parts = ["set -euo pipefail"]
    for language, text in _BLOCK.findall(PAGE.read_text()):
        if language == "python":
            named = _FILE.match(text)
            assert named is not None, text
            parts.append(f"cat > {named[1]} <<'END OF FILE'\n{text}END OF FILE")
        elif language == "sh":
            # What is tested is installed; from an index it would be another one.
            parts.append(re.sub(r"^pip install skew-ext$", "true", text, flags=re.MULTILINE))
    return "\n".join(parts)


@pytest.mark.slow
def test_the_quickstart_is_true(tmp_path: Path) -> None:
    here = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [BASH, "-c", script()],
        cwd=tmp_path, env=environment(PATH=here, COLUMNS="80"), capture_output=True, text=True, timeout=570, check=False
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    passed, _, failed = done.stdout.partition("PASS  All 800 served cells are what training would get.")
    assert failed, done.stdout
    assert re.search(r"unaccounted +0\n", passed)
    assert "conv_rate=" in passed
    assert "FAIL  100 of 1,600 served cells (6.25%)" in failed
    assert "exit code 1" in failed
    (shown,) = [text for language, text in _BLOCK.findall(PAGE.read_text()) if not language]
    for line in shown.splitlines():  # the page leaves out the times
        assert line in failed
    assert (tmp_path / "my_repo/feature_repo/report.html").stat().st_size > 10_000
