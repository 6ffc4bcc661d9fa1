"""Every code that a command or a report can give: causes, findings, faults of transforms, lint rules."""

from __future__ import annotations

from skew_ext.cli.explain import cause_meanings
from skew_ext.linting.rules import RULES
from skew_ext.transform.checking.findings import CODES
from tests.reference.findings import findings
from tests.reference.markdown import page, table


def codes() -> str:
    """Give docs/reference/codes.md."""
    causes = [(f"`{name}`", meaning.says, meaning.remedy) for name, meaning in cause_meanings().items()]
    faults = [(f"`{code}`", said) for code, said in CODES.items()]
    rules = [(f"[{one.code}](../lint.md)", one.severity, f"`{one.name}`", one.summary) for one in RULES]
    return page(
        "Codes",
        "`skew explain CODE` tells of causes and lint rules on a terminal.",
        "## Causes of a differing cell",
        "In the order in which they are tried: the first whose counterfactual reproduces what was served. A cause is "
        "the code of its finding too.",
        table(("cause", "it says", "what to do"), causes),
        "## Other findings",
        table(("code", "of", "severity", "it says"), findings()),
        "## Faults of a shared transform",
        "As `skew transforms check` tells them.",
        table(("code", "the transform"), faults),
        "## Lint rules",
        table(("code", "severity", "rule", "finds"), rules),
    )
