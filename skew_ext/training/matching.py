"""Labels matched to lookups, and the account of both."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from skew_ext.baseline.evidence import NONE, microseconds
from skew_ext.errors import TrainingSetError
from skew_ext.frames import in_one_piece
from skew_ext.keys import key_codes
from skew_ext.schema import ROW
from skew_ext.training.identity import like, ranks
from skew_ext.training.joining import FOREVER, Joined, Labels, Sought, join_about, join_observed
from skew_ext.training.training_set import Account

if TYPE_CHECKING:
    from skew_ext.training.joining import Integers, Mask, Take
    from skew_ext.training.labels import GivenLabels
    from skew_ext.training.lookups import Lookups

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Terms:
    """By which terms a label belongs to a lookup; see `training_set_from_log`."""

    label_delay: timedelta = timedelta(0)
    tolerance: timedelta | None = None
    take: Take | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense, in one line."""
        if self.label_delay < timedelta(0):
            msg = "label_delay is negative: a label observed before its lookup would be let in"
            raise TrainingSetError(msg)
        if self.tolerance is not None and self.tolerance < timedelta(0):
            msg = "tolerance is negative: no label would ever fit"
            raise TrainingSetError(msg)
        if self.take not in (None, "first", "last"):
            msg = f"take is 'first' or 'last', not {self.take!r}"
            raise TrainingSetError(msg)


@dataclass(frozen=True)
class Matched:
    """For each lookup the place of its label, -1 for none, and the account."""

    taken: Integers
    account: Account


def match(lookups: Lookups, labels: GivenLabels, terms: Terms) -> Matched:
    """Match labels to lookups.

    Raises
    ------
    TrainingSetError
        The labels' columns cannot be compared with the log's, or by key and time no tolerance is given.
    """
    ours = [in_one_piece(lookups.table[name]) for name in labels.on]
    theirs = [like(values, one.type, name) for (name, values), one in zip(labels.on.items(), ours, strict=True)]
    identity, labelled = key_codes(ours, theirs, (lookups.table.num_rows, len(labels.value)))
    repeated, ambiguous = _within_requests(lookups, identity) if labels.by_request else _none(lookups)
    null = np.asarray(labels.value.is_null())
    usable = np.flatnonzero(~null & (labelled >= 0))
    asked = np.flatnonzero(~repeated)
    sought = Sought(identity[asked], lookups.served_at[asked])
    joined = _join(sought, labels, usable, labelled[usable], terms)
    taken = np.full(len(identity), -1, dtype=np.int64)
    taken[asked[joined.taken >= 0]] = usable[joined.taken[joined.taken >= 0]]
    unsure = ambiguous & (taken >= 0)
    taken[ambiguous] = -1
    became = _Became(null, usable, joined, taken, np.isin(labelled, identity[unsure]))
    conflicting = int((joined.conflicting & (taken[asked] >= 0)).sum())
    return Matched(taken, became.account(int(repeated.sum()), int(unsure.sum()), conflicting))


def _join(sought: Sought, labels: GivenLabels, usable: Integers, labelled: Integers, terms: Terms) -> Joined:
    values, delay = ranks(labels.value)[usable], terms.label_delay // _MICROSECOND
    about, observed = _times(labels.about, usable), _times(labels.observed, usable)
    if labels.by_request:
        moments = observed if observed is not None else np.full(len(usable), FOREVER)
        return join_observed(sought, Labels.of(labelled, moments, values), None, delay, terms.take or "last")
    if about is not None and observed is not None:
        tolerance = (terms.tolerance or timedelta(0)) // _MICROSECOND
        return join_about(sought, Labels.of(labelled, about, values), observed, tolerance, delay)
    only = about if about is not None else observed
    if only is None or terms.tolerance is None:
        raise TrainingSetError(_NO_TIME if only is None else _NO_TOLERANCE)
    window = (delay, delay + terms.tolerance // _MICROSECOND)
    return join_observed(sought, Labels.of(labelled, only, values), window, delay, terms.take or "first")


_NO_TIME = (
    "labels by key need a time: a column 'observed_at', 'event_timestamp' (the time that a label is about) or both; "
    "name others by observed_at=... and label_time=..."
)
_NO_TOLERANCE = (
    "labels by key and one time need a tolerance: how long after a lookup (and label_delay) its label may be observed, "
    "such as tolerance=timedelta(hours=6)"
)


def _times(column: object, usable: Integers) -> Integers | None:
    """Give a column's times for the usable labels; one that is not known counts as later than every lookup."""
    if column is None:
        return None
    moments = microseconds(column)[usable]
    return np.where(moments == NONE, FOREVER, moments)


def _none(lookups: Lookups) -> tuple[Mask, Mask]:
    nothing = np.zeros(lookups.table.num_rows, dtype=bool)
    return nothing, nothing.copy()


def _within_requests(lookups: Lookups, identity: Integers) -> tuple[Mask, Mask]:
    """Say which lookups are repeated by a later one, and which are of several entity rows under one identity."""
    whole = identity.copy()
    for name in (ROW, *lookups.given):
        values = ranks(in_one_piece(lookups.table[name])) + 1
        _, whole = np.unique(whole * (int(values.max(initial=0)) + 1) + values, return_inverse=True)
    rows = len(identity)
    # Rows come in the order of serving: the last of its kind stands for all.
    _, last = np.unique(whole[::-1], return_index=True)
    repeated = np.ones(rows, dtype=bool)
    repeated[rows - 1 - last] = False
    repeated &= identity >= 0
    kinds, counts = np.unique(identity[~repeated], return_counts=True)
    return repeated, np.isin(identity, kinds[counts > 1]) & ~repeated & (identity >= 0)


@dataclass(frozen=True)
class _Became:
    """What became of each label. `usable` are the places of those that were joined."""

    null: Mask
    usable: Integers
    joined: Joined
    taken: Integers
    ambiguous: Mask

    def account(self, repeated: int, unsure: int, conflicting: int) -> Account:
        """Count."""
        used, times_used = np.unique(self.taken[self.taken >= 0], return_counts=True)
        candidate, observed = self._spread(self.joined.candidate), self._spread(self.joined.observed)
        taken = np.zeros(len(self.null), dtype=bool)
        taken[used] = True
        rest = observed & ~taken
        rows = int((self.taken >= 0).sum())
        return Account(
            lookups=len(self.taken),
            rows=rows,
            lookups_without_label=len(self.taken) - rows - repeated - unsure,
            lookups_repeated=repeated,
            lookups_ambiguous=unsure,
            labels=len(self.null),
            labels_used=len(used),
            labels_shared=int((times_used > 1).sum()),
            labels_null=int(self.null.sum()),
            labels_without_lookup=int((~self.null & ~candidate).sum()),
            labels_too_early=int((candidate & ~observed).sum()),
            labels_ambiguous=int((rest & self.ambiguous).sum()),
            labels_not_taken=int((rest & ~self.ambiguous).sum()),
            lookups_with_conflicting_labels=conflicting,
        )

    def _spread(self, marks: Mask) -> Mask:
        result = np.zeros(len(self.null), dtype=bool)
        result[self.usable] = marks
        return result
