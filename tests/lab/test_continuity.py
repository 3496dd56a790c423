"""A terminal stopped during its back-fill and started again, with imports behind it.

Real feeds against a built-in venue server that counts what it is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import zstandard

from liqfield.app.pipeline import Pipeline
from liqfield.app.settings import Settings
from liqfield.app.terminal import Terminal
from liqfield.density.estimator import DensityEstimator
from liqfield.engine.engine import Engine
from liqfield.lab.market import LabMarket
from liqfield.lab.market_setup import demo_spec
from liqfield.lab.servers.desk import Reply
from liqfield.lab.servers.servers import LabServers
from liqfield.model.durations import DAY_NS
from liqfield.model.events import Candle, MarketEvent, OpenInterest, Record
from liqfield.model.sides import CandleOf
from liqfield.store.frames import read_records, recording_files
from liqfield.store.history import HistoryStore
from liqfield.venues import registry

OKX = "okx:BTC-USDT-SWAP"
STEP_NS = 300_000_000_000
HOURS = 2.5
DAYS = 3
PAGES = ("history-candles", "history-mark-price-candles", "open-interest-history")


class Page(NamedTuple):
    """A request for some of the past, up to `upto_ms`."""

    path: str
    query: tuple[tuple[str, str], ...]
    upto_ms: int


class CountingVenue:
    """OKX on loopback. asked: pages of the past; `answers` more get one, the others hang."""

    def __init__(self) -> None:
        now_ns = time.time_ns()
        spec = msgspec.structs.replace(
            demo_spec(now_ns, ("BTC",)), history_h=3.0, accounts_per_instrument=200
        )
        self.market = LabMarket(spec, 3)
        self.servers = LabServers(self.market, ("okx",))
        self.asked: list[Page] = []
        self.answers = 2
        desk = self.servers.servers["okx"].desk
        answer = desk.rest

        def rest(path: str, query: dict[str, str], body: bytes) -> Reply | None:
            if path.endswith(PAGES) and {"after", "begin"} & query.keys():
                upto_ms = int(query.get("after", query.get("end", "0")))
                self.asked.append(Page(path, tuple(sorted(query.items())), upto_ms))
                self.answers -= 1
                if self.answers < 0:
                    return None  # the program is stopped meanwhile
            return answer(path, query, body)

        desk.rest = rest  # type: ignore[method-assign]

    def new(self) -> list[Page]:
        """What was asked since the last call."""
        asked, self.asked = self.asked, []
        return asked


def import_days(folder: Path, market: LabMarket, until_ns: int) -> None:
    """Three days before `until_ns`'s day ends, at the market's price and open interest."""
    history = market.history(OKX)
    price, coins = float(history.mark[0, 0]), float(history.open_interest[0])
    events: list[MarketEvent] = []
    end_ns = until_ns // DAY_NS * DAY_NS
    for n, at in enumerate(range(end_ns - DAYS * DAY_NS + STEP_NS, end_ns + 1, STEP_NS)):
        close = price * (1.0 + 0.004 * ((n // 7) % 5 - 2))
        row = (close, close * 1.001, close * 0.999, close)
        for of, volume in ((CandleOf.MARK, 0.0), (CandleOf.LAST, 0.01 * coins)):
            events.append(Candle(OKX, at, at, of, STEP_NS, *row, volume, 0.5 * volume))
        events.append(OpenInterest(OKX, at, at, coins * (1.0 + 0.01 * (n % 3)), close))
    store = HistoryStore(folder / "history")
    store.commit(store.write("made/here.csv", "1", OKX, events))


async def run_terminal(
    folder: Path, address: tuple[str, str], enough: Callable[[Terminal], bool]
) -> Terminal:
    settings = Settings(
        markets=("BTC",), venues=("okx",), data_dir=str(folder), backfill_h=HOURS, archive_days=30.0
    )
    terminal = Terminal(settings, "live", folder)
    task = asyncio.create_task(terminal.feed({"okx": address}))
    try:
        async with asyncio.timeout(60.0):
            while not enough(terminal):
                assert not task.done(), task.result()
                await asyncio.sleep(0.02)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        terminal.close()
    return terminal


def is_live(terminal: Terminal) -> bool:
    market = terminal.pipeline.engine.markets.get("BTC")
    state = market.instruments.get(OKX) if market else None
    return state is not None and state.last is not None and state.sync.ladder is not None


def pages_kept(folder: Path) -> int:
    """Replies but the settled funding's: within the stretch there is one a few hours of the day."""
    kept = list((folder / "backfill").rglob("*.reply"))
    texts = [zstandard.ZstdDecompressor().decompress(path.read_bytes()) for path in kept]
    return sum(b"fundingRate" not in text for text in texts)


def density(engine: Engine) -> DensityEstimator:
    return engine.markets["BTC"].instruments[OKX].density


def replayed(records: list[Record]) -> Engine:
    venues = registry.make(("okx",))
    engine = Engine({n: v.book_rule for n, v in venues.items()}, frozenset({"BTC"}))
    Pipeline(engine, venues).consume(records)
    return engine


async def three_starts(folder: Path) -> dict[str, object]:
    venue = CountingVenue()
    import_days(folder, venue.market, time.time_ns() - int(HOURS * 3.6e12))
    addresses = await venue.servers.start()
    market = asyncio.create_task(venue.servers.run())
    found: dict[str, object] = {}
    try:
        await run_terminal(folder, addresses["okx"], lambda _: pages_kept(folder) == 2)
        found["first"] = venue.new()
        venue.answers = 1_000
        newest = max(file.stem for file in recording_files(folder / "frames"))
        terminal = await run_terminal(folder, addresses["okx"], is_live)
        found["second"], found["terminal"] = venue.new(), terminal
        (folder / "second").mkdir()
        for file in recording_files(folder / "frames"):
            if file.stem > newest:  # by then the first one's may be packed
                shutil.copy(file, folder / "second")
        await run_terminal(folder, addresses["okx"], is_live)
        found["third"] = venue.new()
    finally:
        market.cancel()
        await asyncio.gather(market, return_exceptions=True)
        await venue.servers.stop()
    return found


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("continuity")
    return folder, asyncio.run(three_starts(folder))


def asked(starts: dict[str, object], name: str) -> list[Page]:
    found = starts[name]
    assert isinstance(found, list)
    return found


def test_a_stopped_back_fill_goes_on(starts: tuple[Path, dict[str, object]]) -> None:
    _, found = starts
    first, second, third = (asked(found, name) for name in ("first", "second", "third"))
    assert len(first) == len(set(first)) == 4
    stopped_ms = max(page.upto_ms for page in first)
    # What hung is asked for once more, what was answered is not; then what is new since.
    again = [page for page in second if page in first]
    assert len(again) == len(set(again)) == 2
    assert not set(again) & set(first[:2])
    new = [page for page in second if page not in first]
    assert sorted(page.path.rpartition("/")[2] for page in new) == sorted(PAGES)
    assert all(page.upto_ms > stopped_ms for page in new)
    assert not set(third) & set(first), "the stretch of the first start is whole"
    assert len(third) == 3, "what is new is one page a kind again: so short a stretch is not kept"


def test_the_past_is_whole_after_a_stop(starts: tuple[Path, dict[str, object]]) -> None:
    _, found = starts
    terminal = found["terminal"]
    assert isinstance(terminal, Terminal)
    state = terminal.pipeline.engine.markets["BTC"].instruments[OKX]
    minutes = [at for at, _ in state.closes if at % 60_000_000_000 == 0]
    # The newest minutes lie between back-fill and first trade; the oldest are imported.
    steps = [b - a for a, b in pairwise(minutes)][-140:-3]
    assert set(steps) == {60_000_000_000}, "no minute is missing or twice"
    assert not terminal.pipeline.decode_errors
    assert not terminal.replies.problem


def test_a_live_run_with_imports_is_its_replay(starts: tuple[Path, dict[str, object]]) -> None:
    folder, found = starts
    terminal = found["terminal"]
    assert isinstance(terminal, Terminal)
    live = terminal.pipeline.engine
    assert live.events["ImportedPast"] == DAYS
    records = list(read_records(folder / "second"))
    again = replayed(records)
    assert again.digest() == live.digest()
    assert again.events == live.events
    bare = replayed([r for r in records if not r.source.startswith("import:")])
    assert bare.digest() != live.digest()
    assert density(live).trust.turned > density(bare).trust.turned + 3.0, "OI, replaced once each"
