"""What may be installed beside skew_ext leaves known security holes out."""

from __future__ import annotations

import re
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
HOLES = [
    ("jinja2", "3.1.5"),  # CVE-2025-27516: the sandbox is left through |attr
    ("jinja2", "3.1.3"),  # CVE-2024-34064: attributes are injected through xmlattr
    ("pyarrow", "14.0.0"),  # CVE-2023-47248: a file that is read runs code
    ("pyarrow", "23.0.0"),  # CVE-2026-25087: memory is used after it was freed, reading an IPC file
]


def declared() -> dict[str, Requirement]:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = map(Requirement, content["project"]["dependencies"])
    return {one.name: one for one in found}


@pytest.mark.parametrize(("name", "version"), HOLES)
def test_a_version_with_a_known_hole_is_left_out(name: str, version: str) -> None:
    assert not declared()[name].specifier.contains(version)


@pytest.mark.parametrize("name", sorted({name for name, _ in HOLES}))
def test_what_is_tested_with_and_what_feast_asks_for_are_allowed(name: str) -> None:
    pinned = re.findall(rf"^{name}==([\w.]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    ours = declared()[name].specifier
    assert pinned
    assert all(ours.contains(one) for one in pinned)
    feasts = [Requirement(one) for one in requires("feast") or []]
    asked = [one.specifier for one in feasts if one.name.lower() == name and one.marker is None]
    assert asked
    assert all(specifier.contains(one) for specifier in asked for one in pinned)
