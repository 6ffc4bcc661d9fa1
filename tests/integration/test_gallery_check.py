"""Every shared transform of `transforms/` passes its check, through real Feast stores too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import transforms
from skew_ext.transform.checking import check_transform, find_transforms

FOUND = list(find_transforms(str(Path(str(transforms.__file__)).parent)))


def test_all_are_found() -> None:
    assert len(FOUND) >= 12


@pytest.mark.parametrize("transform", FOUND, ids=lambda transform: transform.reference)
def test_it_is_the_same_everywhere_and_pure(transform: Any) -> None:
    checked = check_transform(transform, examples=20, feast=True, redis=None)
    assert not checked.findings, checked.findings
    assert checked.rows > 0
