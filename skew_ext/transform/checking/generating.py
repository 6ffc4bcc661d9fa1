"""The search for the smallest failing batch: the one place that runs Hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Flaky

from skew_ext.transform.checking.findings import Finding, FoundError
from skew_ext.transform.checking.inputs import rows
from skew_ext.transform.types import ColumnType


def search(
    kinds: Mapping[str, ColumnType], attempt: Callable[[list[dict[str, Any]]], None], examples: int
) -> Finding | None:
    """Try generated batches of the declared types, and give the finding of the smallest that fails, if any does.

    The same batches are tried each time: a check that passed passes again until the code changes.
    """
    found: list[Finding] = []

    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )
    @given(rows(kinds))
    def tried(batch: list[dict[str, Any]]) -> None:
        try:
            attempt(batch)
        except FoundError as error:
            found.append(error.finding)
            raise

    try:
        tried()
    except FoundError as error:
        return error.finding
    except Flaky:  # it failed, and did not fail again on the same batch
        return replace(found[-1], code="not_repeatable")
    return None
