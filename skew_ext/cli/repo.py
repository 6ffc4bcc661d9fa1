"""The repo that a command works on, opened when it is asked for."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skew_ext.cli.output import without_warnings

if TYPE_CHECKING:
    from feast import FeatureStore

    from skew_ext.settings import SkewSettings


@dataclass(frozen=True)
class Repo:
    """The folder that `-c` names, and the yaml that `-f` names, if any."""

    path: Path
    yaml: Path | None

    def store(self) -> FeatureStore:
        """Open the repo, inside its folder as Feast's own commands do; RepoError if it is none."""
        from skew_ext.errors import RepoError
        from skew_ext.repo import open_store

        if not self.path.is_dir():
            msg = f"no folder {self.path}: name the Feast repo with -c/--chdir"
            raise RepoError(msg)
        os.chdir(self.path)
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        without_warnings()
        return open_store(Path.cwd(), self.yaml)

    def settings(self) -> SkewSettings:
        """Give the repo's `skew:` settings; RepoError or SettingsError."""
        from skew_ext.repo import settings_of

        return settings_of(self.store())
