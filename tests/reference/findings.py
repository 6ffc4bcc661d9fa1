"""The findings of audits and leakage checks: which codes there are stands in the code, what they mean stands here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from skew_ext.audit.baseline_faults import _FAULTS
from tests.reference.source import Site, argument, calls, written

ROOMS: Final = {"skew_ext.audit.": "audit", "skew_ext.auditor.": "audit", "skew_ext.leakage.": "leakage"}
MEANINGS: Final = {
    "baseline_feature_unreadable": "The offline store cannot retrieve the feature; it was read from the source.",
    "baseline_key_collision": "The offline store takes composite keys for one another; they were retrieved apart.",
    "baseline_null_created": "The offline store passed over a row whose created time is null.",
    "baseline_rows_collapsed": "The offline store made one row of entity rows of one key and time.",
    "baseline_rows_lost": "The offline store dropped entity rows; they count as null.",
    "baseline_rows_repeated": "The offline store gave entity rows more than once; the first of each counts.",
    "baseline_tie": "Of source rows with one event time, the offline store took another than the one created last.",
    "baseline_ttl_not_kept": "The offline store ignores a view's TTL, or cuts it to whole seconds.",
    "baseline_wrong_value": "The offline store gave another value than the source has at that time.",
    "created_is_backfill": "The source's created times are those of a bulk load, not of when rows were known.",
    "future_value": "Values stand only in source rows from after the rows' time.",
    "joined_without_time": "Rows have the latest values of their key, not those of their time.",
    "known_later": "Values come from source rows that were created after the rows' time.",
    "label_by_time": "The rows' own time tells the label, so whatever rises with time does too.",
    "label_copy": "A column is the label under another name.",
    "label_function": "A column is made of the label, or the label of it.",
    "label_predicted": "A column alone predicts the label too well.",
    "label_predicted_by_model": "Several columns together predict the label too well, by a linear model.",
    "label_shifted": "A column is the label of another row of the same entity.",
    "not_compared": "A feature has no baseline; the message says why.",
    "not_point_in_time": "Cells are not the point-in-time value, and no source row has them.",
    "not_transformed": "An on-demand output is not what the registered transform gives from the row's inputs.",
    "psi_drift": "The served distribution left that of the training set: the world differs.",
    "psi_skew": "The served distribution left that of the baseline of the same rows: the pipeline differs.",
    "rows_gained": "The training set has keys and times that the entity rows have not.",
    "rows_lost": "The training set lacks keys and times that the entity rows have.",
    "rows_repeated": "The training set has a key and time more often than the entity rows.",
    "source_ties": "Source rows share key and times, and nothing says which of them training uses.",
    "timestamp_constant": "All rows have one time.",
    "timestamp_guessed": "The column of times was not named, and the only one there is was taken.",
    "timestamp_in_future": "Rows are of a time still to come.",
    "timestamp_missing": "There is no column of times, so no cell can be set against its point-in-time value.",
    "timestamp_null": "Rows have no time.",
    "timestamp_shift": "Rows have the values of a constant while before or after their time: a time zone.",
    "transform_mismatch": "The registered transform is not the one installed where the audit ran.",
    "ttl_too_short": "The TTL is shorter than the time in which a key's next events come and arrive.",
}
_SEVERITIES: Final = ("info", "warn", "fail")
_CODE: Final = re.compile("[a-z]+(_[a-z]+)+")


def findings() -> list[tuple[str, str, str, str]]:
    """Give code, room, severity and meaning of each finding; a new one is told of by its function's docstring."""
    severities: dict[tuple[str, str], set[str]] = {(code, "audit"): {"warn"} for code in _FAULTS}
    docstrings: dict[str, str] = {}
    for site in calls():
        room = next((room for start, room in ROOMS.items() if site.module.startswith(start)), None)
        for code, severity in _coded(site) if room is not None else ():
            severities.setdefault((code, str(room)), set()).update(severity)
            docstrings[code] = site.docstring
    return [
        (
            f"`{code}`",
            room,
            " or ".join(one for one in _SEVERITIES if one in found) or "by how much",
            _meaning(code, docstrings),
        )
        for (code, room), found in sorted(severities.items())
    ]


def _meaning(code: str, docstrings: dict[str, str]) -> str:
    return MEANINGS.get(code) or docstrings[code]


def _coded(site: Site) -> Iterator[tuple[str, list[str]]]:
    """Give code and severities where a call is given both: side by side, or by their names."""
    pairs = [(argument(site.call, -1, "code"), argument(site.call, -1, "severity"))]
    pairs += [(one, after) for one, after in pairwise(site.call.args) if _is_severity(after, site)]
    for one, after in pairs:
        for code in written(one, site):
            if _CODE.fullmatch(code):
                yield code, written(after, site)


def _is_severity(node: ast.expr, site: Site) -> bool:
    return ast.unparse(node) == "severity" or bool(set(written(node, site)) & set(_SEVERITIES))
