"""Every panel and state on a phone, in real Chromium, over a real server with a market of 2023."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from liqfield.server.assets import STATIC
from tests.e2e.stage import HOUR, OUTLOOK, Stage, stage

FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--no-first-run"]
AXE = Path(__file__).resolve().parents[2] / "web/node_modules/axe-core/axe.min.js"
LIT = """() => { const c = document.querySelector('[data-testid=heat]');
 const s = document.createElement('canvas'); s.width = c.width; s.height = c.height;
 const x = s.getContext('2d'); x.drawImage(c, 0, 0);
 const d = x.getImageData(0, 0, s.width, s.height).data; let lit = 0;
 for (let i = 0; i < d.length; i += 4) lit += d[i + 3] > 0;
 return lit / (d.length / 4); }"""
SMALL = """() => [...document.querySelectorAll('button, select, input, [role=tab], summary')]
 .map(e => [e.textContent.trim().slice(0, 20), e.getBoundingClientRect()])
 .filter(([, r]) => r.width > 0 && (r.height < 43.5 || r.width < 43.5))
 .map(([name, r]) => `${name} ${r.width.toFixed(0)}x${r.height.toFixed(0)}`)"""
# What stands in a toolbar that does not scroll by its looks and is cut off all the same, and text
# that runs out of its card or sheet.
CUT = """() => [...document.querySelectorAll('.chips, .card, dialog, .beside')]
 .filter(e => e.getBoundingClientRect().width > 0 && getComputedStyle(e).maskImage === 'none')
 .filter(e => e.scrollWidth > e.clientWidth + 1)
 .map(e => `${e.className || e.tagName} ${e.scrollWidth} > ${e.clientWidth}`)"""
TEXT = """size => { const s = new CSSStyleSheet();
 const to = `text-size-adjust: ${size} !important;`;
 s.replaceSync(`html { -webkit-${to} ${to} }`);
 document.adoptedStyleSheets = [s]; }"""
# What stands beside the screen and in nothing that scrolls, or is a figure and cut.
OUT = """() => [...document.querySelectorAll(
 'header > *, .nav button, .row .at, .row .usd, .alarm b')]
 .filter(e => e.getClientRects().length)
 .filter(e => { const r = e.getBoundingClientRect();
  return r.left < -1 || r.right > innerWidth + 1 || e.scrollWidth > e.clientWidth + 1; })
 .map(e => e.className + ' ' + e.textContent.trim().slice(0, 30))"""
# Remembers what had the focus, and says whether it shows.
FOCUS = """() => { const e = document.activeElement;
 if (!e || e === document.body) return '';
 (window.__focused ??= new Set()).add(e);
 const s = getComputedStyle(e);
 return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 ? ''
  : e.getAttribute('aria-label') || e.textContent.trim().slice(0, 20); }"""
MISSED = """() => [...document.querySelectorAll("button:enabled, select, summary, [tabindex='0']")]
 .filter(e => e.getClientRects().length && !window.__focused?.has(e))
 .map(e => e.getAttribute('aria-label') || e.textContent)"""
# Every moment at which the page called itself old.
OLD = """window.__old = []; new MutationObserver(() => {
 const e = document.querySelector('main.stale, .banner.bad');
 if (e) window.__old.push(e.textContent.slice(0, 60)); })
 .observe(document, {subtree: true, childList: true, attributeFilter: ['class']});"""
LEAST_LADDER = 150
# Where the accent stands on the left edge of the price axis, as prices; and inside the axis.
AXIS = """([stop, axis, foot]) => {
 const c = document.querySelectorAll('[data-testid=map] canvas')[1];
 const r = c.width / c.clientWidth, h = c.clientHeight - foot, v = __liqfield.view;
 const x = c.getContext('2d', {willReadFrequently: true});
 const is = (px, y) => { const d = x.getImageData(px * r, y * r, 1, 1).data;
  return d[0] > 200 && d[1] > 150 && d[2] < 110 && d[3] > 200; };
 const left = c.clientWidth - axis + 1, rows = [];
 for (let y = 0; y < h; y++) if (is(left, y)) rows.push(y);
 const price = y => Math.exp(v.y1 - (y / h) * (v.y1 - v.y0));
 const at = (v.y1 - Math.log(stop)) / (v.y1 - v.y0) * h;
 return {price: [price(rows.at(-1) + 1), price(rows[0])], tag: is(left + 6, at - 7)}; }"""
TABS = ("Map", "Ladder", "Flow", "Truth")


@pytest.fixture(scope="module")
def market() -> Iterator[Stage]:
    if not (STATIC / "index.html").is_file():
        pytest.skip("the web app is not built: cd web && npm run build")
    with stage() as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = os.environ.get("LIQFIELD_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=[*FLAGS, "--disable-background-networking"]
        )
        yield browser
        browser.close()


def open_page(browser: Browser, url: str, width: int = 390, height: int = 844) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": height},
        has_touch=True,
        timezone_id="Asia/Tokyo",
        service_workers="block",
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(url)
    return page


@pytest.fixture(scope="module")
def phone(browser: Browser, market: Stage) -> Iterator[Page]:
    page = open_page(browser, market.url)
    wait_for_map(page)
    yield page
    page.context.close()


def wait_for_map(page: Page) -> None:
    for _ in range(300):
        if page.evaluate("window.__liqfield?.tiles > 0") and page.evaluate(LIT) > 0.3:
            return
        page.wait_for_timeout(200)
    pytest.fail("no map on screen")


# A loaded machine draws slowly: the default of five seconds would measure it, not the page.
expect.set_options(timeout=30_000)


def swipe(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()


def go(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def test_a_market_of_the_past_opens_on_its_own_time(phone: Page, market: Stage) -> None:
    go(phone, "Map")
    wait_for_map(phone)
    view = phone.evaluate("window.__liqfield.view")
    assert view["t0"] < market.now_s * 1e3 < view["t1"]
    assert abs(view["t1"] - view["t0"] - 24 * HOUR * 1e3) < 2 * HOUR * 1e3
    assert phone.evaluate(LIT) > 0.8, "the window is larger than the day that exists"


def test_the_crosshair_reads_a_past_that_the_server_confirms(phone: Page, market: Stage) -> None:
    go(phone, "Map")
    wait_for_map(phone)
    box = phone.get_by_test_id("map").bounding_box()
    assert box is not None
    readout = phone.get_by_test_id("crosshair")
    for y in (0.3, 0.6, 0.7):
        phone.mouse.move(box["x"] + 90, box["y"] + box["height"] * y)
        readout.wait_for()
        phone.wait_for_timeout(300)
        got = {
            name: float(readout.get_attribute(f"data-{name}") or "nan")
            for name in ("price", "at-ms", "column-s", "level", "long-usd", "short-usd")
        }
        reply = phone.request.get(
            f"{market.url}api/v1/value/BTC?price={got['price']}&at_ms={int(got['at-ms'])}"
            f"&column_s={int(got['column-s'])}&bin_level={int(got['level'])}"
        ).json()
        for side, name in enumerate(("long-usd", "short-usd")):
            assert got[name] == pytest.approx(sum(reply["usd"][side]), rel=0.08, abs=700)
    phone.mouse.move(box["x"] + 5, box["y"] - 20)


def test_clusters_carry_their_path_and_reasons(phone: Page) -> None:
    go(phone, "Map")
    rows = phone.get_by_test_id("clusters")
    expect(rows).to_contain_text("hollow 0.4×")
    expect(rows).to_contain_text("defended 2.6×")
    rows.get_by_role("button", name="84.0M").click()
    expect(rows).to_contain_text("prints are sampled")
    expect(rows).to_contain_text("building +25 %")
    rows.get_by_role("button", name="84.0M").click()


def test_the_smallest_cluster_is_shown_with_its_reason_and_changed_in_two_taps(
    browser: Browser, market: Stage
) -> None:
    page = open_page(browser, market.url)
    wait_for_map(page)
    rows = page.get_by_test_id("clusters")
    least = rows.get_by_label("smallest cluster")
    expect(least.locator("option:checked")).to_have_text("≥ $28M")
    expect(rows.locator(".row")).to_have_count(3)
    reason = "0.2 % of $14.0B open interest"
    assert reason in str(least.locator("optgroup").first.get_attribute("label"))
    rows.get_by_role("button", name="Clusters").click()
    expect(rows.get_by_test_id("threshold")).to_contain_text(reason)
    rows.get_by_role("button", name="Clusters").click()
    # The first tap opens the list, the second chooses: smaller ones come from the server.
    least.select_option("≥ $5M")
    expect(rows.locator(".row")).to_have_count(4)
    expect(rows).to_contain_text("$7.00M")
    expect(rows.get_by_test_id("threshold")).to_contain_text("≥ $5M is your choice; ≥ $28M counts")
    least.select_option("≥ $100M")
    expect(rows.locator(".row")).to_have_count(1)
    expect(rows).to_contain_text("no cluster ≥ $100M")
    # It is this market's, it outlives the page, and the ladder and the settings say the same.
    page.reload()
    wait_for_map(page)
    expect(rows.locator(".row")).to_have_count(1)
    go(page, "Ladder")
    expect(page.get_by_text("no cluster ≥ $100M")).to_be_visible()
    page.get_by_label("settings and help").click()
    sheet = page.get_by_role("dialog")
    expect(sheet).to_contain_text(reason)
    sheet.get_by_label("smallest cluster").select_option("≥ $28M")
    page.keyboard.press("Escape")
    go(page, "Map")
    expect(rows.locator(".row")).to_have_count(3)
    page.context.close()


def test_the_map_as_of_another_moment_is_the_one_that_the_server_knew(
    phone: Page, market: Stage
) -> None:
    go(phone, "Map")
    wait_for_map(phone)
    phone.get_by_role("button", name="as of…").click()
    bar = phone.get_by_test_id("as-of")
    expect(bar).to_contain_text("6.2 h ago")
    slider = bar.get_by_label("as known at")
    before = float(slider.input_value())
    bar.get_by_role("button", name="earlier").click()
    assert float(slider.input_value()) == before - 1_800_000
    slider.focus()
    for _ in range(3):
        phone.keyboard.press("ArrowLeft")
    expect(bar).to_contain_text("8.2 h ago")
    wanted_ms = float(slider.input_value())
    for _ in range(100):  # the picture follows the text
        if phone.evaluate("window.__liqfield.then?.knownMs") == wanted_ms:
            break
        phone.wait_for_timeout(100)
    # What the profile shows is the column of the server's history, bin by bin.
    shown = phone.evaluate(
        "(({firstBin, binWidth, knownMs, plane}) => ({firstBin, binWidth, knownMs,"
        " usd: [0, 1, 2].map(plane)}))(window.__liqfield.then)"
    )
    reply = phone.request.get(
        f"{market.url}api/v1/value/BTC?price=83500&at_ms={shown['knownMs'] - 1}&column_s=1800"
    ).json()
    assert shown["knownMs"] == reply["columnEndMs"]
    bin_ = math.floor(math.log(83_500) / shown["binWidth"]) - shown["firstBin"]
    long_usd = sum(shown["usd"][plane][bin_] for plane in range(3))
    assert long_usd == pytest.approx(sum(reply["usd"][0]), rel=0.08, abs=700)
    # So are the clusters: those that stood out of that column, and what there was none of.
    asked = f"{market.url}api/v1/clusters/BTC?at_ms={shown['knownMs']}"
    then = phone.request.get(asked).json()
    assert then["atMs"] == reply["asOfMs"]
    (cluster,) = then["clusters"]
    rows = phone.get_by_test_id("clusters")
    expect(rows).to_contain_text("as known at")
    expect(rows.locator(".row")).to_have_count(1)
    expect(rows.locator(".row")).to_contain_text(f"${cluster['usd'] / 1e6:.0f}M")
    expect(rows).to_contain_text("no cluster ≥ $200M within 14 % below")
    rows.locator(".row").click()
    expect(rows).to_contain_text("Neither the books of then nor the interval are kept")
    rows.locator(".row").click()
    rows.get_by_role("button", name="Clusters").click()
    bar.get_by_role("button", name="now").click()
    expect(bar).to_be_hidden()
    expect(rows.locator(".row")).to_have_count(3)


def test_a_swipe_and_the_arrows_lead_from_cluster_to_cluster(phone: Page) -> None:
    go(phone, "Map")
    rows = phone.get_by_test_id("clusters")
    handle = rows.get_by_role("button", name="Clusters")
    box = handle.bounding_box()
    assert box is not None
    swipe(phone, (box["x"] + 60, box["y"] + 20), (box["x"] + 60, box["y"] - 80))
    expect(handle).to_have_attribute("aria-expanded", "true")
    rows.locator(".row").first.click()
    expect(rows).to_contain_text("1 of 3")
    expect(rows.get_by_role("button", name="nearer cluster")).to_be_disabled()
    rows.get_by_role("button", name="farther cluster").click()
    expect(rows).to_contain_text("2 of 3")
    detail = rows.locator(".detail").bounding_box()
    assert detail is not None
    y = detail["y"] + 60
    swipe(phone, (detail["x"] + 300, y), (detail["x"] + 120, y + 6))
    expect(rows).to_contain_text("3 of 3")
    rows.locator(".row[aria-expanded=true]").focus()
    phone.keyboard.press("ArrowLeft")
    expect(rows).to_contain_text("2 of 3")
    assert phone.evaluate("scrollY + document.body.scrollTop") == 0, "the page itself moved"
    rows.locator(".row[aria-expanded=true]").click()
    handle.click()


def test_the_ladder_of_one_venue_is_that_venue_alone(phone: Page, market: Stage) -> None:
    go(phone, "Ladder")
    expect(phone.get_by_text("Without bybit")).to_be_visible()
    phone.get_by_label("venue").select_option("okx")
    expect(phone.get_by_text("Without bybit")).to_be_hidden()
    ladder = phone.get_by_test_id("ladder")
    expect(ladder.get_by_text("Waiting for a true book")).to_be_hidden()
    box = ladder.bounding_box()
    assert box is not None
    # Row by row until the one with the wall: its card has the figure that the badge cuts off.
    card = phone.get_by_test_id("row-card")
    for y in range(40, 300, 24):
        phone.mouse.click(box["x"] + 200, box["y"] + y)
        phone.wait_for_timeout(300)
        if not card.is_visible():  # the book moved: the same row once more, which closed its card
            phone.mouse.click(box["x"] + 200, box["y"] + y)
        card.wait_for()
        if "wall" in card.inner_text():
            break
    expect(card).to_contain_text("197.0× usual")
    phone.get_by_role("button", name="recentre").click()
    phone.get_by_label("venue").select_option("")
    expect(phone.get_by_text("Without bybit")).to_be_visible()


def test_truth_by_side_and_venue(phone: Page, market: Stage) -> None:
    go(phone, "Truth")
    truth = phone.get_by_test_id("truth")
    expect(truth.get_by_test_id("running")).to_contain_text("no score yet")
    truth.get_by_label("side").select_option("shorts")
    expect(truth.get_by_text("▼ longs")).to_have_count(0)
    expect(truth.get_by_text("▲ shorts")).not_to_have_count(0)
    truth.get_by_label("venue").select_option("okx")
    expect(truth).to_contain_text("n 20")
    expect(truth.get_by_test_id("running")).to_be_hidden()
    truth.get_by_label("venue").select_option("binance")
    expect(truth).to_contain_text("no score of BTC on binance")
    truth.get_by_label("venue").select_option("all")
    truth.get_by_label("side").select_option("both")
    expect(truth).to_contain_text("n 72")


def test_the_page_is_painted_before_the_app_has_come(browser: Browser, market: Stage) -> None:
    """The map, its candles and clusters out of the page alone: no script, no tile is answered."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, timezone_id="Asia/Tokyo", service_workers="block"
    )
    page = context.new_page()
    page.route("**/assets/*.js", lambda route: route.abort())
    page.route("**/api/**", lambda route: route.abort())
    page.goto(market.url)
    for _ in range(100):
        if page.evaluate("performance.getEntriesByName('map').length"):
            break
        page.wait_for_timeout(100)
    lit = page.evaluate(LIT.replace("[data-testid=heat]", ".boot canvas"))
    assert lit > 0.8
    expect(page.get_by_text("BTC")).to_be_visible()
    context.close()


def test_the_ladder_names_what_is_missing_and_explains_a_row(phone: Page) -> None:
    go(phone, "Ladder")
    ladder = phone.get_by_test_id("ladder")
    expect(phone.get_by_text("Without bybit")).to_be_visible()
    first = ladder.screenshot()
    phone.wait_for_timeout(700)
    assert ladder.screenshot() != first, "the ladder does not move"
    box = ladder.bounding_box()
    assert box is not None
    phone.mouse.click(box["x"] + 200, box["y"] + 100)
    card = phone.get_by_test_id("row-card")
    expect(card).to_contain_text("resting to here")
    phone.get_by_role("button", name="recentre").click()
    expect(card).to_be_hidden()
    before = phone.get_by_text("$10", exact=True)
    expect(before).to_be_visible()
    phone.get_by_role("button", name="coarser rows").click()
    expect(phone.get_by_text("$20", exact=True)).to_be_visible()
    phone.get_by_role("button", name="finer rows").click()
    expect(before).to_be_visible()
    phone.get_by_role("button", name="depth").click()
    expect(phone.get_by_text("ask in view")).to_be_visible()
    phone.get_by_role("button", name="depth").click()


def test_where_the_cascade_may_stop_is_told_with_its_fan_and_source(phone: Page) -> None:
    go(phone, "Map")
    alarm = phone.get_by_role("button", name="Cascade running · longs")
    expect(alarm).to_contain_text("may stop at 83,620")
    alarm.click()
    told = phone.get_by_test_id("outlook")
    expect(told).to_contain_text("may stop at 83,620")
    expect(told).to_contain_text("80 %: 82,190–84,480")
    expect(told).to_contain_text("$41.0M more forced")
    expect(told).to_contain_text("80 %: $9.00M–$120M")
    expect(told).to_contain_text("12 earlier moves of this market went, and a prior")


def test_the_axis_carries_the_stop_and_its_fan(phone: Page) -> None:
    """The accent's pixels at the axis' edge lie between the prices of the fan, and only there."""
    go(phone, "Map")
    wait_for_map(phone)
    found = phone.evaluate(AXIS, [OUTLOOK.stop_price, 54, 22])
    low, high = found["price"][0], found["price"][1]
    assert low == pytest.approx(OUTLOOK.stop_price_far, rel=2e-3)
    assert high == pytest.approx(OUTLOOK.stop_price_near, rel=2e-3)
    assert found["tag"], "no box at the median"


def test_flow_shows_cascade_events_footprint_and_tape(phone: Page) -> None:
    go(phone, "Flow")
    expect(phone.get_by_test_id("cascade").locator("[aria-current=step]")).to_have_text("running")
    flow = phone.get_by_test_id("flow")
    expect(flow).to_contain_text("absorption")
    flow.get_by_label("kind of event").select_option("walls")
    expect(flow).to_contain_text("wall pulled")
    expect(flow.locator(".event").filter(has_text="absorption")).to_have_count(0)
    flow.get_by_label("kind of event").select_option("all events")
    expect(flow.get_by_label("footprint of the last bars")).to_be_visible()
    expect(phone.get_by_test_id("tape").locator(".print")).to_have_count(40)
    expect(phone.get_by_test_id("context")).to_contain_text("longs pay shorts")


def test_truth_shows_skill_with_intervals_and_admits_its_limits(phone: Page) -> None:
    go(phone, "Truth")
    truth = phone.get_by_test_id("truth")
    expect(truth).to_contain_text("n 72")
    expect(truth).to_contain_text("sample of their liquidations")
    expect(truth.get_by_label("predicted and printed liquidations by hour")).to_be_visible()
    reply = phone.request.get(phone.url + "api/v1/truth/BTC").json()
    assert len(reply["hours"]) == 72
    expect(truth).to_contain_text(f"All 72 hours: ratio ▼ {reply['totalRatio'][0]:.2f}")
    shown = reply["hours"][-24:]
    said, seen = (sum(h[name][0] for h in shown) for name in ("predictedUsd", "realisedUsd"))
    expect(truth.get_by_role("row", name="▼ longs").nth(1)).to_contain_text(f"{said / seen:.2f}")


def test_health_names_venues_and_keys_change_panels(phone: Page) -> None:
    expect(phone.get_by_text("no book of bybit")).to_be_visible()
    phone.get_by_label("feed health").click()
    sheet = phone.get_by_role("dialog")
    expect(sheet).to_contain_text("bybit")
    expect(sheet).to_contain_text("okx funny (2)")
    expect(sheet).to_contain_text("back-fill done")
    phone.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    for number, name in enumerate(TABS, 1):
        phone.keyboard.press(str(number))
        expect(phone.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
    phone.keyboard.press("?")
    expect(phone.get_by_role("dialog")).to_contain_text("Reading the map")
    phone.keyboard.press("Escape")


@pytest.mark.parametrize("size", [(360, 740), (844, 390), (1440, 900)])
def test_nothing_overflows_and_fingers_hit(
    browser: Browser, market: Stage, size: tuple[int, int]
) -> None:
    page = open_page(browser, market.url, *size)
    wait_for_map(page)

    def look(what: str) -> None:
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], what
        assert page.evaluate("document.documentElement.scrollHeight") <= size[1], what
        assert page.evaluate(SMALL) == [], what
        assert page.evaluate(CUT) == [], what

    names = TABS if size[0] < 960 else TABS[1:]
    for name in names:
        go(page, name)
        look(name)
        if name == "Map" and size[1] > 480:
            page.get_by_test_id("clusters").locator(".row").first.click()
            look("a cluster")
            page.get_by_role("button", name="as of…").click()
            look("as of")
            page.get_by_role("button", name="now", exact=True).click()
        if name == "Ladder":
            box = page.get_by_test_id("ladder").bounding_box()
            assert box is not None
            assert box["height"] >= LEAST_LADDER, "rows enough to read a book"
            page.locator(".beside button").first.click()
            look("a path")
            page.get_by_role("button", name="depth").click()
            look("depth")
            page.get_by_role("button", name="depth").click()
    for label in ("feed health", "settings and help"):
        page.get_by_label(label).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        for closed in page.get_by_role("dialog").locator("summary").all():
            closed.click()
        look(label)
        page.keyboard.press("Escape")
    page.context.close()


@pytest.mark.parametrize(("width", "text"), [(320, 100), (390, 200)])
def test_with_large_text_or_little_room_everything_can_still_be_reached(
    browser: Browser, market: Stage, width: int, text: int
) -> None:
    """Phones scale the text alone: no button leaves the screen, no price and no figure is lost."""
    context = browser.new_context(
        viewport={"width": width, "height": 844},
        has_touch=True,
        is_mobile=True,
        reduced_motion="reduce",
        service_workers="block",
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(market.url)
    wait_for_map(page)
    page.evaluate(TEXT, f"{text}%")
    size = page.locator("header .price b").evaluate("e => e.getBoundingClientRect().height")
    assert (size > 36) == (text == 200), "the text was not scaled"
    # An animation that ends at once is none.
    motion = page.locator("main").evaluate("e => getComputedStyle(e).transitionDuration")
    assert motion == "0s"
    for name in TABS:
        go(page, name)
        page.wait_for_timeout(400)
        assert page.evaluate(OUT) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    for label in ("feed health", "settings and help"):
        page.get_by_role("button", name=label).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
    context.close()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_accessible_names_and_contrast(browser: Browser, market: Stage, theme: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: cd web && npm ci")
    page = open_page(browser, market.url)
    wait_for_map(page)
    if theme == "light":
        page.keyboard.press("t")
    page.evaluate(AXE.read_text())

    def look(what: str) -> None:
        page.wait_for_timeout(400)
        found = page.evaluate(
            "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa']}).then(r => r.violations.map("
            "v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.target).join(' | ')}`))"
        )
        assert found == [], f"{what} ({theme})"

    for name in TABS:
        go(page, name)
        look(name)
        if name == "Map":
            page.get_by_test_id("clusters").locator(".row").first.click()
            look("a cluster")
        if name == "Ladder":
            page.get_by_role("button", name="depth").click()
            look("depth")
            page.get_by_role("button", name="depth").click()
    for label in ("feed health", "settings and help"):
        page.get_by_label(label).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        look(label)
        page.keyboard.press("Escape")
    page.context.close()


def test_a_keyboard_alone_reaches_everything_and_sees_where_it_is(
    browser: Browser, market: Stage
) -> None:
    """Tab walks through every control, each with an outline; a sheet gives the focus back."""
    page = open_page(browser, market.url, 390, 844)
    wait_for_map(page)
    for name in TABS:
        go(page, name)
        page.wait_for_timeout(400)
        page.evaluate("window.__focused = new Set()")
        for _ in range(page.locator("button, select, summary, [tabindex='0']").count() + 2):
            page.keyboard.press("Tab")
            assert page.evaluate(FOCUS) == "", f"{name}: no outline"
        assert page.evaluate(MISSED) == [], name
    page.get_by_label("feed health").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_label("feed health")).to_be_focused()
    page.context.close()


def test_without_webgl_it_draws_and_says_so(browser: Browser, market: Stage) -> None:
    page = open_page(browser, market.url + "?2d")
    wait_for_map(page)
    expect(page.get_by_text("no WebGL2: drawn in 2D")).to_be_visible()
    page.context.close()


def test_a_page_that_has_just_come_is_not_called_old(browser: Browser, market: Stage) -> None:
    """What came with it is shown before a socket is open, and that is no silence."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, service_workers="block")
    page = context.new_page()
    page.add_init_script(OLD)
    page.goto(market.url)
    assert page.locator("script#first").count() == 1, "the page carries no picture"
    wait_for_map(page)
    expect(page.get_by_label("feed health: gap")).to_be_visible()
    assert page.evaluate("window.__old") == []
    context.close()


def test_a_silent_server_dims_the_screen_and_says_how_old_it_is(browser: Browser) -> None:
    with stage() as short:
        page = open_page(browser, short.url)
        wait_for_map(page)
        # The picture came with the page: only with a socket is there a voice to miss.
        page.get_by_label("feed health: gap").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        short.stop()
        expect(page.get_by_text("The server has been silent for")).to_be_visible()
        for _ in range(30):  # over several tries to reconnect: not one of them undims the page
            assert "stale" in (page.locator("main").get_attribute("class") or "")
            page.wait_for_timeout(100)
        health = page.get_by_label("feed health: stale")
        health.click()
        expect(page.get_by_role("dialog")).to_contain_text("how the feeds are now is not known")
        expect(page.get_by_role("dialog")).not_to_contain_text("last 0 s")
        page.context.close()
