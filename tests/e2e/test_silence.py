"""A server that dies and comes back, in real Chromium: what did not come is asked for again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from liqfield.server.assets import STATIC
from tests.e2e.stage import ETH, stage
from tests.e2e.test_panels import FLAGS, go, open_page, wait_for_map

LATER_S = 1800
# Candles on screen: width, first and last start, and the largest step from one to the next, ms.
CANDLES = """() => { const {candles: c, candleS, view} = window.__liqfield;
 const steps = c.slice(1).map((ms, i) => ms - c[i]);
 return {n: c.length, width: candleS * 1e3, first: c[0], last: c.at(-1),
  step: Math.max(...steps), least: Math.min(...steps), t0: view.t0, t1: view.t1}; }"""

expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not (STATIC / "index.html").is_file():
        pytest.skip("the web app is not built: cd web && npm run build")
    chromium = os.environ.get("LIQFIELD_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=[*FLAGS, "--disable-background-networking"]
        )
        yield browser
        browser.close()


def stale(page: Page) -> bool:
    return "stale" in (page.locator("main").get_attribute("class") or "")


def no_longer_stale(page: Page) -> None:
    for _ in range(300):
        if not stale(page):
            return
        page.wait_for_timeout(100)
    pytest.fail("still called old")


def held_back(page: Page, pattern: str) -> list[Route]:
    """Requests that wait until they are let go: on their way while the server dies."""
    held: list[Route] = []
    page.route(pattern, lambda route: held.append(route))
    return held


def let_go(page: Page, held: list[Route], pattern: str) -> None:
    for route in held:
        route.continue_()
    page.unroute(pattern)


def blank(browser: Browser) -> Page:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, service_workers="block"
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    return page


def test_panels_and_sheets_that_did_not_come_are_asked_for_again(
    browser: Browser, tmp_path: Path
) -> None:
    """The server dies while they are on their way, as it does within half a second of loading."""
    parts = "**/assets/*{Panel,Sheet}-*.js"
    page = blank(browser)
    held = held_back(page, parts)
    with stage(tmp_path) as first:
        page.goto(first.url, wait_until="commit")
        wait_for_map(page)
        for _ in range(100):
            if len(held) >= 5:
                break
            page.wait_for_timeout(100)
        assert len(held) >= 5, "the parts were not asked for"
    let_go(page, held, parts)
    go(page, "Flow")
    missing = page.get_by_test_id("missing")
    expect(missing).to_contain_text("Flow did not come")
    expect(missing).to_contain_text("asked for again as soon as it does")
    missing.get_by_role("button", name="try again").click()
    expect(missing).to_contain_text("Flow did not come")  # nobody is there yet
    page.get_by_label("settings and help").click()
    expect(page.get_by_role("dialog")).to_contain_text("Settings and help did not come")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="settings and help")).to_be_focused()
    with stage(tmp_path, first.port):
        # Nothing is pressed: the panel that was asked for is there with the line.
        expect(page.get_by_test_id("cascade")).to_be_visible()
        page.get_by_label("settings and help").click()
        expect(page.get_by_role("dialog")).to_contain_text("Reading the map")
        page.keyboard.press("Escape")
        for name, what in (("Ladder", "ladder"), ("Truth", "truth")):
            go(page, name)
            expect(page.get_by_test_id(what)).to_be_visible()
        page.get_by_label("feed health").click()
        expect(page.get_by_role("dialog")).to_contain_text("bybit")
    page.context.close()


def test_a_part_that_the_server_no_longer_has_offers_to_load_the_page_anew(
    browser: Browser, tmp_path: Path
) -> None:
    """After an update its files have other names: to ask again would not help."""
    page = blank(browser)
    page.route("**/assets/FlowPanel-*.js", lambda route: route.fulfill(status=404, body="gone"))
    with stage(tmp_path) as server:
        page.goto(server.url)
        wait_for_map(page)
        go(page, "Flow")
        missing = page.get_by_test_id("missing")
        expect(missing).to_contain_text("the page has to be loaded anew")
        page.unroute("**/assets/FlowPanel-*.js")
        missing.get_by_role("button", name="load the page anew").click()
        expect(page.get_by_test_id("cascade")).to_be_visible()
    page.context.close()


def test_the_chart_has_no_hole_after_a_silence(browser: Browser, tmp_path: Path) -> None:
    """Range, panel and market are changed while nobody answers; half an hour passes meanwhile."""
    with stage(tmp_path) as first:
        page = open_page(browser, first.url)
        wait_for_map(page)
        no_longer_stale(page)
        for _ in range(100):
            if page.evaluate(CANDLES)["n"] > 40:
                break
            page.wait_for_timeout(100)
        before = page.evaluate(CANDLES)
        assert before["step"] == before["least"] == before["width"] == 1_800_000
        page.get_by_label("market").select_option("ETH")
        expect(page.locator("header .price b")).to_have_text("3,141.0")
        page.get_by_label("market").select_option("BTC")
        wait_for_map(page)
        first_now = first.now_s
    expect(page.get_by_text("The server has been silent for")).to_be_visible()
    # Another width, another panel, another market and back: what is known is shown, dimmed.
    page.get_by_role("button", name="4 h", exact=True).click()
    go(page, "Flow")
    go(page, "Map")
    page.wait_for_timeout(1000)
    shown = page.evaluate(CANDLES)
    assert shown["n"] > 40, "what was known is gone"
    assert shown["width"] == 1_800_000, "they are drawn in the width that they have"
    page.get_by_label("market").select_option("ETH")
    expect(page.locator("header .price b")).to_have_text(f"{ETH:,.1f}")
    assert stale(page)
    page.get_by_label("market").select_option("BTC")
    expect(page.locator("header .price b")).to_contain_text("85,00")
    page.wait_for_timeout(500)
    assert stale(page)
    assert page.evaluate(CANDLES)["n"] > 40
    with stage(tmp_path, first.port, LATER_S) as second:
        assert second.now_s == first_now + LATER_S
        no_longer_stale(page)
        for _ in range(100):
            now = page.evaluate(CANDLES)
            if now["width"] == 300_000 and now["last"] >= second.now_s * 1e3 - now["width"]:
                break
            page.wait_for_timeout(100)
        assert now["width"] == 300_000
        assert now["step"] == now["least"] == now["width"], "a hole"
        assert now["first"] <= now["t0"], "the beginning is missing"
        # As long as the server was silent, and a candle longer.
        assert now["last"] >= second.now_s * 1e3 - now["width"], "the end is missing"
    page.context.close()


def test_a_server_that_knows_its_markets_later_is_asked_again(
    browser: Browser, tmp_path: Path
) -> None:
    """It refuses what it does not follow yet; until it does, what is shown is called old."""
    with stage(tmp_path) as first:
        page = open_page(browser, first.url)
        wait_for_map(page)
        no_longer_stale(page)
    expect(page.get_by_text("The server has been silent for")).to_be_visible()
    with stage(tmp_path, first.port, mute_s=8.0):
        expect(page.get_by_text("The server is back, without BTC so far")).to_be_visible()
        assert stale(page)
        no_longer_stale(page)
        expect(page.get_by_label("feed health: gap")).to_be_visible()
    page.context.close()


def test_a_page_whose_app_did_not_come_says_so_and_comes_back(
    browser: Browser, tmp_path: Path
) -> None:
    page = blank(browser)
    held = held_back(page, "**/assets/*.js")
    with stage(tmp_path) as first:
        page.goto(first.url, wait_until="commit")
        expect(page.locator(".boot header")).to_contain_text("BTC")
    let_go(page, held, "**/assets/*.js")
    expect(page.get_by_role("alert")).to_contain_text("The app did not come")
    with stage(tmp_path, first.port):
        expect(page.get_by_role("tab", name="Map")).to_be_visible()
        wait_for_map(page)
        no_longer_stale(page)
    page.context.close()


def test_a_worker_that_did_not_come_is_asked_for_again(browser: Browser, tmp_path: Path) -> None:
    page = blank(browser)
    worker = "**/assets/worker-*.js"
    held = held_back(page, worker)
    with stage(tmp_path) as first:
        page.goto(first.url, wait_until="commit")
        expect(page.get_by_role("tab", name="Map")).to_be_visible()
        page.wait_for_timeout(500)
    assert held, "the worker was not asked for"
    let_go(page, held, worker)
    page.wait_for_timeout(1000)
    with stage(tmp_path, first.port):
        expect(page.get_by_label("feed health: gap")).to_be_visible()
        no_longer_stale(page)
        go(page, "Ladder")
        expect(page.get_by_text("Without bybit")).to_be_visible()
    page.context.close()
