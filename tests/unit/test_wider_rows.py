"""Source rows over a longer time are read for the features that are asked of, in two readings at most."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa

from skew_ext.audit.causes.cells import Wider
from skew_ext.auditor.wider import WiderRows
from skew_ext.baseline.evidence import SourceRows

FEATURES = ["a", "b", "c", "d"]


def test_the_first_feature_is_read_by_itself_and_the_second_with_all_others() -> None:
    asked: list[set[str]] = []

    def fetch(features: Collection[str]) -> Wider:
        asked.append(set(features))
        none = np.zeros(0, dtype=np.int64)
        return Wider(SourceRows(none, none, None, {name: pa.array([], pa.float64()) for name in features}), none)

    rows = WiderRows(FEATURES, fetch)
    assert not asked
    assert "b" in rows.of("b").source.values
    assert asked == [{"b"}]
    for name in ["b", *FEATURES]:
        assert name in rows.of(name).source.values
    assert asked == [{"b"}, {"a", "c", "d"}]
