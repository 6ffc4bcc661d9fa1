"""How a watch is run: the settings, with the command's options over them, intervals read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from skew_ext.baseline.plan import parse_interval
from skew_ext.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skew_ext.settings import WatchSettings


@dataclass(frozen=True)
class WatchOptions:
    """What `skew watch` was asked for; see `WatchSettings` for what each means. Neither address is in its repr."""

    every: timedelta = timedelta(seconds=60)
    margin: timedelta = timedelta(seconds=15)
    late: timedelta = timedelta(hours=1)
    hold: timedelta = timedelta(minutes=5)
    min_rows: int = 20
    burn_in: int = 3
    alert_on: str = "fail"
    important: tuple[str, ...] = ()
    max_features: int = 200


_INTERVALS = ("every", "margin", "late", "hold")


def watch_options(settings: WatchSettings, given: Mapping[str, Any]) -> WatchOptions:
    """Give the options: those that were given (not None), and the settings' for the rest.

    Raises
    ------
    SettingsError
        One is no interval, or there would be no pause between rounds.
    """
    values: dict[str, Any] = {}
    for name in WatchOptions.__dataclass_fields__:
        value = given.get(name)
        values[name] = getattr(settings, name) if value is None else value
    for name in _INTERVALS:
        values[name] = _interval(name, values[name])
    if values["every"] < timedelta(seconds=1):
        msg = "--every is below a second: give 1s or more"
        raise SettingsError(msg)
    return WatchOptions(**values)


def addresses(settings: WatchSettings, given: tuple[str, ...]) -> tuple[str, ...]:
    """Give the addresses of Apprise: those of the command, or of the environment variable and the settings.

    The variable holds several, separated by spaces or lines.
    """
    return given or (*os.environ.get(settings.notify_env, "").split(), *settings.notify)


def _interval(name: str, text: str) -> timedelta:
    found = parse_interval(text)
    if found is None or found < timedelta(0):
        msg = f"--{name} {text!r} is no interval: write it as 60s, 5m, 1h or 1d"
        raise SettingsError(msg)
    return found
