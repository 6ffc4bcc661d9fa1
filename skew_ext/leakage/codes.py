"""What each finding says: one table, for the guide and for whoever explains a code."""

from __future__ import annotations

from typing import Final

CODES: Final[dict[str, str]] = {
    "joined_without_time": "Rows have the latest values of their key, where their time had others: joined "
    "without time.",
    "future_value": "Rows have values that stand only in source rows from after their time.",
    "known_later": "Rows have the right values for their time, but the source row was created after it: "
    "serving could not have known them. Information up to 5 % of the rows, a failure from half of them.",
    "created_is_backfill": "The same, of rows that were loaded in bulk: created tells when they were loaded. "
    "Information.",
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
