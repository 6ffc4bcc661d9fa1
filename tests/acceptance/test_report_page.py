"""The report's page in a real Chromium, as who is mailed it opens it: a file, in the light and in the dark, printed.

The browser is the one at SKEW_TEST_CHROMIUM (a program, or the ws:// or http:// address of one that runs), else on
PATH, else the one that `playwright install chromium` has brought. Without any, the tests fail: a skipped test would
look like a passed one.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserType, Page, Route, sync_playwright

from skew_ext.report import Report
from tests.unit.test_report import CLEAN, HOSTILE, report
from tests.unit.test_report_plots import counted, plotted
from tests.unit.test_report_remarks import changed

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome-headless-shell")
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
PHONE, DESK = {"width": 390, "height": 800}, {"width": 1200, "height": 900}
LEAST_GRAPHIC = 3.0  # WCAG 2.1, 1.4.11, level AA: graphics that say something
LEAST_CONTRAST = 4.5  # WCAG 2.1, 1.4.3, level AA: text against what is behind it

CONTRASTS = """() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = one => {
    for (; one; one = one.parentElement) {
      const color = parse(getComputedStyle(one).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = {};
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const one = text.parentElement;
    if (!text.data.trim() || !one.checkVisibility()) continue;
    const pair = [light(parse(getComputedStyle(one).color)), light(behind(one))].sort((a, b) => b - a);
    found[`${one.tagName}.${one.className}`] = (pair[0] + 0.05) / (pair[1] + 0.05);
  }
  return found;
}"""

MARKS = """() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const found = {};
  for (const one of document.querySelectorAll('.timeline path, .bins path')) {
    const card = one.closest('.whole, .finding, .plots');
    const pair = [getComputedStyle(one).stroke, getComputedStyle(card).backgroundColor];
    const [dark, bright] = pair.map(color => light(parse(color))).sort((a, b) => a - b);
    const box = one.getBoundingClientRect();
    found[one.classList[0]] = [(bright + 0.05) / (dark + 0.05), box.width, box.height];
  }
  return found;
}"""

HIT = """([x, y]) => {
  const box = document.querySelector('.plots .timeline svg').getBoundingClientRect();
  return document.elementFromPoint(box.x + x * box.width, box.y + y * box.height).matches('path.all');
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give a headless Chromium."""
    with sync_playwright() as playwright:
        address = os.environ.get("SKEW_TEST_CHROMIUM", "")
        if "://" in address:
            yield playwright.chromium.connect_over_cdp(address)
            return
        started = playwright.chromium.launch(executable_path=program(address, playwright.chromium), args=flags())
        yield started
        started.close()


def program(named: str, known: BrowserType) -> str:
    """Find a Chromium, or fail with how to have one."""
    found = next(filter(None, map(shutil.which, [named] if named else PROGRAMS)), None)
    if found is None and not named and Path(known.executable_path).exists():
        found = known.executable_path
    if found is None:
        pytest.fail(
            f"no Chromium here{f' at {named}' if named else ''}: install one (apt install chromium, or playwright "
            "install chromium), or set SKEW_TEST_CHROMIUM to its program or address",
            pytrace=False,
        )
    return found


def flags() -> list[str]:
    """Give the browser's options: it asks the network for nothing by itself, and root has no sandbox."""
    return [*QUIET, "--no-sandbox"] if os.geteuid() == 0 else QUIET


class Opened:
    """A page, with what it asked for and what it complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))

    def goto(self, path: Path) -> Page:
        """Open a file."""
        self.page.goto(path.as_uri(), wait_until="load")
        return self.page


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    """Give an empty page as wide as a desk's screen."""
    context = browser.new_context(viewport={"width": DESK["width"], "height": DESK["height"]})
    context.set_default_timeout(10_000)
    yield Opened(context.new_page())
    context.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a page with every section, a feature named <script> among them."""
    return changed().to_html(tmp_path / "report.html")


def shown(page: Page, selector: str) -> list[str]:
    """Give the first lines of what is seen of a selector."""
    return [one.inner_text().splitlines()[0] for one in page.locator(selector).all() if one.is_visible()]


@pytest.mark.parametrize("one", [changed(), plotted(), report(**CLEAN)], ids=["full", "plots", "clean"])
def test_page_renders_without_a_complaint_or_a_request(one: Report, opened: Opened, tmp_path: Path) -> None:
    """The verdict is seen, the console is empty, and nothing but the file was asked for."""
    path = one.to_html(tmp_path / "report.html")
    page = opened.goto(path)
    assert page.locator("h1").is_visible()
    assert opened.asked == [path.as_uri()]
    assert opened.complaints == []


def test_feature_named_as_a_script_is_text(opened: Opened, file: Path) -> None:
    """It is read on the screen as it is spelt, and no script is in the page's tree."""
    page = opened.goto(file)
    assert f"trip__{HOSTILE}" in page.locator("body").inner_text()
    assert page.locator("script").count() == 0
    assert opened.complaints == []


def test_policy_stops_a_script_and_a_request_that_got_in(opened: Opened, file: Path) -> None:
    """Even if something were not escaped one day, it would not run, and would not tell anybody."""
    path = file.with_name("tampered.html")
    bad = (
        "<script>document.title = 'ran'</script><img src=https://example.com/x onerror=\"document.title = 'ran'\">"
        "<iframe src=https://example.com/y></iframe><link rel=stylesheet href=https://example.com/z>"
    )
    path.write_text(file.read_text("utf-8").replace("</main>", f"{bad}</main>"), "utf-8")
    sent: list[str] = []

    def refuse(route: Route) -> None:
        sent.append(route.request.url)
        route.abort()

    opened.page.route("https://**", refuse)
    page = opened.goto(path)
    assert page.title() == "Fail: skew audit of ranking"
    assert sent == []
    assert sum("Content Security Policy" in one for one in opened.complaints) >= 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_light_and_dark(scheme: Literal["light", "dark"], opened: Opened, file: Path) -> None:
    """Each has the contrast that WCAG asks for against what is behind it."""
    opened.page.emulate_media(color_scheme=scheme)
    page = opened.goto(file)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    contrasts: dict[str, float] = page.evaluate(CONTRASTS)
    assert len(contrasts) > 20
    assert {name: round(ratio, 2) for name, ratio in contrasts.items() if ratio < LEAST_CONTRAST} == {}
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 20, 23)"
    assert dark == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_mark_of_a_plot_can_be_seen_in_light_and_dark(
    scheme: Literal["light", "dark"], opened: Opened, tmp_path: Path
) -> None:
    """Each has the contrast that WCAG asks of graphics against the card that it is drawn on, and some size."""
    opened.page.emulate_media(color_scheme=scheme)
    page = opened.goto(plotted().to_html(tmp_path / "report.html"))
    marks: dict[str, list[float]] = page.evaluate(MARKS)
    assert {*marks} == {"fail", "info", "all", "traffic", "reference", "served"}
    for name, (contrast, width, height) in marks.items():
        assert contrast >= LEAST_GRAPHIC, name
        assert width > 0, name
        assert height > 0 or name == "traffic", name


def test_bars_stand_where_their_numbers_say(opened: Opened, tmp_path: Path) -> None:
    """Of four stretches with rates of 5, 15, 40 and 0 %, on a plot up to 40 %: what a pointer would hit."""
    page = opened.goto(plotted().to_html(tmp_path / "report.html"))
    page.locator(".plots .timeline").scroll_into_view_if_needed()

    def hit(slot: int, rate: float) -> bool:
        return bool(page.evaluate(HIT, [(slot + 0.5) / 4, 1 - rate / 0.4]))

    assert [hit(slot, rate) for slot, rate in [(0, 0.03), (1, 0.13), (2, 0.38)]] == [True] * 3
    assert [hit(slot, rate) for slot, rate in [(0, 0.07), (1, 0.17), (3, 0.02)]] == [False] * 3


def test_plots_of_features_are_filtered_by_cause(opened: Opened, tmp_path: Path) -> None:
    """A feature is seen under each of its causes, and only there."""
    one = plotted()
    other = dataclasses.replace(counted({"precision": [1, 2, 0, 0]}, [9, 9, 9, 9]), feature="trip__other")
    both = dataclasses.replace(one.parity, features=[*one.parity.features, other])
    page = opened.goto(dataclasses.replace(one, parity=both).to_html(tmp_path / "report.html"))
    assert shown(page, ".plots h4") == ["trip__km", "trip__other"]
    page.get_by_role("radio", name="rescaled").check()
    assert shown(page, ".plots h4") == ["trip__km"]


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("one", [changed(), plotted()], ids=["full", "plots"])
def test_page_is_no_wider_than_the_screen(one: Report, size: Any, opened: Opened, tmp_path: Path) -> None:
    """What is wide scrolls by itself."""
    opened.page.set_viewport_size(size)
    page = opened.goto(one.to_html(tmp_path / "report.html"))
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_severities_are_filtered_without_a_script(opened: Opened, file: Path) -> None:
    """Findings of a severity go and come back; that some are hidden is said."""
    page = opened.goto(file)
    everything = shown(page, ".finding")
    assert everything == ["Fail", "Fail", "Warn", "Warn", "Info"]
    assert shown(page, ".filtered") == []
    page.locator("#show-fail").uncheck()
    assert shown(page, ".finding") == ["Warn", "Warn", "Info"]
    assert shown(page, ".filtered") == ["Filtered: some findings, features and examples are not shown."]
    page.get_by_role("checkbox", name="Info").uncheck()
    assert shown(page, ".finding") == ["Warn", "Warn"]
    page.locator("#show-fail").check()
    page.get_by_role("checkbox", name="Info").check()
    assert shown(page, ".finding") == everything


def test_causes_are_filtered_without_a_script(opened: Opened, file: Path) -> None:
    """Findings, features and examples of one cause are left, a feature with two causes under both."""
    page = opened.goto(file)
    page.get_by_role("radio", name="precision").check()
    assert shown(page, ".finding") == []
    assert shown(page, "tr.by-cause") == ["driver__b\t1,000\t116\t"]
    page.get_by_role("radio", name="stale_online").check()
    assert [one.locator("h3").inner_text() for one in page.locator(".finding").all() if one.is_visible()] == [
        "driver: a, b"
    ]
    assert [one.split("\t")[0] for one in shown(page, "tr.by-cause")] == ["driver__a", "driver__b"]
    assert [one.split()[0] for one in shown(page, "details.by-cause")] == ["driver__a"]
    page.get_by_role("radio", name="All").check()
    assert len(shown(page, ".finding")) == 5


def test_page_prints_with_its_closed_parts(opened: Opened, file: Path) -> None:
    """A PDF of some pages; what is folded on the screen is not on paper, and the filters are not there."""
    page = opened.goto(file)
    example = page.locator("details td").first
    assert not example.is_visible()
    pdf = page.pdf(format="A4", print_background=True)
    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/Type /Page\n") >= 2
    page.emulate_media(media="print")
    assert example.evaluate("one => one.checkVisibility({contentVisibilityAuto: true}) && one.offsetHeight > 0")
    assert shown(page, ".filters fieldset") == []


def test_page_in_a_notebook_filters_inside_its_frame(opened: Opened) -> None:
    """In the sandboxed frame that a notebook shows, where no script may run."""
    opened.page.set_content(changed()._repr_html_())
    frame = opened.page.frame_locator("iframe")
    assert frame.locator(".finding.fail").first.is_visible()
    frame.locator("#show-fail").uncheck()
    assert not frame.locator(".finding.fail").first.is_visible()
    assert frame.locator(".finding.warn").first.is_visible()
    assert opened.complaints == []
