"""`python -m tests.reference` writes every generated page of docs/; `make docs` calls it."""

from __future__ import annotations

from tests.reference.pages import DOCS, pages

for path, text in pages().items():
    (DOCS / path).parent.mkdir(parents=True, exist_ok=True)
    (DOCS / path).write_text(text, encoding="utf-8")
