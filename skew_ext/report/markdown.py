"""The report as Markdown, for the summary of a pull request or a job: the verdict, the findings, what was fine."""

from __future__ import annotations

import re
from collections.abc import Sequence

from skew_ext.model import AuditReport, FeatureParity
from skew_ext.report import harm, remarks, summary, words
from skew_ext.text import calling_nobody, visible

MOST = 65_536
"""The characters that GitHub takes as a comment."""
ROWS = (40, 20, 10, 5, 1)
"""So many rows of a table, the first number with which all of it stays below `MOST`."""
LONGEST = 300
_SPECIAL = re.compile(
    r"[&<>\\`*\[\]|~$^]"  # of HTML, of Markdown and of mathematics
    r"|(?<![0-9A-Za-z_])_+|_+(?![0-9A-Za-z_])"  # of emphasis, which is none inside a word
    r"|(?<!\d):(?=\S)|(?<=[A-Za-z])\.(?=\S)"  # of links that need no brackets, and of :emoji:
)
_QUOTED = re.compile(r"&#96;(.+?)&#96;")


def dumps(report: AuditReport) -> str:
    """Give the report as GitHub-flavoured Markdown, which shows as plain text too.

    Names and values are data: they make no link, no markup and no table cell, and call nobody. Of many findings, the
    gravest 40 at most are there, and how many are not is said.
    """
    given = (_dumps(report, rows) for rows in ROWS)
    return next((one for one in given if len(one) <= MOST), _dumps(report, ROWS[-1]))


def _dumps(report: AuditReport, rows: int) -> str:
    window = f"{words.moment(report.start)} to {words.moment(report.end)}"
    decided = remarks.decisions(report.impact)
    parts = [
        f"### {report.verdict.upper()}: skew audit of {_code(report.feature_service)}",
        f"**{text(summary.sentence(report))}**",
        text(f"Decisions: {decided}.") if decided else "",
        text(f"Served {window} in {report.project}, {words.plural(report.rows, 'row')}."),
        _findings(report, rows),
        _features([one for one in report.parity.features if one.mismatched], rows),
        _closing(report, rows),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def text(value: str) -> str:
    """Give `value` as Markdown that shows as it is, in one line; what is long is cut."""
    line = " ".join(visible(value).split())
    line = line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
    return _SPECIAL.sub(lambda found: "".join(f"&#{ord(one)};" for one in found[0]), calling_nobody(line))


def prose(value: str) -> str:
    """Give a message as `text` does, with what stands in it between backticks set as code."""
    return _QUOTED.sub(r"<code>\1</code>", text(value))


def _code(value: str) -> str:
    return f"<code>{text(value)}</code>"


def _findings(report: AuditReport, most: int) -> str:
    rows = [
        (
            f"**{one.first.severity.upper()}**",
            f"{_code(one.what)}<br>{text(one.first.code)}",
            text(one.share),
            prose(one.story),
            prose("; ".join(one.remedies)),
        )
        for one in harm.harms(report)
    ]
    return _table(("", "What differs", "How much", "Why", "What to do"), rows, most)


def _features(features: list[FeatureParity], most: int) -> str:
    rows = [
        (
            _code(one.feature),
            f"{words.count(one.mismatched)} of {words.count(one.compared)}",
            f"{words.percent(one.rate)} ({words.percent(one.ci95[0])} to {words.percent(one.ci95[1])})",
            ", ".join(f"{text(cause)} {words.count(cells)}" for cause, cells in one.causes.items()),
        )
        for one in sorted(features, key=lambda one: -one.rate)
    ]
    table = _table(("Feature", "Cells that differ", "Rate, 95% interval", "Causes"), rows, most)
    name = words.plural(len(rows), "feature")
    return f"<details><summary>{name} with a difference</summary>\n\n{table}\n\n</details>" if rows else ""


def _table(names: tuple[str, ...], rows: Sequence[tuple[str, ...]], most: int) -> str:
    if not rows:
        return ""
    more = len(rows) - most
    lines = [names, ("---",) * len(names), *rows[:most]]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{table}\n\n… and {words.count(more)} more." if more > 0 else table


def _closing(report: AuditReport, most: int) -> str:
    told = [
        *(f"Fine: {line}" for line in summary.fine(report)),
        *(f"Not checked: {line}" for line in summary.unchecked(report)),
        *(f"Note: {note}" for note in report.notes),
    ]
    return "\n".join(f"- {text(line)}" for line in told[:most])
