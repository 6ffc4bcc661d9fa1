"""The report as people see it, on a terminal and as a page: everything said, and hostile data only shown."""

from __future__ import annotations

import dataclasses
import html
import io
import pickle
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from skew_ext.model import (
    Distribution,
    Example,
    Finding,
    Histogram,
    Impact,
    OverTime,
    Parity,
    ScoreChange,
    TtlAdvice,
    ViewTtl,
)
from skew_ext.report import Report
from skew_ext.report.html import page as whole_page
from skew_ext.report.terminal import render
from tests.unit.test_report import CLEAN, HOSTILE, START, finding, parity, report, row


def printed(one: Report, width: int = 80, *, terminal: bool = False) -> str:
    """Print a report."""
    stream = io.StringIO()
    render(
        one,
        Console(file=stream, width=width, force_terminal=terminal, color_system="truecolor" if terminal else "auto"),
    )
    return stream.getvalue()


class Tags(HTMLParser):
    """Collects the elements and attributes of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element."""
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Take note of text."""
        self.text += data


def parsed(page: str) -> Tags:
    """Read a page as a browser would."""
    tags = Tags()
    tags.feed(page)
    return tags


def unframed(frame: str) -> str:
    """Take the page out of the frame that a notebook shows."""
    quoted = re.search(r'srcdoc="([^"]*)"', frame)
    assert quoted is not None
    return html.unescape(quoted[1])


def test_terminal_fits_eighty_columns_and_says_it_all() -> None:
    """Verdict, what, how much, why and what to do, without colour and within the width."""
    text = printed(report())
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text
    assert text.startswith("FAIL  1,138 of 5,000 served cells (22.8%)")
    flat = " ".join(text.split())
    for said in (
        "What differs, how much, why, and what to do",
        "FAIL trip__km 90.0% of cells: the value is off by a constant factor, as in another unit (rescaled)",
        "driver: a, b 11.5% to 12.0% of cells: a newer row was known and not yet materialized (stale_online), up to",
        "What to do: mend rescaled",
    ):
        assert said in flat
    assert "Checked and fine: 1 of 5 features served as trained (1,000 cells); no distribution drift in 1" in flat
    assert "Note: 7 rows wait in the spool" in flat


def test_terminal_prints_data_as_data() -> None:
    """Markup and control characters in a name reach the screen as they are spelt."""
    name = "v__[red]a[/red]\x1b[2Jb\\"
    one = report(findings=[finding(name, "unexplained")], feature_service="[/]", notes=["[link=x]y[/link]"])
    flat = printed(one, 120).replace("\n", "")
    assert "[red]a[/red]" in flat
    assert "\\x1b[2Jb" in flat
    assert "\x1b" not in flat
    assert "[/] (rides)" in flat
    assert "Note: [link=x]y[/link]" in flat


@pytest.mark.parametrize("width", [80, 60])
def test_terminal_breaks_no_name_that_fits(width: int) -> None:
    """A name of half a screen is in one piece, one that is longer than the screen is whole, and nothing is cut."""
    name, longest = f"view__{'feature_' * 5}x", f"view__{'y' * 200}"
    text = printed(report(findings=[finding(name, "unexplained"), finding(longest, "unexplained")]), width)
    assert max(map(len, text.splitlines())) <= width
    assert sum(name in line for line in text.splitlines()) >= 1
    assert "y" * 200 in "".join(text.split())
    assert "…" not in text


def test_terminal_tells_the_gravest_of_very_many_findings() -> None:
    """And says how many it does not, and where they are."""
    many = [finding(f"view{place}__f", "unexplained", "fail" if place == 99 else "warn") for place in range(100)]
    text = " ".join(printed(report(findings=many)).split())
    assert text.index("FAIL view99__f") < text.index("WARN view0__f")
    assert text.count("What to do: mend unexplained") == 25
    assert "75 findings more, none of them graver: --json and --html have them all." in text


def test_terminal_shows_the_course_of_what_broke_where_it_can() -> None:
    """A character for each stretch: a blank where nothing was served, a dot where nothing differs; not in ASCII."""
    cells = OverTime(START, 3600, [100, 100, 0, 100, 100, 100], {"rescaled": [0, 1, 0, 40, 20, 0]})
    feature = dataclasses.replace(parity("trip__km", {"rescaled": 61}), over_time=cells)
    one = report(findings=[finding("trip__km", "rescaled")], parity=Parity(1000, 61, [feature]))
    assert "·▁ █▄· at most 40.0%, each 1 h" in printed(one)
    by_design = report(findings=[finding("trip__km", "rescaled", "info")], parity=one.parity)
    assert "█" not in printed(by_design)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    render(one, Console(file=stream, width=80))  # and raises nothing
    stream.seek(0)
    assert "What to do: mend rescaled" in stream.read()


@pytest.mark.parametrize(("variable", "coloured"), [("NO_COLOR", False), ("FORCE_COLOR", True)])
def test_terminal_keeps_to_the_custom_of_environment_variables(
    variable: str, *, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """See no-color.org and force-color.org."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv(variable, "1")
    stream = io.StringIO()
    render(report(), Console(file=stream, width=80, force_terminal=None if coloured else True))
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-9]m", stream.getvalue())) == coloured


def test_terminal_has_colour_where_there_is_a_terminal() -> None:
    """The verdict is coloured, and the words stay the same."""
    text = printed(report(), terminal=True)
    assert re.search(r"\x1b\[[0-9;]*31mFAIL", text)
    assert "".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split()) == "".join(printed(report()).split())


def test_clean_report_on_the_terminal_has_no_table() -> None:
    """A line for the verdict, and what was and was not checked."""
    text = printed(report(**CLEAN))
    assert text.startswith("PASS  All 1,000 served cells are what training would get.")
    assert "What differs" not in text
    assert "Not checked: drift, as no training set was given." in text


def test_a_pass_says_that_what_differs_is_accepted() -> None:
    """A verdict and its sentence do not contradict each other."""
    text = " ".join(printed(report(verdict="pass")).split())
    assert text.startswith("PASS 1,138 of 5,000 served cells (22.8%)")
    assert "none of it asks for a change." in text


@pytest.mark.parametrize("changes", [{}, CLEAN, {"parity": Parity(0, 0, []), "ttl": [], "findings": []}])
def test_page_is_one_inert_file(changes: dict[str, Any], tmp_path: Path) -> None:
    """No script, no reference to anything outside, no attribute that could run, under a policy that forbids all."""
    path = report(**changes).to_html(tmp_path / "report.html")
    page = path.read_text("utf-8")
    tags = parsed(page)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a"} & set(tags.tags)
    assert not {name for name in tags.attributes if name.startswith("on") or name in {"src", "href"}}
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page
    assert "url(" not in page
    assert "@import" not in page
    assert page.startswith("<!doctype html>")


def test_page_escapes_hostile_names_and_values(tmp_path: Path) -> None:
    """A script in any text is shown as text, a lone surrogate as an escape."""
    one = report()
    example = Example({HOSTILE: HOSTILE}, HOSTILE, START, HOSTILE, "\ud800", None, None, HOSTILE)
    feature = dataclasses.replace(parity(HOSTILE, {HOSTILE: 1}), examples=[example])
    bad = Finding(HOSTILE, "fail", HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    one = report(
        project=HOSTILE,
        feature_service=HOSTILE,
        parity=Parity(1000, 1, [feature]),
        findings=[bad],
        notes=[HOSTILE],
        ttl=[ViewTtl(HOSTILE, None, 1, {HOSTILE: 1}, None, 0)],
        distribution=Distribution([row(HOSTILE, "act")], [row(HOSTILE)]),
    )
    page = one.to_html(tmp_path / "r.html").read_text("utf-8")
    assert "<script" not in page
    tags = parsed(page)
    assert "script" not in tags.tags
    assert tags.text.count(HOSTILE) >= 12
    assert "'\\ud800'" in tags.text


def test_page_shows_what_does_not_print_as_escapes() -> None:
    """Else a name could turn the line round in which it stands, or hide what follows."""
    bad = "a\x1b[2J\x85b\x7f\u202egnp\u2066c\ud800"
    example = Example({bad: bad}, bad, START, bad, bad, None, None, bad)
    feature = dataclasses.replace(parity(bad, {bad: 1}), examples=[example])
    one = report(
        project=bad,
        feature_service=bad,
        parity=Parity(1000, 1, [feature]),
        findings=[Finding(bad, "fail", bad, bad, f"`{bad}`", bad)],
        notes=[bad],
        ttl=[ViewTtl(bad, None, 1, {bad: 1}, None, 0)],
        distribution=Distribution([row(bad, "act")], [row(bad)]),
    )
    whole = whole_page(one)
    assert {char for char in whole if not char.isprintable()} == {"\n"}
    assert parsed(whole).text.count(r"a\x1b[2J\x85b\x7f\u202egnp\u2066c\ud800") >= 12


def test_page_says_what_matters_in_order() -> None:
    """Verdict, findings by harm, causes, parity, examples, TTL, distributions, what was fine, and how."""
    text = parsed(unframed(report()._repr_html_()).partition("<body>")[2]).text
    said = [
        *(
            "1,138 of 5,000 served cells",
            "The gravest first",
            "The value is off by a constant factor",
            "trip__km is",
            "Mend rescaled",
        ),
        *("driver: a, b", "up to 1 d late", "Causes", "Parity by feature", "1 feature without a difference"),
        *(
            "Examples",
            "10 of 120",
            "Staleness is",
            "served inside",
            "Skew served",
            "Drift served",
            "Checked and found fine",
        ),
        *("How this was computed", "get_historical_features", "7 rows wait in the spool"),
    ]
    places = [text.find(one) for one in said]
    assert -1 not in places
    assert places == sorted(places)


def test_page_of_a_hundred_features_is_below_a_megabyte(tmp_path: Path) -> None:
    """With ten examples of every feature, each with long values, plots, both distributions, decisions and advice."""
    long = "x" * 100_000
    features = [parity(f"view{i % 7}__feature_{i}", {"stale_online": 5 + i, "precision": 2}) for i in range(100)]
    example = Example(
        {"driver": 1}, "0195f3a2-7c1e-7d2a-9b1f-000000000000", START, long, [1.5] * 5000, START, START, "x"
    )
    hours = OverTime(START, 1800, [21] * 48, {"stale_online": [5] * 48, "precision": [7, 3] * 24})
    features = [dataclasses.replace(one, examples=[example] * 25, over_time=hours) for one in features]
    shares = tuple(0.0437 + place / 1111 for place in range(20))
    cells = Histogram(tuple("x" * 80 for _ in shares), shares, shares[::-1], (0.01, 0.02))
    moved = {
        "change": "sudden",
        "since": START,
        "until": START,
        "out_of_range": 0.1,
        "note": "x" * 80,
        "histogram": cells,
    }
    rows = [row(one.feature, "watch", psi=0.15, ks=0.2, ks_p=0.01, **moved) for one in features]
    changes = [ScoreChange(one.feature, 1000, 10, 0.01, 0.1, 0.2) for one in features]
    quantiles = {f"p{share}": 60.0 * share for share in (1, 5, 25, 50, 75, 95, 99)}
    ttl = [
        ViewTtl(f"view{i}", 60.0, 9, {}, None, 0, 0.5, quantiles, TtlAdvice(60.0, 60.0, quantiles, quantiles, "x" * 80))
        for i in range(7)
    ]
    findings = [finding(one.feature, cause) for one in features for cause in one.causes]
    limits = {one.feature: dict.fromkeys(["psi_watch", "psi_act"], 0.2) for one in features}
    one = report(
        parity=Parity(100_000, 9000, features),
        findings=findings,
        distribution=Distribution(rows, rows, limits),
        impact=Impact(0.5, 1000, changes[0], changes[:16], changes),
        ttl=ttl,
    )
    assert one.to_html(tmp_path / "large.html").stat().st_size < 1_000_000


def test_a_notebook_shows_findings_by_themselves() -> None:
    """As the page has them, and nothing else of it; what is made of them is a plain list."""
    one = report()
    shown = parsed(unframed(one.findings._repr_html_()).partition("<body>")[2]).text  # type: ignore[attr-defined]
    assert "driver: a, b" in shown
    assert "Mend rescaled" in shown
    assert "Parity by feature" not in shown
    assert "1,138 of 5,000 served cells" not in shown
    assert one.findings == list(one.findings)
    again = pickle.loads(pickle.dumps(one))  # noqa: S301 - our own
    assert again.findings == one.findings == dataclasses.replace(one).findings
    assert again.findings._repr_html_() == one.findings._repr_html_()  # type: ignore[attr-defined]
    assert len(dataclasses.asdict(one)["findings"]) == len(one.findings)


def test_notebook_frame_cannot_be_left() -> None:
    """The page is in a sandboxed frame, quoted whole."""
    framed = report(feature_service='"><script>alert(1)</script>')._repr_html_()
    assert set(parsed(framed).tags) == {"iframe"}
    assert "sandbox" in parsed(framed).attributes
