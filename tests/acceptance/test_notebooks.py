"""Every notebook runs from top to bottom, and says what it says in the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.flights import PROJECT

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
VARIES = "varies"
"""The tag of a cell whose output is not the same on every machine; it has to run all the same."""


def said(cell: Any) -> list[str]:
    """Give what a cell shows, as text; of a figure, that there is one."""
    shown = []
    for output in cell.get("outputs", ()):
        if output["output_type"] == "stream":
            shown.append(f"{output['name']}: {output['text']}")
        else:
            shown.append(f"{sorted(set(output['data']) - {'text/html'})}: {output['data'].get('text/plain', '')}")
    return shown


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the working folder of all notebooks: a later one goes on with what an earlier one left there."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_what_it_says(path: Path, folder: Path) -> None:
    stored, run = (nbformat.reads(path.read_text(), as_version=4) for _ in range(2))  # type: ignore[no-untyped-call]
    NotebookClient(run, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    for kept, now in zip(stored.cells, run.cells, strict=True):
        if VARIES not in kept.metadata.get("tags", ()):
            assert said(now) == said(kept), kept.source
