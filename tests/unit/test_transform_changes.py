"""What changed between two fingerprints is named: the function, the constant, the parameter, the type, the library."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from skew_ext.transform.changes import Change, changes, summary
from skew_ext.transform.fingerprint import Manifest, Part

HELPER = Part("def convert(x):\n    return x * RATE", "tree 1", {"RATE": "float:1.5"})
OLD = Manifest(
    declared={
        "inputs": {"x": "Float64"},
        "outputs": {"y": "Float64", "z": "Int64"},
        "version": "1",
        "parameters": "aa",
    },
    libraries={"numpy": "2.4"},
    parts={"m:scaled": Part("def scaled(x):\n    return convert(x)", "tree 0"), "m:convert": HELPER},
)


def with_part(label: str, part: Part) -> Manifest:
    return replace(OLD, parts={**OLD.parts, label: part})


def with_declared(**declared: Any) -> Manifest:
    return replace(OLD, declared={**OLD.declared, **declared})


CASES = [
    (
        with_part("m:convert", replace(HELPER, code="def convert(x):\n    return x / RATE", tree="tree 2")),
        Change(
            "source",
            "m:convert",
            ("@@ -1,2 +1,2 @@", " def convert(x):", "-    return x * RATE", "+    return x / RATE"),
        ),
        "m:convert changed",
    ),
    (
        with_part("m:convert", replace(HELPER, values={"RATE": "float:1.25"})),
        Change("value", "m:convert RATE", ("-float:1.5", "+float:1.25")),
        "m:convert RATE changed",
    ),
    (
        with_part("m:new", HELPER),
        Change("added", "m:new", ("+def convert(x):", "+    return x * RATE")),
        "m:new was added",
    ),
    (
        replace(OLD, parts={"m:scaled": OLD.parts["m:scaled"]}),
        Change("removed", "m:convert", ("-def convert(x):", "-    return x * RATE")),
        "m:convert was removed",
    ),
    (
        replace(OLD, libraries={"numpy": "2.5", "scipy": "1.16"}),
        Change("library", "numpy", ("-2.4", "+2.5")),
        "numpy is another version, scipy is another version",
    ),
    (
        with_declared(parameters="bb"),
        Change("parameters", "parameters", ("-aa", "+bb")),
        "its fitted parameters changed",
    ),
    (
        with_declared(outputs={"z": "Int64", "y": "Float64"}),
        Change("declared", "outputs", ("-{'y': 'Float64', 'z': 'Int64'}", "+{'z': 'Int64', 'y': 'Float64'}")),
        "its declared outputs changed",
    ),
]


@pytest.mark.parametrize(("new", "first", "said"), CASES)
def test_change_is_named(new: Manifest, first: Change, said: str) -> None:
    found = changes(OLD, new)
    assert found[0] == first
    assert summary(found) == said
    assert new.fingerprint != OLD.fingerprint


def test_equal_manifests_have_no_changes() -> None:
    again = Manifest.from_dict(OLD.as_dict())
    assert changes(OLD, again) == []
    assert (again, again.fingerprint) == (OLD, OLD.fingerprint)


def test_many_changes_are_counted() -> None:
    parts = {f"m:f{number}": HELPER for number in range(6)}
    assert summary(changes(OLD, replace(OLD, parts={**OLD.parts, **parts}))).endswith("m:f3 was added and 2 more")
