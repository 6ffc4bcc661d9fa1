"""The pages of docs/: each link leads somewhere, the index has every page, and the runbook every cause."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from skew_ext.report.words import CAUSES

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
PAGES = [PROJECT / "README.md", *sorted(DOCS.rglob("*.md")), *sorted((PROJECT / "deploy").glob("*.md"))]
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_a_link_leads_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        if "://" not in link:
            assert (page.parent / link.partition("#")[0]).exists(), link


def test_the_index_has_every_page() -> None:
    index = (DOCS / "README.md").read_text()
    missing = [page.name for page in DOCS.glob("*.md") if page.name != "README.md" and f"({page.name})" not in index]
    assert missing == []


def test_the_runbook_has_every_cause_and_none_that_there_is_not() -> None:
    table = re.findall(r"^\| (`.*?) \|", (DOCS / "incident.md").read_text(), re.MULTILINE)
    told = {cause for cell in table for cause in re.findall(r"`(\w+)`", cell)}
    assert told == {*CAUSES, "psi_drift"}
