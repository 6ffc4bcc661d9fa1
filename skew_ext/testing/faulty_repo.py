"""A real Feast repo with faults in it: made, served from, audited, and its truth told cell by cell."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
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
from skew_ext.testing.catalogue import FAULTS, LOOKUPS, PAIRS
from skew_ext.testing.explained import explained_cells
from skew_ext.testing.objects import ASKED, HALF, ON_DEMAND, SERVICE, configuration, objects
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
    """A lookup as it was served, a value for each of its entity rows; `cause` is what was wrong with the process."""

    service: str
    request: str
    tick: int
    at: datetime
    numbers: list[int]
    rows: list[dict[str, Any]]
    values: dict[str, list[Any]]
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
        causes of the lookups. Two names with a `+` between them (`PAIRS`) befall the same keys. Shares of keys add up
        to at most 1, and so do shares of lookups.
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
    batch
        A lookup asks for so many entities at most.
    strangers
        So many entities are looked up in each round that no source knows.
    two_services
        Whether every fourth entity is looked up through a second service, `HALF`, with half of each view's features.
    full_feature_names
        Whether lookups ask for them.

    Raises
    ------
    RepoError
        There is no such fault, the shares add up to more than 1, or two features that are served have one name.

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
        batch: int = 1,
        strangers: int = 0,
        two_services: bool = False,
        full_feature_names: bool = False,
    ) -> None:
        shares = dict(faults or {})
        _check(shares)
        if not full_feature_names:
            _check_names(views)
        self.path = Path(folder)
        self.path.mkdir(parents=True, exist_ok=True)
        self._times = times or Timeline()
        self._random = np.random.default_rng(seed)
        self._keys = keys
        self._lookup_faults = {name: share for name, share in shares.items() if name in LOOKUPS}
        self._full, self._batch, self._strangers = full_feature_names, batch, strangers
        self._services = [SERVICE, *([HALF] if two_services else [])]
        on_keys = {name: share for name, share in shares.items() if name not in LOOKUPS}
        self._sources = sources or ParquetSources(self.path)
        self._worlds = [ViewWorld(view, on_keys, keys, self._times, self._random) for view in views]
        self._cells: dict[str, list[TrueCell]] = {service: [] for service in self._services}
        self._served: list[_Served] = []
        settings = configuration(self.path, self._sources.config, None if online is None else dict(online))
        (self.path / "feature_store.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        for world in self._worlds:
            self._sources.write(world.view, world.clean_rows())
        self.store = FeatureStore(repo_path=str(self.path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.store.apply(objects(views, self._sources))
        self._with_inputs = next((view.name for view in views if {"amount", "balance"} <= view.features.keys()), "")
        self._on_demand = bool(self._with_inputs)

    @property
    def truth(self) -> pd.DataFrame:
        """The cells that are not what training gets: `request_id`, `row`, `feature` (as logged), and their `cause`."""
        return self.truth_of(SERVICE)

    def truth_of(self, service: str) -> pd.DataFrame:
        """Give the truth of the lookups of one service: `SERVICE`, or `HALF` of `two_services`."""
        return pd.DataFrame(self._cells[service], columns=pd.Index(TrueCell._fields))

    def serve(self) -> None:
        """Let the world happen: rows land, jobs run, lookups are served, and afterwards the source is as it will be."""
        for tick in range(self._times.rounds):
            for world in self._worlds:
                world.lose(self.store, tick)
            for world in self._worlds:
                world.job(self.store, self._sources, tick)
            self._round(tick)
        for world in self._worlds:
            self._sources.write(world.view, world.final_rows())
        for served in self._served:
            self._judge(served)
        self._served.clear()
        Shipper(self.path / "spool").drain()

    def audit(self, service: str = SERVICE, **options: Any) -> tuple[Report, pd.DataFrame]:
        """Audit all that was served; give the report, and each differing cell with the cause that was found.

        `options` are those of `SkewAuditor.run_audit`.
        """
        from skew_ext.auditor import SkewAuditor  # noqa: PLC0415 - a world can be made and served without it

        with explained_cells() as explained:
            report = SkewAuditor(self.store).run_audit(service, self._times.begin, self._times.end, **options)
        return report, explained.frame()

    def _round(self, tick: int) -> None:
        order = self._random.permutation(self._keys + self._strangers).tolist()
        for place, service in enumerate(self._services):
            # The second service has every fourth entity, in each round the same ones.
            asked = [number for number in order if len(self._services) == 1 or (number % 4 == 3) == bool(place)]  # noqa: PLR2004
            some = [asked[start : start + self._batch] for start in range(0, len(asked), self._batch)]
            for numbers, at in zip(some, self._times.lookups(tick, len(some), self._random), strict=True):
                self._served.append(self._lookup(service, tick, at, numbers))

    def _lookup(self, service: str, tick: int, at: datetime, numbers: list[int]) -> _Served:
        rows: list[dict[str, Any]] = []
        for number in numbers:
            row: dict[str, Any] = {}
            for world in self._worlds:
                row |= world.entity(number)
            if self._on_demand and service == SERVICE:
                row[ASKED] = float(self._random.uniform(1, 100))
            rows.append(row)
        fault = self._befalls()
        request = f"{tick}-{numbers[0]}"
        with request_context(request_id=request, served_at=at), fault.serving() if fault else nullcontext():
            # As Feast's own server asks: without the cache each lookup would read the registry anew.
            features = self.store.get_feature_service(service, allow_cache=True)
            values = self.store.get_online_features(features, rows, full_feature_names=self._full).to_dict()
        return _Served(service, request, tick, at, numbers, rows, values, fault.cause if fault else "")

    def _befalls(self) -> type[LookupFault] | None:
        drawn = self._random.random()
        for name, share in self._lookup_faults.items():
            drawn -= share
            if drawn < 0:
                return LOOKUPS[name]
        return None

    def _judge(self, served: _Served) -> None:
        for row, number in enumerate(served.numbers):
            for world in self._worlds:
                for name in world.view.served_as:
                    values = self._values(served, name, row, world.view.features)
                    for feature, cause in world.truth(name, number, served.tick, served.at, values):
                        self._tell(served, row, f"{name}__{feature}", cause)
            self._judge_on_demand(served, row)

    def _judge_on_demand(self, served: _Served, row: int) -> None:
        name = self._with_inputs
        inputs = self._values(served, name, row, ("amount", "balance")) if name else {}
        outputs = self._values(served, ON_DEMAND, row, ("exposure", "heavy"))
        # Feast leaves these outputs out under full feature names.
        if not outputs or served.service != SERVICE:
            return
        right = exposure.on_row({**inputs, ASKED: served.rows[row][ASKED]})
        for feature in differ(outputs, right):
            self._tell(served, row, f"{ON_DEMAND}__{feature}", served.cause)

    def _values(self, served: _Served, name: str, row: int, features: Iterable[str]) -> dict[str, Any]:
        named = {feature: f"{name}__{feature}" if self._full else feature for feature in features}
        return {feature: served.values[column][row] for feature, column in named.items() if column in served.values}

    def _tell(self, served: _Served, row: int, feature: str, cause: str) -> None:
        self._cells[served.service].append(TrueCell(served.request, row, feature, cause))


def _check_names(views: Sequence[SyntheticView]) -> None:
    names = [name for view in views for _ in view.served_as for name in view.features]
    for name in names:
        if names.count(name) > 1:
            msg = (
                f"two views have a feature {name!r}: give features of different views different names, "
                "or full_feature_names=True"
            )
            raise RepoError(msg)


def _check(shares: Mapping[str, float]) -> None:
    known: dict[str, Any] = {**FAULTS, **LOOKUPS, **PAIRS}
    for name, share in shares.items():
        if name not in known:
            msg = f"no fault {name!r}{nearest(name, known)}; there are: {', '.join([*FAULTS, *LOOKUPS])}, and pairs"
            raise RepoError(msg)
        if not 0 <= share <= 1:
            msg = f"the share of {name!r} is {share:g}: give one from 0 to 1"
            raise RepoError(msg)
    for kind, table in (("keys", {**FAULTS, **PAIRS}), ("lookups", LOOKUPS)):
        total = sum(share for name, share in shares.items() if name in table)
        if total > 1 + 1e-9:
            msg = f"the shares of {kind} add up to {total:g}: give at most 1 in all"
            raise RepoError(msg)
