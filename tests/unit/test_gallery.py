"""The gallery of shared transforms: its examples, its rules at the edges, and that a row is a batch of one."""

from __future__ import annotations

import ast
import doctest
import importlib
import unicodedata
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import transforms
from skew_ext.transform import Parameters
from tests.windows import bits
from transforms import buckets, categories, cyclical, ratios, recency, scaling, text_form

MODULES = [buckets, categories, cyclical, ratios, recency, scaling, text_form]
FOLDER = Path(str(transforms.__file__)).parent
SECONDS = st.integers(-(10**9), 4 * 10**9).map(lambda second: datetime.fromtimestamp(second, tz=timezone.utc))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "Float64": st.floats() | st.sampled_from([0.0, -0.0, 10.0, 50.0, 250.0]),
    "Int64": st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1]),
    "String": st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["app", "web", "", "e\u0301"]),
    "UnixTimestamp": SECONDS,
}


def shared(module: ModuleType) -> Iterator[Any]:
    return (thing for thing in vars(module).values() if hasattr(thing, "fingerprint"))


TRANSFORMS = [each for module in MODULES for each in shared(module)]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_hold(module: ModuleType) -> None:
    result = doctest.testmod(importlib.import_module(module.__name__))
    assert (result.failed, result.attempted > 0) == (0, True)
    for transform in shared(module):
        assert ">>> " in transform.__doc__, transform.reference


def test_the_gallery_has_every_module_that_is_not_the_demos() -> None:
    demo = {"carrier", "flight", "local_time", "plane", "weather", "__init__"}
    assert {path.stem for path in FOLDER.glob("*.py")} - demo == {module.__name__.split(".")[1] for module in MODULES}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_a_module_imports_only_what_is_pure(module: ModuleType) -> None:
    imported = set()
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
        if isinstance(node, ast.Import):
            imported |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module))
    allowed = {"__future__", "collections.abc", "math", "numpy", "pathlib", "skew_ext", "skew_ext.transform", "typing"}
    assert imported - allowed <= {"unicodedata"}


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda transform: transform.reference)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_a_row_is_a_batch_of_one_and_neighbours_do_not_matter(transform: Any, data: st.DataObject) -> None:
    kinds = {name: st.none() | VALUES[kind] for name, kind in transform.inputs.items()}
    rows = data.draw(st.lists(st.fixed_dictionaries(kinds), min_size=1, max_size=9))
    alone = [{name: bits(value) for name, value in transform.on_row(row).items()} for row in rows]
    for order in (rows, rows[::-1]):
        made = transform.on_batch({name: [row[name] for row in order] for name in transform.inputs})
        together = [
            {name: bits(_python(values, place)) for name, values in made.items()} for place in range(len(order))
        ]
        assert together == (alone if order is rows else alone[::-1])


def _python(values: Any, place: int) -> Any:
    value = values[place]
    if np.ma.is_masked(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


@settings(deadline=None)
@given(st.floats(), st.floats())
def test_a_ratio_has_its_value_by_the_rule_alone_where_the_denominator_is_zero(above: float, below: float) -> None:
    with np.errstate(all="ignore"):
        found = float(ratios.ratio(np.array([above]), np.array([below]), if_zero=7.0)[0])
        plain = float(np.divide(above, below)) if below else np.nan if above != above else 7.0  # noqa: PLR0124
    assert bits(found) == bits(plain)


def test_an_edge_belongs_to_the_bucket_above_it() -> None:
    for place, edge in enumerate(buckets.AMOUNT_EDGES):
        below = np.nextafter(edge, -np.inf)
        assert buckets.amount_bucket.on_row({"amount": edge})["amount_bucket"] == place + 1
        assert buckets.amount_bucket.on_row({"amount": below})["amount_bucket"] == place
    assert len(buckets.AMOUNT_LABELS) == len(buckets.AMOUNT_EDGES) + 1
    assert buckets.amount_bucket.on_row({"amount": np.inf})["amount_band"] == "250 and over"
    assert buckets.amount_bucket.on_row({"amount": -0.0})["amount_band"] == "under 10"


def test_the_hours_and_weekdays_go_round_once() -> None:
    monday = datetime(2026, 3, 2, tzinfo=timezone.utc)
    points = [cyclical.clock_position.on_row({"as_of": monday + timedelta(hours=hour)}) for hour in range(24 * 7)]
    hours = {(point["hour_sin"], point["hour_cos"]) for point in points}
    days = {(point["weekday_sin"], point["weekday_cos"]) for point in points}
    assert (len(hours), len(days)) == (24, 7)
    assert all(abs(sine * sine + cosine * cosine - 1) < 1e-15 for sine, cosine in hours | days)
    assert (points[0]["weekday_sin"], points[0]["weekday_cos"]) == (0.0, 1.0)  # a Monday
    before = cyclical.clock_position.on_row({"as_of": datetime(1969, 12, 31, 23, 59, 59, tzinfo=timezone.utc)})
    assert (before["hour_sin"], before["hour_cos"]) == tuple(cyclical.HOUR_POINTS[23].tolist())


def test_a_recency_of_an_order_at_this_very_second_is_zero() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
    assert recency.order_recency.on_row({"last_order": noon, "as_of": noon}) == {
        "days_since_order": 0.0,
        "ordered_before": True,
    }
    long_ago = {"last_order": datetime(1990, 1, 1, tzinfo=timezone.utc), "as_of": noon}
    assert recency.order_recency.on_row(long_ago)["days_since_order"] == recency.LONGEST_DAYS


def test_a_class_added_at_the_end_keeps_the_numbers_of_the_others() -> None:
    values = np.array([*categories.CHANNELS, "fax"], dtype=object)
    assert categories.encode(values, categories.CHANNELS).tolist() == [1, 2, 3, 4, 0]
    assert categories.encode(values, (*categories.CHANNELS, "fax")).tolist() == [1, 2, 3, 4, 5]


def test_the_fitted_parameters_are_the_ones_that_the_code_names() -> None:
    assert scaling.scaled_customer.parameters is scaling.FITTED
    assert Parameters.load(FOLDER / "scaling.json").hash == scaling.FITTED.hash
    values = np.array([20.0, 60.0, np.nan, 40.0])
    fitted = scaling.fit(values)
    scaled = (np.where(np.isnan(values), fitted["median"], values) - fitted["mean"]) / fitted["scale"]
    assert (float(scaled.mean()), round(float(scaled.std()), 12)) == (0.0, 1.0)


@settings(deadline=None)
@given(st.text())
def test_a_folded_text_is_in_its_form_and_stays_as_it_is(text: str) -> None:
    once = text_form.folded(text)
    assert text_form.folded(once) == once
    assert unicodedata.is_normalized("NFKC", once)
    for form in ("NFC", "NFD"):
        assert text_form.folded(unicodedata.normalize(form, text)) == once


def test_the_version_of_unicode_is_in_the_fingerprint() -> None:
    manifest: Any = text_form.merchant_key
    assert manifest.manifest.libraries["unicode"] == unicodedata.unidata_version
