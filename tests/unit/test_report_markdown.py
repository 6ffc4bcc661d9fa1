"""The report as Markdown, read by a parser of CommonMark: everything said, and hostile data only shown."""

from __future__ import annotations

import dataclasses
import re

import pytest
from markdown_it import MarkdownIt

from skew_ext.model import Finding, Parity, ViewTtl
from skew_ext.report import Report, markdown
from tests.unit.test_report import CLEAN, HOSTILE, START, parity, report
from tests.unit.test_report_remarks import changed
from tests.unit.test_report_views import Tags, parsed

OURS = {"h3", "p", "strong", "code", "br", "ul", "li", "details", "summary"}
TABLE = {"table", "thead", "tbody", "tr", "th", "td"}


def rendered(source: str) -> Tags:
    """Read Markdown as a site that lets HTML through does."""
    return parsed(MarkdownIt("commonmark", {"html": True}).enable("table").render(source))


def cells(source: str) -> list[int]:
    """Give the number of cells in each row of the tables."""
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(source)
    return [len(re.findall("<t[hd][ >]", row)) for row in page.split("<tr>")[1:]]


def test_markdown_says_the_verdict_the_findings_and_what_was_fine() -> None:
    """In the order of the page; folded as on the terminal."""
    tags = rendered(changed().to_markdown())
    assert set(tags.tags) == OURS | TABLE
    said = [
        *("FAIL: skew audit of ranking", "1,138 of 5,000 served cells (22.8%)", "Decisions: 120 of 1,000 rows"),
        *(
            "Served 2026-03-01 00:00:00 UTC to 2026-03-02 00:00:00 UTC in rides, 1,000 rows",
            "trip__km",
            "90.0% of cells",
        ),
        *(
            "factor, as in another unit (rescaled)",
            "mend rescaled",
            "driver: a, b",
            "11.5% to 12.0% of cells",
            "up to 1 d late",
        ),
        *("The whole audit", "4 features with a difference", "stale_online 115, precision 1"),
        *("Fine: 1 of 5 features served as trained", "Not checked: drift", "Note: 7 rows wait in the spool"),
    ]
    places = [tags.text.find(one) for one in said]
    assert -1 not in places
    assert places == sorted(places)
    assert cells(changed().to_markdown()) == [5] * 6 + [4] * 5


def test_markdown_of_a_clean_report_has_no_table() -> None:
    """The verdict, and what was and was not checked."""
    tags = rendered(report(**CLEAN).to_markdown())
    assert not TABLE & set(tags.tags)
    assert "PASS: skew audit of ranking" in tags.text
    assert "All 1,000 served cells are what training would get." in tags.text


def hostile(name: str) -> Report:
    """Give a report with one text everywhere."""
    return report(
        project=name,
        feature_service=name,
        findings=[Finding(name, "fail", name, name, name, name, START, START)],
        parity=Parity(1000, 1, [parity(name, {name: 1})]),
        ttl=[ViewTtl(name, None, 1, {name: 1}, None, 0)],
        notes=[name],
    )


@pytest.mark.parametrize(
    "name",
    [
        HOSTILE,
        "a|b||c",
        "\\|a\\",
        "`a` ``b",
        "*a* **b** _c_ __init__ ~~d~~",
        "![a](https://example.com/x.png) [b](javascript:alert(1))",
        "[a]: https://example.com <https://example.com>",
        "</code></summary></details><!-- ",
        "&lt;script&gt; &amp; &#60;",
        "$a$ ^b^ :tada: a:b:c",
        "# a\n\n- b\n1. c\n> d\n---",
        "x_y__z _ __",
    ],
)
def test_markdown_shows_data_as_it_is(name: str) -> None:
    """No element, no link and no cell comes of a name or a message, and none of it is lost."""
    source = hostile(name).to_markdown()
    tags = rendered(source)
    assert set(tags.tags) <= OURS | TABLE
    assert not tags.attributes - {"start"}
    assert cells(source) == [5, 5, 4, 4]
    assert tags.text.replace("\u200b", "").count(" ".join(name.split())) >= 8


@pytest.mark.parametrize(
    "name", ["@octocat", "@org/team", "#12", "me@example.com", "https://a.example", "www.a.example"]
)
def test_markdown_calls_nobody_and_links_nothing(name: str) -> None:
    """What a site would look for after reading the Markdown is not there."""
    source = hostile(name).to_markdown()
    assert not re.search(r"[@#]\w", rendered(source).text)
    assert not re.search(r"://|www\.", source)
    assert name in rendered(source).text.replace("\u200b", "")


@pytest.mark.parametrize("name", ["f", "<" * 500, "@a" * 300])
def test_markdown_fits_a_comment(name: str) -> None:
    """The gravest findings of many are there, and how many are not is said."""
    features = [parity(f"v{at}__{name}", {"stale_online": 900 - at}) for at in range(100)]
    findings = [Finding("x", "fail", one.feature, f"cause_{at}", name, name) for at, one in enumerate(features)]
    many = report(findings=findings, parity=Parity(100_000, 9000, features), notes=[name] * 100)
    source = many.to_markdown()
    assert len(source) < markdown.MOST
    assert "<code>v0" in source
    shown = len([line for line in source.splitlines() if line.startswith("| **FAIL**")])
    assert f"… and {100 - shown} more." in source
    assert shown == (40 if name == "f" else shown)


def test_markdown_can_be_written_whatever_was_served() -> None:
    """A lone surrogate and a control character are escapes in it."""
    one = dataclasses.replace(report(), notes=["\ud800 \x1b[2J"])
    assert "&#92;ud800 &#92;x1b&#91;2J" in one.to_markdown()
    one.to_markdown().encode("utf-8")


def test_commands_in_remedies_are_set_as_code_and_nothing_else_is() -> None:
    """As on the page; a backtick without its partner, and markup between two, show as they are spelt."""
    assert markdown.prose("run `feast materialize`, or wait") == "run <code>feast materialize</code>, or wait"
    assert markdown.prose("`a|b` and `<b>`") == "<code>a&#124;b</code> and <code>&#60;b&#62;</code>"
    assert markdown.prose("a ` alone") == "a &#96; alone"
