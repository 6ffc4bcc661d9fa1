"""A training set made of the log, and the account of what became of every lookup and every label."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from feast.saved_dataset import SavedDataset

EVENT_TIMESTAMP = "event_timestamp"
LABEL_OBSERVED_AT = "__label_observed_at"


@dataclass(frozen=True)
class Account:
    """What became of each lookup and each label.

    Two laws hold: `lookups = rows + lookups_without_label + lookups_repeated + lookups_ambiguous`, and
    `labels = labels_used + labels_null + labels_without_lookup + labels_too_early + labels_ambiguous +
    labels_not_taken`.

    Attributes
    ----------
    lookups
        Logged entity rows of the service in the window.
    rows
        Rows of the training set: lookups that got a label.
    lookups_without_label
        No label fits them.
    lookups_repeated
        The same entity row looked up once more under one request id: the last one served stands for all.
    lookups_ambiguous
        Several entity rows of one request, and a label that does not say which of them it is about.
    labels
        Labels given.
    labels_used
        Labels that stand in the training set; `labels_shared` of them stand there more than once.
    labels_null
        Labels without a value.
    labels_without_lookup
        No lookup fits them.
    labels_too_early
        Observed before their lookup, or before the label delay was over: they cannot be about its outcome.
    labels_ambiguous
        They do not say which of several entity rows of a request they are about.
    labels_not_taken
        One of several that fit a lookup, another one was taken.
    lookups_with_conflicting_labels
        Rows whose several labels had different values.
    """

    lookups: int
    rows: int
    lookups_without_label: int
    lookups_repeated: int
    lookups_ambiguous: int
    labels: int
    labels_used: int
    labels_shared: int
    labels_null: int
    labels_without_lookup: int
    labels_too_early: int
    labels_ambiguous: int
    labels_not_taken: int
    lookups_with_conflicting_labels: int

    def as_dict(self) -> dict[str, int]:
        """Give the counts by name."""
        return asdict(self)

    def __str__(self) -> str:
        """Say in two lines what became of lookups and of labels; what is zero is left out."""
        lookups = {
            "without a label": self.lookups_without_label,
            "repeated": self.lookups_repeated,
            "ambiguous": self.lookups_ambiguous,
            "with labels that conflict": self.lookups_with_conflicting_labels,
        }
        labels = {
            "used for several lookups": self.labels_shared,
            "null": self.labels_null,
            "without a lookup": self.labels_without_lookup,
            "observed too early": self.labels_too_early,
            "ambiguous": self.labels_ambiguous,
            "not taken, as another was": self.labels_not_taken,
        }
        first = f"{self.rows:,} of {self.lookups:,} lookups have a label"
        second = f"{self.labels_used:,} of {self.labels:,} labels are used"
        return f"{first}{_counted(lookups)}\n{second}{_counted(labels)}"


@dataclass(frozen=True)
class TrainingSet:
    """Features exactly as they were served, with their labels.

    Attributes
    ----------
    table
        One row for each labelled lookup, in the order of serving. Columns: the join keys and request data;
        `event_timestamp`, when it was served (UTC, microseconds); each feature as `view__feature` in the type it was
        served in; the label; and from the log `__request_id`, `__row`, `__model_name`, `__model_version`,
        `__environment`, `__transforms` (fingerprints), `__schema`; and `__label_observed_at`, null where not known.
    features
        The feature columns.
    label
        The label's column.
    account
        What became of every lookup and every label.
    model_versions, transforms
        Rows by model version, and by the fingerprints of the transforms that ran (`view=fingerprint ...`).
    saved
        The Feast SavedDataset, where it was asked for.
    notes
        What else to know, a sentence each.
    """

    table: pa.Table
    features: list[str]
    label: str
    account: Account
    model_versions: dict[str, int]
    transforms: dict[str, int]
    saved: SavedDataset | None = None
    notes: list[str] = field(default_factory=list)

    def to_pandas(self) -> pd.DataFrame:
        """Give it as a pandas frame, in Arrow's own types so that integers with nulls stay integers."""
        import pandas as pd  # noqa: PLC0415 - only here

        frame: pd.DataFrame = self.table.to_pandas(types_mapper=pd.ArrowDtype)
        return frame

    def __str__(self) -> str:
        """Say its size, and the account."""
        return f"{self.table.num_rows:,} rows x {len(self.features)} features\n{self.account}"


def _counted(counts: dict[str, int]) -> str:
    said = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    return f" ({said})" if said else ""
