"""The demo, its real servers and sockets, in real Chromium at a phone's size."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import CDPSession, Page, sync_playwright

READY_S = 300  # cold: the compiled kernels are built first
PIXELS = """() => { const c = document.querySelector('[data-testid=heat]');
 const s = document.createElement('canvas'); s.width = c.width; s.height = c.height;
 const x = s.getContext('2d'); x.drawImage(c, 0, 0);
 const d = x.getImageData(0, 0, s.width, s.height).data;
 let lit = 0, sum = 0;
 for (let i = 0; i < d.length; i += 4) {
   lit += d[i + 3] > 0;
   sum = (sum * 31 + d[i]) % 2147483647;
 }
 return [lit / (d.length / 4), sum]; }"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    liqfield = os.path.join(os.path.dirname(sys.executable), "liqfield")
    with subprocess.Popen(
        [liqfield, "demo", "--port", "0", "--no-browser", "--markets", "BTC"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
                    yield found[0]
                    break
            else:
                pytest.fail("the demo ended without an address")
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Page]:
    chromium = os.environ.get("LIQFIELD_CHROMIUM") or shutil.which("chromium")
    flags = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--no-first-run"]
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=[*flags, "--disable-background-networking"]
        )
        context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
        page = context.new_page()
        page.goto(address)
        yield page
        browser.close()


def pinch(session: CDPSession, x: float, y: float) -> None:
    def touch(kind: str, gap: float) -> None:
        points = [{"x": x - gap, "y": y, "id": 0}, {"x": x + gap, "y": y, "id": 1}]
        session.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [] if kind == "touchEnd" else points},
        )

    touch("touchStart", 40)
    for gap in range(45, 100, 5):
        touch("touchMove", gap)
    touch("touchEnd", 0)


def span_ms(page: Page) -> float:
    return float(page.evaluate("__liqfield.view.t1 - __liqfield.view.t0"))


def test_the_map_is_drawn_moves_and_says_what_the_server_says(page: Page, address: str) -> None:
    deadline = time.monotonic() + READY_S
    # Polled from here: the page's own policy forbids evaluating strings.
    while not page.evaluate("window.__liqfield?.tiles > 0") and time.monotonic() < deadline:
        page.wait_for_timeout(500)
    deadline = time.monotonic() + 60
    lit, first = page.evaluate(PIXELS)
    while (lit < 0.3 or page.evaluate(PIXELS)[1] == first) and time.monotonic() < deadline:
        page.wait_for_timeout(500)
        lit = page.evaluate(PIXELS)[0]
    assert lit > 0.3, "no map on screen"
    assert page.evaluate(PIXELS)[1] != first, "the map does not move"

    box = page.get_by_test_id("map").bounding_box()
    assert box is not None
    before = span_ms(page)
    pinch(page.context.new_cdp_session(page), box["x"] + 140, box["y"] + 200)
    for _ in range(40):  # the view is told with the next frame
        page.wait_for_timeout(100)
        if span_ms(page) < before * 0.8:
            break
    assert span_ms(page) < before * 0.8
    page.wait_for_timeout(2500)
    assert span_ms(page) < before * 0.8, "a new price took the user back to now"

    page.get_by_text("back to now").click()
    page.wait_for_timeout(3000)
    readout = page.get_by_test_id("crosshair")
    for y in (0.3, 0.4, 0.75, 0.85):
        page.mouse.move(box["x"] + 60, box["y"] + box["height"] * y)
        readout.wait_for(timeout=10_000)
        page.wait_for_timeout(400)
        shown = {
            name: float(readout.get_attribute(f"data-{name}") or "nan")
            for name in ("price", "at-ms", "column-s", "level", "long-usd", "short-usd")
        }
        reply = page.request.get(
            f"{address}api/v1/value/BTC?price={shown['price']}&at_ms={int(shown['at-ms'])}"
            f"&column_s={int(shown['column-s'])}&bin_level={int(shown['level'])}"
        ).json()
        # A cell of a tile is within 3.4 % of the map's number (docs/wire.md).
        for side, name in enumerate(("long-usd", "short-usd")):
            assert shown[name] == pytest.approx(sum(reply["usd"][side]), rel=0.08, abs=700)


def test_the_ladder_moves(page: Page) -> None:
    page.get_by_role("tab", name="Ladder").click()
    ladder = page.get_by_test_id("ladder")
    ladder.wait_for()
    page.wait_for_timeout(1500)
    first = ladder.screenshot()
    page.wait_for_timeout(1500)
    assert ladder.screenshot() != first


def test_the_map_is_there_again_after_a_change_of_panel(page: Page) -> None:
    page.get_by_role("tab", name="Ladder").click()
    page.get_by_test_id("ladder").wait_for()
    page.get_by_role("tab", name="Map").click()
    page.get_by_test_id("map").wait_for()
    page.wait_for_timeout(3000)
    assert page.evaluate(PIXELS)[0] > 0.3, "no map on screen"
