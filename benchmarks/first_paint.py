"""First paint of the map on a throttled phone: python -m benchmarks.first_paint URL [--runs 5].

Real Chromium at 390x844 with the applied throttling of Lighthouse's mobile profile: processor 4x
slower, 1.6 Mbit/s and 150 ms of round trip (as DevTools applies them: 562 ms a request, 0.9 of the
throughput). Frames of a WebSocket that is open are not throttled by the browser. Every run starts
with empty caches. Times are ms since navigation began; `map_ms` is when the page's own picture of
the map was drawn with its colours, candles and clusters, `app_ms` the frame in which the app drew
it and the map follows fingers.

A machine that does other work besides measures that work. `map_modelled_ms` does not: it is one
request and the bytes of the page at the throttled rate, and four times the processor time that the
page's thread spends until the picture stands (thread time out of a trace, unthrottled, the app's
script held back). It leaves out the compositor's frame. `main_thread_ms` is the same processor time
over the first 7 s with the app, `longest_task_ms` its longest task; waiting for the GPU is in
neither.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
from typing import NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--no-first-run",
    "--disable-background-networking",
]
BUDGET_MS, BUDGET_SCRIPT_KB = 2000.0, 200.0
REQUEST_MS, BYTES_PER_S, SLOWER = 562.5, 1638.4 * 1024 / 8 * 0.9, 4
WAIT_MS = 30_000
TRACE_MS = 7_000
TIMES = """() => {
  const paint = performance.getEntriesByName('first-contentful-paint')[0];
  const files = performance.getEntriesByType('resource');
  const scripts = files.filter(e => e.name.endsWith('.js'));
  const script = scripts.reduce((n, e) => n + e.encodedBodySize, 0);
  const all = files.reduce((n, e) => n + e.transferSize, 0);
  const at = name => performance.getEntriesByName(name)[0]?.startTime ?? null;
  return {fcp_ms: paint ? paint.startTime : null, map_ms: at('map') ?? at('app'), app_ms: at('app'),
          script_kb: script / 1000, transferred_kb: all / 1000, requests: files.length}; }"""


def one(browser: Browser, url: str) -> dict[str, float | None]:
    """One cold visit."""
    page = phone(browser)
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    session.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": REQUEST_MS,
            "downloadThroughput": BYTES_PER_S,
            "uploadThroughput": BYTES_PER_S,
        },
    )
    page.goto(url, wait_until="commit")
    waited = 0
    while waited < WAIT_MS and not page.evaluate("performance.getEntriesByName('app').length"):
        page.wait_for_timeout(100)
        waited += 100
    times: dict[str, float | None] = page.evaluate(TIMES)
    page.context.close()
    return times


def phone(browser: Browser) -> Page:
    """A page without anything kept."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844},
        device_scale_factor=2,
        has_touch=True,
        is_mobile=True,
        service_workers="block",
    )
    return context.new_page()


class Traced(NamedTuple):
    """What the page's own thread did since navigation began, in processor time."""

    until_map_ms: float
    all_ms: float
    longest_ms: float
    page_bytes: int


def traced(browser: Browser, url: str, *, app: bool) -> Traced | None:
    """One unthrottled visit: until the page's picture stands, or with the app's script so long
    that it has taken over, `TRACE_MS` in all. None if no picture came."""
    page = phone(browser)
    if not app:
        page.route("**/assets/*.js", lambda route: route.abort())
    browser.start_tracing(page=page, categories=["toplevel", "blink.user_timing"])
    page.goto(url, wait_until="commit")
    if app:
        page.wait_for_timeout(TRACE_MS)
    for _ in range(WAIT_MS // 100):
        if page.evaluate("performance.getEntriesByName('map').length"):
            break
        page.wait_for_timeout(100)
    size = page.evaluate("performance.getEntriesByType('navigation')[0].encodedBodySize")
    events = json.loads(browser.stop_tracing())["traceEvents"]
    page.context.close()
    drawn = next((e for e in events if e["name"] == "map" and "user_timing" in e["cat"]), None)
    if drawn is None:
        return None
    # Other processes begin navigations too: the mark itself says when its own began.
    begun = drawn["args"]["data"]["callTime"] - drawn["args"]["data"]["startTime"] * 1e3
    tasks = [
        (e["ts"], e.get("tdur", 0) / 1e3)
        for e in events
        if e["name"].endswith("RunTask")
        and (e["pid"], e["tid"]) == (drawn["pid"], drawn["tid"])
        and e["ts"] >= begun
    ]
    spent = [ms for _, ms in tasks]
    until_map = sum(ms for at, ms in tasks if at <= drawn["ts"])
    return Traced(until_map, sum(spent), max(spent, default=0.0), size)


def modelled_ms(visit: Traced) -> float:
    """The whole on the phone: a request, the page's bytes, the thread four times slower."""
    return REQUEST_MS + visit.page_bytes / BYTES_PER_S * 1e3 + SLOWER * visit.until_map_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("url", help="of a running terminal with a market")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    chromium = os.environ.get("LIQFIELD_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        runs = [one(browser, options.url) for _ in range(options.runs)]
        stills = [t for _ in range(3) if (t := traced(browser, options.url, app=False))]
        whole = [t for _ in range(3) if (t := traced(browser, options.url, app=True))]
        browser.close()
    seen = [run["map_ms"] for run in runs if run["map_ms"] is not None]
    scripts = [run["script_kb"] or 0.0 for run in runs]
    median = statistics.median(seen) if len(seen) == len(runs) else None
    result = {
        "map_ms_median": median,
        "map_modelled_ms": statistics.median(modelled_ms(t) for t in stills) if stills else None,
        "map_processor_ms": [round(t.until_map_ms, 1) for t in stills],
        "main_thread_ms": [round(t.all_ms, 1) for t in whole],
        "longest_task_ms": [round(t.longest_ms, 1) for t in whole],
        "map_ms": [run["map_ms"] for run in runs],
        "app_ms": [run["app_ms"] for run in runs],
        "fcp_ms": [run["fcp_ms"] for run in runs],
        "transferred_kb": [run["transferred_kb"] for run in runs],
        "script_kb": max(scripts),
        "budget_ms": BUDGET_MS,
        "budget_script_kb": BUDGET_SCRIPT_KB,
        "met": median is not None and median < BUDGET_MS and max(scripts) < BUDGET_SCRIPT_KB,
        "load_average": os.getloadavg()[0],
        "processors": os.cpu_count(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
