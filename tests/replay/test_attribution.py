"""On real traffic every change of every level is additions, fills and cancellations, exactly.

Sizes are whole lots, so the law is checked in integers: no tolerance.
"""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest

from liqfield.app.pipeline import Pipeline
from liqfield.app.terminal import infer_instruments
from liqfield.book.ladder import ASK, BID, Ladder
from liqfield.book.sync import BookSync
from liqfield.engine.engine import Engine
from liqfield.model.events import BookDelta, BookSnapshot, Event, Frame, Trade
from liqfield.model.instrument import Instrument
from liqfield.model.sides import Aggressor, TradeKind
from liqfield.store.foreign import open_recording
from liqfield.venues import registry
from tests.support import TapedAttribution

Level = tuple[int, int]


class Ledger:
    """One instrument's book and its attribution, every level watched and counted in lots."""

    def __init__(self, instrument: Instrument, sync: BookSync, lot: float) -> None:
        self.instrument, self.sync, self.lot = instrument, sync, lot
        self.attribution = TapedAttribution()
        self.start: Counter[Level] = Counter()
        self.cells: dict[Level, list[int]] = {}
        self.traded = self.judged = 0
        for key in range(2 * 4_096):  # two a cell stand for every level there
            self.attribution.watch(key, 1)

    def lots(self, coins: float) -> int:
        count = coins / self.lot
        assert abs(count - round(count)) < 1e-3, f"{coins} is not whole lots of {self.lot}"
        return round(count)

    def add(self, level: Level, added: float, filled: float, cancelled: float) -> None:
        cell = self.cells.setdefault(level, [0, 0, 0])
        for k, coins in enumerate((added, filled, cancelled)):
            cell[k] += self.lots(coins)

    def trade(self, event: Trade) -> None:
        if self.attribution.at_ns < 0 or event.kind is not TradeKind.MARKET:
            return
        self.traded += self.lots(event.quantity)
        is_ask = int(event.aggressor is Aggressor.BUY)
        tick = self.instrument.price_ticks(event.price)
        self.attribution.trade(tick, is_ask, event.quantity, event.event_ns)

    def book(self, event: BookSnapshot | BookDelta) -> None:
        ladder = self.sync.ladder
        self.sync.push(event)
        now = self.sync.ladder
        assert now is not None or ladder is None, "the recording has no losses"
        if now is None:
            return
        if ladder is None or not isinstance(event, BookDelta):
            self.attribution.restart(self.sync.event_ns)
            self.start = _lots_of(now, self)
            return
        assert now.best_bid is not None
        assert now.applied is event.levels, "the recording has no repeats"
        told = self.attribution
        told.delta(event.levels, now.before, event.event_ns, float(now.best_bid))
        for t in told.touches():
            self.judged += 1
            self.add((t.is_ask, t.tick), max(t.after - t.before, 0.0), t.filled, t.cancelled)
        for one in told.explained():
            level = (one.key & 1, one.key >> 1)
            self.add(level, one.refilled, one.refilled + one.moved, -one.moved)


def _lots_of(ladder: Ladder, ledger: Ledger) -> Counter[Level]:
    found: Counter[Level] = Counter()
    for side in (BID, ASK):
        for tick, coins in zip(*ladder.levels(side), strict=True):
            found[(side, int(tick))] = ledger.lots(float(coins))
    return found


def _ledgers(path: Path, lots: dict[str, float], limit: int | None) -> dict[str, Ledger]:
    """Fold a recording into a ledger an instrument that has a lot here."""
    venues = registry.make()
    engine = Engine({name: venue.book_rule for name, venue in venues.items()})
    pipeline = Pipeline(engine, venues)
    ledgers: dict[str, Ledger] = {}
    records = list(itertools.islice(open_recording(path), limit))
    infer_instruments(pipeline, records)
    for record in records:
        if not isinstance(record, Frame):
            continue
        events: list[Event] = list(venues[record.venue].decode(record, engine.instruments))
        for event in events:
            key = getattr(event, "instrument_id", "")
            if hasattr(event, "instrument"):
                engine.step(event)
            if key not in lots:
                continue
            if key not in ledgers:
                of = engine.instruments[key]
                sync = BookSync(key, venues[of.venue].book_rule)
                ledgers[key] = Ledger(of, sync, lots[key])
            if isinstance(event, Trade):
                ledgers[key].trade(event)
            elif isinstance(event, BookSnapshot | BookDelta):
                ledgers[key].book(event)
    return ledgers


@pytest.mark.parametrize(
    ("name", "lots", "limit", "least"),
    [
        ("binance_usdm/btcusdt_20240808.gz", {"binance:BTCUSDT": 0.001}, 20_000, 20_000),
        pytest.param(
            "binance_usdm/btcusdt_20240808.gz",
            {"binance:BTCUSDT": 0.001},
            None,
            100_000,
            marks=pytest.mark.soak,
        ),
        (
            "bybit/bybit_v5_20260809.jsonl.zst",
            {"bybit:BTCUSDT": 0.001, "bybit:ETHUSDT": 0.01, "bybit:SOLUSDT": 0.1},
            None,
            1_000,
        ),
    ],
)
def test_additions_less_fills_less_cancellations_is_the_change_exactly(
    shared_data: Path, name: str, lots: dict[str, float], limit: int | None, least: int
) -> None:
    ledgers = _ledgers(shared_data / "data/recordings" / name, lots, limit)
    assert sorted(ledgers) == sorted(lots)
    for key, ledger in ledgers.items():
        ladder = ledger.sync.ladder
        assert ladder is not None
        now = _lots_of(ladder, ledger)
        assert ledger.judged > least, key
        for level, (added, filled, cancelled) in ledger.cells.items():
            assert added - filled - cancelled == now[level] - ledger.start[level], (key, level)
            assert min(added, filled, cancelled) >= 0, (key, level)
        untouched = (set(now) | set(ledger.start)) - set(ledger.cells)
        assert all(now[level] == ledger.start[level] for level in untouched)
        # Every coin that traded was a fill, or still waits for its message.
        filled = sum(cell[1] for cell in ledger.cells.values())
        waiting = ledger.lots(ledger.attribution.pending)
        assert filled + waiting + ledger.attribution.dropped == ledger.traded
        totals = ledger.attribution.totals.sum(axis=(0, 1))
        for k in range(3):
            assert ledger.lots(float(totals[k])) == sum(c[k] for c in ledger.cells.values())
        assert filled > 0
