"""Source rows land as they come to be known, so that nothing from the future is there to be materialized."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

if TYPE_CHECKING:
    from skew_ext.demo.world import World


class Landing:
    """Lands a world's source rows in the folders of their sources, each time as new files.

    Parameters
    ----------
    sources
        The folder with a folder for each view.
    world
        Whose schemas and way of writing are used.
    rows
        The source rows by view, as an incident lets them come.
    """

    def __init__(self, sources: Path, world: World, rows: Mapping[str, pd.DataFrame]) -> None:
        self._sources = sources
        self._world = world
        self._rows = {name: frame.sort_values("created", kind="stable") for name, frame in rows.items()}
        self._landed = dict.fromkeys(rows, 0)

    def until(self, at: datetime) -> None:
        """Land the rows created by `at` that have not landed yet."""
        for name, rows in self._rows.items():
            self._land(name, int(rows["created"].searchsorted(pd.Timestamp(at), side="right")), f"{at:%Y-%m-%dT%H%M}")

    def rest(self) -> None:
        """Land all that is left: what came to be known after the replay, of events within it."""
        for name, rows in self._rows.items():
            self._land(name, len(rows), "rest")

    def rows(self, name: str) -> pd.DataFrame:
        """Give all rows of one view, those that have yet to land too, in the order of their landing."""
        return self._rows[name]

    def landed(self, name: str) -> pd.DataFrame:
        """Give what has landed of one view."""
        return self._rows[name].iloc[: self._landed[name]]

    def _land(self, name: str, until: int, label: str) -> None:
        new = self._rows[name].iloc[self._landed[name] : until]
        if len(new):
            table = pa.Table.from_pandas(new, schema=self._world.schemas[name], preserve_index=False)
            self._world.write(table, self._sources / name, label)
        self._landed[name] = max(until, self._landed[name])
