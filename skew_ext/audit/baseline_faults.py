"""Findings about the baseline itself: what the offline store got wrong, and what a training set needs against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from skew_ext.model import Finding


class _Told(NamedTuple):
    message: str
    remedy: str


_SAME = "put right for this audit; a training set from this store needs the same care"
_FAULTS = {
    "baseline_rows_lost": _Told(
        "the offline store dropped {:,} entity rows (expired, or before the key's first event); "
        "they count as null, as other stores give them",
        f"{_SAME}: join its result to the entity rows by a row id of your own",
    ),
    "baseline_rows_repeated": _Told(
        "the offline store gave {:,} entity rows more than once; the first of each counts",
        f"{_SAME}: make created times differ where event times are the same, or drop repeats by a row id",
    ),
    "baseline_rows_collapsed": _Told(
        "the offline store gave {:,} fewer rows than were asked for: rows of one key and time became one",
        f"{_SAME}: join its result to the entity rows by key and time",
    ),
    "baseline_key_collision": _Told(
        "{:,} entity rows have composite keys that the offline store takes for one another, since it joins a key's "
        "parts without a separator; they were retrieved apart",
        f"{_SAME}: make the parts of the key of fixed width",
    ),
    "baseline_ttl_not_kept": _Told(
        "the offline store does not keep a view's TTL (it ignores it, or cuts it to whole seconds): {:,} rows have a "
        "value, or none, for that alone; those views were read from the source",
        "use whole seconds of TTL, or another offline store; a training set from this store has expired values",
    ),
    "baseline_feature_unreadable": _Told(
        "the offline store cannot retrieve features whose names end in _y: {:,} cells were read from the source",
        "rename the feature: training cannot have it from this store",
    ),
    "baseline_tie": _Told(
        "in {:,} cells the offline store used, of source rows with one event time, not the one created last",
        f"{_SAME}: write corrections over the rows that they correct",
    ),
    "baseline_null_created": _Told(
        "in {:,} cells the offline store passed over the row that counts, as it does where the created time is null",
        f"{_SAME}: fill the created column",
    ),
    "baseline_wrong_value": _Told(
        "in {:,} cells the offline store gave another value than the source has at that time",
        f"{_SAME}: report it to the store's maintainers with an example",
    ),
}


def baseline_fault_findings(faults: Mapping[str, int]) -> Iterable[Finding]:
    """Give a finding for each thing that the store got wrong; `faults` counts rows or cells by code."""
    for code, told in _FAULTS.items():
        if faults.get(code, 0):
            yield Finding(code, "warn", None, None, told.message.format(faults[code]), told.remedy)
