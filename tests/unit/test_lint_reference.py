"""The generated pages of docs/ are those of the code, and say what is in it."""

from __future__ import annotations

import pytest

from skew_ext.linting.rules import RULES
from skew_ext.log.table import SYSTEM_FIELDS
from skew_ext.settings import SkewSettings
from tests.reference.commands import commands
from tests.reference.log import log
from tests.reference.metrics import metrics
from tests.reference.pages import DOCS, PAGES, pages
from tests.reference.settings import settings


@pytest.mark.parametrize("path", PAGES)
def test_the_page_is_that_of_the_code(path: str) -> None:
    assert (DOCS / path).read_text(encoding="utf-8") == pages()[path], "run: make docs"


def test_the_pages_say_what_is_in_the_code() -> None:
    assert all(f"| `{name}` |" in settings() for name in SkewSettings.model_fields)
    assert all(f"| `{field.name}` | `{field.type}` |" in log() for field in SYSTEM_FIELDS)
    assert all(rule.code in pages()["reference/codes.md"] for rule in RULES)
    assert "| `skew_log_records_total` | counter | `outcome`, `reason` |" in metrics()
    assert "## skew lint" in commands()
    assert "| `--fail-on` | `info`, `warn`, `fail` | `warn` |" in commands()


def test_the_index_of_the_docs_names_every_generated_page() -> None:
    index = (DOCS / "reference" / "README.md").read_text(encoding="utf-8")
    assert all(path.removeprefix("reference/") in index for path in PAGES)
