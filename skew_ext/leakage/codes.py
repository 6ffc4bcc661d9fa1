"""What each finding says and what to do about it: for the findings, the guide, and `skew explain`."""

from __future__ import annotations

from typing import Final

CODES: Final[dict[str, str]] = {
    "joined_without_time": "Rows have the latest values of their key, where their time had others: joined "
    "without time.",
    "future_value": "Rows have values that stand only in source rows from after their time.",
    "known_later": "Rows have the right values for their time, but the source row was created after it: "
    "serving could not have known them. Information up to 5 % of the rows, a failure from half of them.",
    "created_is_backfill": "Rows have values of source rows that were loaded in bulk after their time: created tells "
    "when they were loaded. Information.",
    "timestamp_shift": "Rows have the values of a constant while later or earlier: the times are local, or in another "
    "zone than they say.",
    "not_point_in_time": "Cells are not the point-in-time value, and no source row has them.",
    "not_transformed": "Outputs of an on-demand view are not what its transform gives from the row's own inputs.",
    "timestamp_missing": "There is no time, so no cell can be set against its point-in-time value.",
    "timestamp_guessed": "There is no column of that name; the only column of times was taken, as Feast takes it.",
    "timestamp_null": "Rows have no time.",
    "timestamp_in_future": "Rows are of a time still to come.",
    "timestamp_constant": "All rows have one time.",
    "rows_lost": "Entity rows are not in the training set.",
    "rows_gained": "Rows of the training set are of no entity row.",
    "rows_repeated": "Rows of the training set repeat an entity row more often than it was asked for.",
    "label_copy": "A column is the label, maybe under other names.",
    "label_function": "A column is a function of the label.",
    "label_shifted": "A column is the label of the following row of its entity.",
    "label_predicted": "One column alone tells the label with an AUC over 0.95, or a label that is a number with an R2 "
    "over 0.99, its interval included.",
    "label_predicted_by_model": "A linear model tells the label of held-out rows as well, from several columns.",
    "label_by_time": "The rows' time alone tells the label.",
}

_JOIN: Final = (
    "join by time: store.get_historical_features(entity_df, features) gives each row what was there at its time"
)
_ADD: Final = "give each row the time at which its prediction is asked for, in a column 'event_timestamp', in UTC"
_GAINED: Final = "look for a join that fans out: two source rows of one key and time, or a label joined more than once"
_MADE: Final = "leave it out: it is made of what is to be predicted"
_KNOWN: Final = (
    "leave it out, or show that it is known when the prediction is asked for: look at its source's created times"
)

REMEDIES: Final[dict[str, str]] = {
    "joined_without_time": _JOIN,
    "future_value": _JOIN,
    "known_later": "move the rows' times to when the prediction is asked for, or the source's event times to when a "
    "row is known; or retrieve with filter_by_created_timestamp=True where the store has it",
    "created_is_backfill": "nothing, if created tells when rows were loaded and not when they were known",
    "timestamp_shift": "give the times in UTC, as Feast takes them: tz_localize(zone).tz_convert('UTC')",
    "not_point_in_time": "check the frame as it was retrieved, before preprocessing; or look at the examples",
    "not_transformed": "retrieve with the registered transform, or `feast apply` the one that was used",
    "timestamp_missing": _ADD,
    "timestamp_guessed": "name it 'event_timestamp', or give its name, if it is the time of the prediction",
    "timestamp_null": _ADD,
    "timestamp_in_future": "look at the unit and the zone of the times",
    "timestamp_constant": _ADD,
    "rows_lost": "an offline store that drops rows without features (Dask does) loses them: retrieve from DuckDB or a "
    "warehouse",
    "rows_gained": _GAINED,
    "rows_repeated": _GAINED,
    "label_copy": _MADE,
    "label_function": _MADE,
    "label_shifted": _MADE,
    "label_predicted": _KNOWN,
    "label_predicted_by_model": _KNOWN,
    "label_by_time": "draw the rows of all classes from the same period, or train and test on periods apart",
}
