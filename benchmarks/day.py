"""A day of BTC on one venue, of which an hour is replayed from end to end.

    PYTHONPATH=src python -m benchmarks.day [--seconds 3600] [--passes 3] RECORDING

RECORDING: Binance's diffs and trades with a snapshot of the book. They are told over and over until
the stretch has its share of a day's DIFFS and TRADES: times are stretched to a day's pace, ids go
on, prices go on from where they were, and between two turns one more diff makes the book what it
was at the beginning, moved along. Trades are repeated, or left out, evenly, to come to twice the
diffs. The recording's quotes are left out; it states neither marks nor open interest: a mark a
second and an open interest every ten make the map move, at the price of the last trade.

Every message goes through a new pipeline in order of time, as a replay does: decoded, folded and
read off by everything, nothing counted apart, the caches as cold as they are in a replay. `cpu_s`
is process CPU time of each pass, `day_s` what a whole day takes at the pace of the middle one. On a
machine with other work `quiet_day_s` is nearer to what the code costs: every second of the stretch
counts as in the pass in which it was least disturbed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.analytics import DIFFS, OPEN_INTEREST, TRADES, listed
from liqfield.app.pipeline import Pipeline
from liqfield.engine.engine import Engine
from liqfield.model.events import Frame, MarkPrice, OpenInterest
from liqfield.model.instrument import Instrument
from liqfield.store.foreign import open_recording
from liqfield.venues import registry

DAY_S = 86_400
S, MS = 1_000_000_000, 1_000_000
WARM_S = 30  # on an engine of its own: kernels are compiled or loaded
Sides = tuple[dict[int, str], dict[int, str]]  # hundredths of a dollar -> coins as written


class Told(msgspec.Struct):
    """What a recording tells: the book that its first diff continues, then diffs and trades."""

    snapshot: Frame
    start: Sides
    end: Sides
    frames: list[Frame]
    prices: tuple[int, int]  # of the first and the last trade, hundredths
    length_ns: int


def cents(text: str) -> int:
    """Binance writes prices of BTC with two decimals."""
    whole, _, part = text.partition(".")
    if len(part) != 2:
        raise ValueError(f"a price of other decimals: {text}")
    return int(whole + part)


def written(price: int) -> str:
    return f"{price // 100}.{price % 100:02d}"


def _written(levels: Sequence[tuple[int, str]]) -> list[tuple[str, str]]:
    """A price that fell all day passes the lowest bids: they are no prices any more."""
    return [(written(price), coins) for price, coins in levels if price > 0]


def read(records: Sequence[object]) -> Told:
    """From the first diff that continues the snapshot on."""
    frames = [record for record in records if isinstance(record, Frame)]
    snapshot = next(frame for frame in frames if frame.source.startswith("rest:"))
    reply = msgspec.json.decode(snapshot.payload)
    book: Sides = ({}, {})
    for side, name in enumerate(("bids", "asks")):
        book[side].update((cents(price), coins) for price, coins in reply[name])
    start: Sides = ({}, {})
    kept: list[Frame] = []
    first = last = 0
    for frame in frames:
        data = msgspec.json.decode(frame.payload).get("data", {})
        kind = data.get("e")
        if kind == "trade" and kept:
            kept.append(frame)
            last = cents(data["p"])
            first = first or last
        elif kind == "depthUpdate" and data["u"] >= reply["lastUpdateId"]:
            if not kept:
                start = dict(book[0]), dict(book[1])
            kept.append(frame)
            for side, name in enumerate(("b", "a")):
                _apply(book[side], data[name])
    length_ns = kept[-1].received_ns - kept[0].received_ns
    return Told(snapshot, start, book, kept, (first, last), length_ns)


def _apply(side: dict[int, str], changes: Sequence[tuple[str, str]]) -> None:
    for price, coins in changes:
        if float(coins):
            side[cents(price)] = coins
        else:
            side.pop(cents(price), None)


class Teller:
    """Writes the messages anew."""

    def __init__(self, told: Told) -> None:
        self.told = told
        first = msgspec.json.decode(told.frames[0].payload)["data"]
        self._sequence = first["u"]
        self._trade = 0
        self.shift = 0  # of prices, hundredths
        self.diffs = self.trades = 0

    def snapshot(self, now_ns: int) -> Frame:
        """The reply that the first diff continues."""
        told = self.told
        reply = msgspec.json.decode(told.snapshot.payload)
        reply["lastUpdateId"] = self._sequence
        reply["E"] = reply["T"] = now_ns // MS
        return Frame(told.snapshot.venue, told.snapshot.source, now_ns, msgspec.json.encode(reply))

    def bridge(self, like: Frame, now_ns: int) -> Frame:
        """A diff from the book at the end of a turn to that of the beginning, where the price is
        now."""
        message = msgspec.json.decode(like.payload)
        first, last = self.told.prices
        before, self.shift = self.shift, self.shift + last - first
        for side, name in enumerate(("b", "a")):
            old = {price + before for price in self.told.end[side]}
            new = {price + self.shift: coins for price, coins in self.told.start[side].items()}
            changes = dict.fromkeys(old - new.keys(), "0.000") | new
            message["data"][name] = _written(sorted(changes.items()))
        return self._diff(like, message, now_ns)

    def tell(self, frame: Frame, now_ns: int) -> Frame:
        """One message, moved in time and price."""
        message = msgspec.json.decode(frame.payload)
        data = message["data"]
        if data["e"] == "trade":
            self.trades += 1
            self._trade += 1
            data["t"], data["p"] = self._trade, written(cents(data["p"]) + self.shift)
            data["E"] = data["T"] = now_ns // MS
            return Frame(frame.venue, frame.source, now_ns, msgspec.json.encode(message))
        if self.shift:
            for name in ("b", "a"):
                data[name] = _written([(cents(p) + self.shift, coins) for p, coins in data[name]])
        return self._diff(frame, message, now_ns)

    def _diff(self, frame: Frame, message: dict[str, dict[str, object]], now_ns: int) -> Frame:
        data = message["data"]
        self.diffs += 1
        data["pu"], data["U"], self._sequence = (
            self._sequence,
            self._sequence + 1,
            (self._sequence + 10),
        )
        data["u"], data["E"], data["T"] = self._sequence, now_ns // MS, now_ns // MS
        return Frame(frame.venue, frame.source, now_ns, msgspec.json.encode(message))


def stretch(told: Told, seconds: int, teller: Teller) -> Iterator[Frame]:
    """The messages of so many seconds of a day, in order of time."""
    diffs = [frame for frame in told.frames if b'"depthUpdate"' in frame.payload]
    trades = len(told.frames) - len(diffs)
    slower = (len(diffs) + 1) / DIFFS * DAY_S * S / told.length_ns  # than it was recorded
    begun_ns = told.frames[0].received_ns
    share = TRADES / DIFFS * (len(diffs) + 1) / trades  # how often each trade is told
    yield teller.snapshot(begun_ns)
    turn = 0
    while True:
        due = 0.0
        for frame in told.frames:
            past_ns = turn * (told.length_ns + 1) + frame.received_ns - told.frames[0].received_ns
            now_ns = begun_ns + int(past_ns * slower)
            if now_ns >= begun_ns + seconds * S:
                return
            if frame is told.frames[0] and turn:
                yield teller.bridge(frame, now_ns)
            if b'"depthUpdate"' in frame.payload:
                yield teller.tell(frame, now_ns)
                continue
            due += share
            while due >= 1.0:
                due -= 1.0
                yield teller.tell(frame, now_ns)
        turn += 1


def replay(records: Sequence[Frame], listing: Sequence[Instrument]) -> tuple[list[int], Pipeline]:
    """CPU ns of every second through a new pipeline, and what is left of it."""
    venues = registry.make()
    engine = Engine({name: venue.book_rule for name, venue in venues.items()})
    for instrument in listing:
        engine.list(instrument)
    pipeline = Pipeline(engine, venues)
    market = engine.markets[listing[0].base]
    state = market.instruments[listing[0].id]
    took: list[int] = []
    second, part = 0, list[Frame]()
    started = time.process_time_ns()
    for record in records:
        if record.received_ns // S != second:
            pipeline.consume(part)
            now = time.process_time_ns()
            took.append(now - started)
            started = now
            second, part = record.received_ns // S, []
            if state.last is not None:
                key, now_ns = state.instrument.id, second * S
                engine.step(MarkPrice(key, now_ns, now_ns, state.last.price))
                if second % 10 == 0:
                    coins = OPEN_INTEREST + second // 10 % 7
                    engine.step(OpenInterest(key, now_ns, now_ns, coins))
        part.append(record)
    pipeline.consume(part)
    took.append(time.process_time_ns() - started)
    return took, pipeline


def main() -> None:
    """Print one JSON row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("recording", type=Path)
    chosen = parser.parse_args()
    records = list(open_recording(chosen.recording))
    told = read(records)
    listing = listed(records[:4_000])
    teller = Teller(told)
    frames = list(stretch(told, chosen.seconds, teller))
    replay([f for f in frames if f.received_ns < frames[0].received_ns + WARM_S * S], listing)
    took: list[list[int]] = []
    for _ in range(chosen.passes):
        seconds, pipeline = replay(frames, listing)
        took.append(seconds)
    totals = [sum(seconds) / 1e9 for seconds in took]
    quiet_s = sum(map(min, zip(*took, strict=True))) / 1e9
    days = DAY_S / chosen.seconds
    (market,) = pipeline.engine.markets.values()
    (state,) = market.instruments.values()
    of = market.analytics.flow
    row = {
        "seconds": chosen.seconds,
        "diffs": teller.diffs,
        "trades": teller.trades,
        "books_lost": state.sync.losses,
        "decode_errors": pipeline.decode_errors,
        "levels": [len(state.sync.ladder.levels(side)[0]) for side in (0, 1)]
        if state.sync.ladder
        else [],
        "moved": state.last.price * 100.0 / told.prices[0] - 1.0 if state.last else 0.0,
        "clusters": len(of.clusters),
        "walls": len(market.walls()),
        "events": len(market.flow_events()),
        "cpu_s": totals,
        "day_s": statistics.median(totals) * days,
        "quiet_day_s": quiet_s * days,
    }
    sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")


if __name__ == "__main__":
    main()
