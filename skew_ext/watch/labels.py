"""Labels of metrics made of names that others chose: fit for Prometheus, and bounded in number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skew_ext.text import brief

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from skew_ext.watch.summary import FeatureSummary

OTHER = "other"
LONGEST = 120


def label_text(name: str) -> str:
    """Give a name as a label's value: one line of valid UTF-8 of bounded length.

    Prometheus' own client escapes backslash, quote and line feed; a lone surrogate or a control character has no form.
    """
    return brief(name, LONGEST)


def admitted(features: Mapping[str, FeatureSummary], known: Collection[str], most: int) -> dict[str, str]:
    """Give the label of each feature: its own, or `OTHER` where there are more than `most`.

    Who has a label keeps it, so that a counter never falls. Half of them are kept for features that are found to
    differ; the rest go to whoever comes first.
    """
    own = {name for name in known if name != OTHER}
    for name, feature in features.items():
        room = most if feature.mismatched else (most + 1) // 2 if len(features) > most else most
        if len(own) < room:
            own.add(name)
    return {name: name if name in own else OTHER for name in features}


def added(
    totals: Mapping[str, Mapping[str, int]],
    features: Mapping[str, FeatureSummary],
    before: Mapping[str, FeatureSummary],
    most: int,
) -> dict[str, dict[str, int]]:
    """Give the counters of cells after a window; `before` is what it replaces, whose cells are in them already.

    A counter never falls: where late rows gave cells another cause, they stay counted under the one before too.
    """
    result = {label: dict(causes) for label, causes in totals.items()}
    labels = admitted(features, totals, most)
    for name, feature in features.items():
        counted = before[name].cells if name in before else {}
        causes = result.setdefault(labels[name], {})
        for cause, cells in feature.cells.items():
            causes[cause] = causes.get(cause, 0) + max(cells - counted.get(cause, 0), 0)
    return result
