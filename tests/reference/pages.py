"""All generated pages of docs/, by their path in it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from skew_ext.linting.pages import reference as lint_rules
from tests.reference.codes import codes
from tests.reference.commands import commands
from tests.reference.log import log
from tests.reference.metrics import metrics
from tests.reference.settings import settings

PAGES: Final = {
    "lint.md": lint_rules,
    "reference/codes.md": codes,
    "reference/commands.md": commands,
    "reference/log.md": log,
    "reference/metrics.md": metrics,
    "reference/settings.md": settings,
}
DOCS: Final = Path(__file__).resolve().parents[2] / "docs"


@cache
def pages() -> dict[str, str]:
    """Give each page as it must be."""
    return {path: made() for path, made in PAGES.items()}
