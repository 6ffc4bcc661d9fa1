"""A copy of the demo's feature repo for a test, with a few real days in its sources, driven by Feast's own command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
START, END = "2013-07-20T00:00:00", "2013-07-22T16:00:00"
BUILD = """
from datetime import datetime, timezone
from pathlib import Path
from pipeline import build_sources
start, end = (datetime.fromisoformat(text).replace(tzinfo=timezone.utc) for text in {window!r})
build_sources(Path("data/sources"), start, end)
"""


def environment(**more: str) -> dict[str, str]:
    """Give an environment in which `feast` and `skew` find this interpreter's packages, in UTC."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "ignore", "TZ": "UTC", **more}


def run(folder: Path, *command: str, timeout: float = 120, **more: str) -> str:
    """Run a command in a repo and give what it printed; it must succeed."""
    done = subprocess.run(
        command, cwd=folder, env=environment(**more), capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def copy_repo(target: Path) -> Path:
    """Copy feature_repo/ as it is in the project, without what runs have left in it."""
    shutil.copytree(
        PROJECT / "feature_repo", target, ignore=shutil.ignore_patterns("data", "__pycache__", ".monitoring")
    )
    return target


def build_sources(folder: Path) -> None:
    """Write the sources of a few days through the repo's own pipeline."""
    run(folder, sys.executable, "-c", BUILD.format(window=(START, END)))
