"""A real Feast repo with faults in it: made, served from, audited, and its truth told cell by cell."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from feast import FeatureStore

from skew_ext.errors import RepoError, nearest
from skew_ext.serving.context import request_context
from skew_ext.shipping.shipper import Shipper
from skew_ext.testing.catalogue import FAULTS, LOOKUPS
from skew_ext.testing.explained import explained_cells
from skew_ext.testing.objects import ASKED, ON_DEMAND, SERVICE, configuration, objects
from skew_ext.testing.sources import ParquetSources
from skew_ext.testing.timeline import Timeline
from skew_ext.testing.transforms import exposure
from skew_ext.testing.truth import TrueCell, differ
from skew_ext.testing.views import DEVICES, PAYMENTS
from skew_ext.testing.world import ViewWorld

if TYPE_CHECKING:
    from skew_ext.report import Report
    from skew_ext.testing.lookup_faults import LookupFault
    from skew_ext.testing.sources import Sources
    from skew_ext.testing.views import SyntheticView


class _Served(NamedTuple):
    """A lookup as it was served; `cause` is what was wrong with the process that served it."""

    request: str
    at: datetime
    number: int
    row: dict[str, Any]
    values: dict[str, Any]
    cause: str


class FaultyRepo:
    """A synthetic Feast repo in which chosen shares of what is served go wrong in chosen ways.

    It is a real one: its sources are files or tables, Feast's own stores serve and retrieve, and every lookup is logged
    by `SkewProvider`. The same seed makes the same repo.

    Parameters
    ----------
    folder
        An empty folder, or one to be made.
    faults
        For each cause (a key of `FAULTS`) the share that it befalls: of each view's entity keys, or for the transforms'
        causes of the lookups. Shares of keys add up to at most 1, and so do shares of lookups.
    seed
        What everything is drawn from.
    keys
        The entity keys of each view.
    views
        What is served; `PAYMENTS` and `DEVICES` unless said otherwise.
    times
        When jobs and lookups are: in each round every key is looked up once.
    online
        What stands under `online_store:` in feature_store.yaml: SQLite unless said otherwise. To evict keys it must be
        SQLite or Redis.
    sources
        Where source rows are, and which offline store reads them: Parquet and DuckDB unless said otherwise.

    Raises
    ------
    RepoError
        There is no such fault, the shares add up to more than 1, or two views have a feature of one name.

    Examples
    --------
    >>> repo = FaultyRepo("/tmp/faulty", faults={"stale_online": 0.1, "rescaled": 0.05}, seed=7)  # doctest: +SKIP
    >>> repo.serve()  # doctest: +SKIP
    >>> report, cells = repo.audit()  # doctest: +SKIP
    >>> confusion(cells, repo.truth).recall  # doctest: +SKIP
    """

    def __init__(  # noqa: PLR0913 - what a repo is made of, all but the first two by name
        self,
        folder: str | Path,
        faults: Mapping[str, float] | None = None,
        *,
        seed: int = 0,
        keys: int = 60,
        views: Sequence[SyntheticView] = (PAYMENTS, DEVICES),
        times: Timeline | None = None,
        online: Mapping[str, Any] | None = None,
        sources: Sources | None = None,
    ) -> None:
        shares = dict(faults or {})
        _check(shares)
        _check_names(views)
        self.path = Path(folder)
        self.path.mkdir(parents=True, exist_ok=True)
        self._times = times or Timeline()
        self._random = np.random.default_rng(seed)
        self._keys = keys
        self._lookup_faults = {name: share for name, share in shares.items() if name in LOOKUPS}
        on_keys = {name: share for name, share in shares.items() if name in FAULTS}
        self._sources = sources or ParquetSources(self.path)
        self._worlds = [ViewWorld(view, on_keys, keys, self._times, self._random) for view in views]
        self._cells: list[TrueCell] = []
        self._served: list[_Served] = []
        settings = configuration(self.path, self._sources.config, None if online is None else dict(online))
        (self.path / "feature_store.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        for world in self._worlds:
            self._sources.write(world.view, world.clean_rows())
        self.store = FeatureStore(repo_path=str(self.path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.store.apply(objects(views, self._sources))
        self._on_demand = bool(self.store.list_on_demand_feature_views())

    @property
    def truth(self) -> pd.DataFrame:
        """The cells that are not what training gets: `request_id`, `row`, `feature` (as logged), and their `cause`."""
        return pd.DataFrame(self._cells, columns=pd.Index(TrueCell._fields))

    def serve(self) -> None:
        """Let the world happen: rows land, jobs run, lookups are served, and afterwards the source is as it will be."""
        for tick in range(self._times.rounds):
            for world in self._worlds:
                world.job(self.store, self._sources, tick)
            self._round(tick)
        for world in self._worlds:
            self._sources.write(world.view, world.final_rows())
        for served in self._served:
            self._judge(served)
        self._served.clear()
        Shipper(self.path / "spool").drain()

    def audit(self, **options: Any) -> tuple[Report, pd.DataFrame]:
        """Audit all that was served; give the report, and each differing cell with the cause that was found.

        `options` are those of `SkewAuditor.run_audit`.
        """
        from skew_ext.auditor import SkewAuditor  # noqa: PLC0415 - a world can be made and served without it

        with explained_cells() as explained:
            report = SkewAuditor(self.store).run_audit(SERVICE, self._times.begin, self._times.end, **options)
        return report, explained.frame()

    def _round(self, tick: int) -> None:
        service = self.store.get_feature_service(SERVICE)
        order = self._random.permutation(self._keys)
        for number, at in zip(order.tolist(), self._times.lookups(tick, self._keys, self._random), strict=True):
            row: dict[str, Any] = {}
            for world in self._worlds:
                row |= world.entity(number)
            if self._on_demand:
                row[ASKED] = float(self._random.uniform(1, 100))
            fault = self._befalls()
            request = f"{tick}-{number}"
            with request_context(request_id=request, served_at=at), fault.serving() if fault else nullcontext():
                response = self.store.get_online_features(service, [row]).to_dict()
            values = {name: column[0] for name, column in response.items()}
            self._served.append(_Served(request, at, number, row, values, fault.cause if fault else ""))

    def _befalls(self) -> type[LookupFault] | None:
        drawn = self._random.random()
        for name, share in self._lookup_faults.items():
            drawn -= share
            if drawn < 0:
                return LOOKUPS[name]
        return None

    def _judge(self, served: _Served) -> None:
        for world in self._worlds:
            for name, cause in world.truth(served.number, served.at, served.values):
                self._cells.append(TrueCell(served.request, 0, f"{world.view.name}__{name}", cause))
        if self._on_demand:
            right = exposure.on_row(
                {name: served.values[name] for name in ("amount", "balance")} | {ASKED: served.row[ASKED]}
            )
            outputs = {name: served.values[name] for name in right}
            for name in differ(outputs, right):
                self._cells.append(TrueCell(served.request, 0, f"{ON_DEMAND}__{name}", served.cause))


def _check_names(views: Sequence[SyntheticView]) -> None:
    names = [name for view in views for name in view.features]
    for name in names:
        if names.count(name) > 1:
            msg = f"two views have a feature {name!r}: give features of different views different names"
            raise RepoError(msg)


def _check(shares: Mapping[str, float]) -> None:
    known = {**FAULTS, **LOOKUPS}
    for name, share in shares.items():
        if name not in known:
            msg = f"no fault {name!r}{nearest(name, known)}; there are: {', '.join(known)}"
            raise RepoError(msg)
        if not 0 <= share <= 1:
            msg = f"the share of {name!r} is {share:g}: give one from 0 to 1"
            raise RepoError(msg)
    for kind, table in (("keys", FAULTS), ("lookups", LOOKUPS)):
        total = sum(share for name, share in shares.items() if name in table)
        if total > 1 + 1e-9:
            msg = f"the shares of {kind} add up to {total:g}: give at most 1 in all"
            raise RepoError(msg)
