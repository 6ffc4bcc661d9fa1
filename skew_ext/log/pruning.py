"""Deleting the old days of a log, wherever the repo's settings say that it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skew_ext.errors import LogError
from skew_ext.log.destination import destination_from
from skew_ext.settings import ParquetSettings, PostgresSettings

if TYPE_CHECKING:
    from datetime import date

    from skew_ext.log.upkeep import Upkeep
    from skew_ext.settings import SkewSettings


def prune_log(
    settings: SkewSettings,
    today: date,
    *,
    keep_days: int | None = None,
    dry_run: bool = False,
    trust_clock: bool = False,
) -> Upkeep:
    """Delete the days before the last `keep_days` (None: the setting's); with `dry_run`, only count their rows.

    They are counted from the newest day that the log has, and with `trust_clock` from `today`.

    Raises
    ------
    LogError
        Nothing says how much to keep, the log is a warehouse's, it cannot be deleted from, or a clock seems to have
        jumped and nothing was deleted.
    """
    kept = settings.destination
    if not isinstance(kept, ParquetSettings | PostgresSettings):
        msg = f"a log of type {kept.type} is the warehouse's to prune: set an expiry on its tables"
        raise LogError(msg)
    if keep_days is not None:
        kept = kept.model_copy(update={"keep_days": keep_days})
    if kept.keep_days is None and getattr(kept, "max_bytes", None) is None:
        msg = "nothing says how much to keep: set skew.destination.keep_days, or give --keep-days"
        raise LogError(msg)
    destination = destination_from(kept.model_dump(mode="json"))
    try:
        done = destination.prune(today, dry_run=dry_run, trust_clock=trust_clock)
    except OSError as error:
        msg = f"the log cannot be pruned: {' '.join(str(error).split())}"
        raise LogError(msg) from None
    if done.refused and not done.pruned:
        msg = (
            f"{done.refused}; look at the clock and at those days, and give --trust-clock to delete by it all the same"
        )
        raise LogError(msg)
    return done
