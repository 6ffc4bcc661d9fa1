"""The report's page in a real Chromium, as who is mailed it opens it: a file, in the light and in the dark, printed.

The browser is the one at SKEW_TEST_CHROMIUM (a program, or the ws:// or http:// address of one that runs), else on
PATH, else the one that `playwright install chromium` has brought. Without any, the tests fail: a skipped test would
look like a passed one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserType, Page, Route, sync_playwright

from skew_ext.report import Report
from tests.unit.test_report import CLEAN, HOSTILE, report
from tests.unit.test_report_remarks import changed

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome-headless-shell")
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
PHONE, DESK = {"width": 390, "height": 800}, {"width": 1200, "height": 900}
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


@pytest.mark.parametrize("one", [changed(), report(**CLEAN)], ids=["full", "clean"])
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


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_page_is_no_wider_than_the_screen(size: Any, opened: Opened, file: Path) -> None:
    """What is wide scrolls by itself."""
    opened.page.set_viewport_size(size)
    page = opened.goto(file)
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
