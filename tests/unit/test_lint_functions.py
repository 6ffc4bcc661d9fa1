"""Reading a user-defined function's text: the names that it lacks, the clocks that it asks."""

from __future__ import annotations

import pytest

from skew_ext.linting.functions import constants, missing_names, unrepeatable_calls

DECORATED = """\
@on_demand_feature_view(
    sources=[stats], schema=[Field(name="half", dtype=Float64)]
)
def halves(inputs):
    return inputs["rating"] / DIVISOR
"""


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ("return inputs", []),
        ("return pd.DataFrame(np.zeros(len(inputs)))", []),
        ("return pandas.DataFrame(numpy.zeros(3))", []),
        ("return helper(inputs)", ["helper"]),
        ("import math\n    return math.pi", []),
        ("from library import helper as aid\n    return aid(inputs)", []),
        ("return [LIMIT for value in inputs if value < OTHER]", ["LIMIT", "OTHER"]),
        ("def inner(x):\n        return x + OUTER\n    return inner(1)", ["OUTER"]),
        ("total = 0\n    for value in inputs:\n        total += value\n    return total", []),
        ("return halves(inputs[1:])", []),
        ("return (lambda x: x * FACTOR)(inputs)", ["FACTOR"]),
        ("half: Fraction = inputs\n    return half", []),
        ("try:\n        return inputs\n    except KeyError as error:\n        raise ValueError from error", []),
        ("return {name: value for name, value in inputs.items()}", []),
    ],
)
def test_names_that_are_gone_when_the_function_is_rebuilt(body: str, missing: list[str]) -> None:
    assert missing_names(f"def halves(inputs):\n    {body}\n", annotated=False) == missing


def test_decorators_are_no_part_of_it() -> None:
    assert missing_names(DECORATED, annotated=True) == ["DIVISOR"]


@pytest.mark.parametrize(
    ("signature", "missing"),
    [
        ("inputs: DataFrame", ["DataFrame"]),
        ("inputs: 'DataFrame'", ["DataFrame"]),
        ("inputs: pd.DataFrame, *rest: Any, key: int = 0, **more: str", ["Any"]),
        ("inputs: dict[str, Sequence]", ["Sequence"]),
    ],
)
def test_annotations_count_where_feast_evaluates_them(signature: str, missing: list[str]) -> None:
    text = f"def halves({signature}):\n    return inputs\n"
    assert missing_names(text, annotated=True) == missing
    assert missing_names(text, annotated=False) == []


def test_a_text_that_feast_cannot_execute_is_taken_from_the_pickle() -> None:
    commented = DECORATED.replace("Float64)]", "Float64)]  # a ) that Feast takes for the decorator's")
    for text in (
        commented,
        "",
        "def halves(",
        "lambda: LIMIT)",
        "def halves(inputs, limit=LIMIT):\n    return limit + OTHER\n",
    ):
        assert missing_names(text, annotated=True) == []


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("datetime.now()", ["datetime.now"]),
        ("datetime.datetime.utcnow()", ["datetime.datetime.utcnow"]),
        ("pd.Timestamp.now(tz='UTC')", ["pd.Timestamp.now"]),
        ("pd.Timestamp('now')", ["pd.Timestamp"]),
        ("pd.to_datetime('today')", ["pd.to_datetime"]),
        ("pd.to_datetime(inputs['day'])", []),
        ("time.time()", ["time.time"]),
        ("random.random()", ["random.random"]),
        ("np.random.rand(3)", ["np.random.rand"]),
        ("np.random.default_rng().random()", ["np.random.default_rng"]),
        ("np.random.default_rng(7)", []),
        ("uuid.uuid4()", ["uuid.uuid4"]),
        ("inputs['now'] + inputs.time", []),
        ("event.now()", []),
    ],
)
def test_calls_that_give_another_answer_later(call: str, found: list[str]) -> None:
    assert unrepeatable_calls(f"def halves(inputs):\n    return {call}\n") == found


def test_texts_in_a_function() -> None:
    assert "rating" in constants(DECORATED)
    assert constants("not python (") == set()
