"""Working with the copied Feast repo: its modules, `feast apply`, and Feast without its chatter."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from feast.repo_config import load_repo_config
from feast.repo_operations import apply_total


@contextmanager
def modules_of(repo: Path) -> Iterator[None]:
    """Import modules from one Feast repo inside the block, and leave none behind: every repo has a `views`."""
    names = {path.stem for path in repo.glob("*.py")}
    others = {name: sys.modules.pop(name) for name in names & sys.modules.keys()}
    sys.path.insert(0, str(repo))
    try:
        yield
    finally:
        sys.path.remove(str(repo))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(others)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what Feast prints, its bars and its libraries' warnings off the terminal inside the block."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def apply(repo: Path) -> None:
    """Do what `feast apply` does in the folder of the repo."""
    before = Path.cwd()
    try:
        with quiet(), modules_of(repo):
            apply_total(load_repo_config(repo, repo / "feature_store.yaml"), repo, skip_source_validation=False)
    finally:
        os.chdir(before)
