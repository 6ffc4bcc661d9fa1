"""A repo with an hourly history, entity rows that ask it, and what a training job and a careless join make of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from skew_ext import check_leakage
from skew_ext.leakage import LeakageReport
from tests.kit import HOUR, NOON, Repo, row

DRIVERS, HOURS, ROWS = 30, 100, 1500
FEATURES = ["rating", "trips", "city"]
REFERENCES = [f"stats:{name}" for name in FEATURES]


def history(seed: int = 0, late: dict[int, timedelta] | None = None) -> list[dict[str, Any]]:
    """Make an hourly row for each driver; those of the drivers in `late` are created so much later."""
    random = np.random.default_rng(seed)
    return [
        row(
            driver,
            NOON - hour * HOUR,
            float(random.normal()) if random.random() < 0.9 else None,
            int(random.integers(0, 50)),
            f"city {random.integers(0, 5)}",
            created=NOON - hour * HOUR + (late or {}).get(driver, timedelta(0)),
        )
        for driver in range(1, DRIVERS + 1)
        for hour in range(HOURS)
    ]


def asked(seed: int = 0, rows: int = ROWS) -> pd.DataFrame:
    """Give entity rows at any second of the history's last 90 hours, and a label that is chance."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "driver": random.integers(1, DRIVERS + 1, rows),
            "event_timestamp": [NOON - timedelta(seconds=int(each)) for each in random.integers(0, 90 * 3600, rows)],
            "label": random.integers(0, 2, rows),
        }
    )


def retrieved(repo: Repo, entities: pd.DataFrame) -> pd.DataFrame:
    """Retrieve as a training job does; the order of the rows is that of the entities."""
    job = repo.store.get_historical_features(entities.assign(row=range(len(entities))), REFERENCES)
    frame: pd.DataFrame = job.to_df().sort_values("row", ignore_index=True).drop(columns="row")
    return frame


def latest(frame: pd.DataFrame) -> pd.DataFrame:
    """Give each row its driver's last values: what a join without time does."""
    last = pd.DataFrame(history()).sort_values("event_timestamp").groupby("driver").tail(1)
    return frame.drop(columns=FEATURES).merge(last[["driver", *FEATURES]], on="driver")


def check(repo: Repo, frame: Any, **options: Any) -> LeakageReport:
    """Check a frame whose label is `label`."""
    return check_leakage(frame, repo.store, **{"label": "label", **options})


def codes(report: LeakageReport) -> list[tuple[str, str, str | None]]:
    """Give what was found, in short."""
    return [(finding.severity, finding.code, finding.feature) for finding in report.findings]
