"""The findings of audits and leakage checks: which codes there are stands in the code, what an audit's say here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from skew_ext.audit.baseline_faults import _FAULTS
from skew_ext.leakage.codes import CODES as LEAKS
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
    "not_compared": "A feature has no baseline; the message says why.",
    "psi_drift": "The served distribution left that of the training set: the world differs.",
    "psi_skew": "The served distribution left that of the baseline of the same rows: the pipeline differs.",
    "source_ties": "Source rows share key and times, and nothing says which of them training uses.",
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
            LEAKS[code] if room == "leakage" else _meaning(code, docstrings),
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
