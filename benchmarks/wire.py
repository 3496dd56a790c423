"""Wire bytes to the updated book, and to trades and liquidations, beside ccxt.pro and cryptofeed.

Ours: `venue.decode` and `BookSync.push` on frames as the intake hands them over: sequence check,
integer ticks, crossing check, best prices. The peers' own handlers get the same bytes.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from benchmarks import messages
from benchmarks.rows import Row, in_turns, median_us, ratio, ratio_row, row
from liqfield.book.sync import BookSync
from liqfield.model.events import BookDelta, BookSnapshot, Frame, Liquidation, Trade
from liqfield.model.instrument import Instrument
from liqfield.venues.binance import Binance

# levels of a diff -> (messages a round, least ratio to ccxt.pro, to cryptofeed)
DEPTHS = {10: (2000, 20.0, 12.0), 50: (1000, 30.0, 30.0), 270: (300, 45.0, 45.0)}
TRADES_A_ROUND, TRADES_RATIO = 2000, 35.0
ROUNDS = 7

INSTRUMENT = Instrument(
    id=f"binance:{messages.SYMBOL}",
    venue="binance",
    symbol=messages.SYMBOL,
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick_decimals=messages.TICK_DECIMALS,
)


class Contender(Protocol):
    name: str

    def prepare(self, payloads: Sequence[bytes]) -> Sequence[Any]: ...
    def play(self, prepared: Sequence[Any]) -> None: ...
    def best(self) -> tuple[float, float]: ...
    def last_trade(self) -> tuple[float, float]: ...
    def last_liquidation(self) -> tuple[float, float]: ...


class Ours:
    """The venue's decoder and the synchronised ladder."""

    name = "liqfield"

    def __init__(self) -> None:
        self._venue = Binance()
        self._known = {INSTRUMENT.id: INSTRUMENT}
        self._sync = BookSync(INSTRUMENT.id, self._venue.book_rule)
        self._newest: object = None
        source = f"rest:/fapi/v1/depth?symbol={messages.SYMBOL}"
        frame = Frame("binance", source, 1, messages.snapshot())
        (event,) = self._venue.decode(frame, self._known)
        assert isinstance(event, BookSnapshot)
        self._sync.push(event)

    def prepare(self, payloads: Sequence[bytes]) -> list[Frame]:
        return [Frame("binance", "ws:/public/stream#books", 1, data) for data in payloads]

    def play(self, prepared: Sequence[Frame]) -> None:
        decode, push, known = self._venue.decode, self._sync.push, self._known
        for frame in prepared:
            for event in decode(frame, known):
                if type(event) is BookDelta:
                    push(event)
                else:
                    self._newest = event

    def best(self) -> tuple[float, float]:
        ladder = self._sync.ladder
        assert ladder is not None, "the book was lost"
        assert ladder.best_bid is not None
        assert ladder.best_ask is not None
        return INSTRUMENT.price_usd(ladder.best_bid), INSTRUMENT.price_usd(ladder.best_ask)

    def last_trade(self) -> tuple[float, float]:
        assert isinstance(self._newest, Trade)
        return self._newest.price, self._newest.quantity

    def last_liquidation(self) -> tuple[float, float]:
        assert isinstance(self._newest, Liquidation)
        return self._newest.price, self._newest.quantity


def peers() -> list[type[Contender]]:
    """Those that are installed: `make bench` brings both."""
    from benchmarks.peers import CcxtPro, Cryptofeed

    found: list[type[Contender]] = []
    found += [CcxtPro] if importlib.util.find_spec("ccxt") else []
    found += [Cryptofeed] if importlib.util.find_spec("cryptofeed") else []
    return found


def _race(
    payloads: Sequence[bytes], a_round: int, rounds: int, seen: Callable[[Contender], object]
) -> dict[str, list[float]]:
    """CPU seconds a message by contender and round; all must have seen the same at the end."""
    kinds: list[type[Contender]] = [Ours, *peers()]
    contenders = [kind() for kind in kinds]
    prepared = {one.name: one.prepare(payloads) for one in contenders}

    def part(one: Contender) -> Callable[[int], None]:
        mine = prepared[one.name]
        return lambda n: one.play(mine[n * a_round : (n + 1) * a_round])

    taken = in_turns({one.name: part(one) for one in contenders}, rounds)
    results = {one.name: seen(one) for one in contenders}
    assert len(set(results.values())) == 1, f"they do not agree: {results}"
    return {name: [s / a_round for s in spent] for name, spent in taken.items()}


def _rows(name: str, taken: dict[str, list[float]], least: dict[str, float]) -> list[Row]:
    ours = taken.pop(Ours.name)
    made = [row(name, median_us(ours), "us", None)]
    for peer, theirs in taken.items():
        times = ratio(theirs, ours)
        made.append(ratio_row(name, median_us(theirs), "us", peer, times, least.get(peer)))
    return made


async def _all(quick: bool) -> list[Row]:
    # ccxt's client makes futures, which belong to a loop; nothing is awaited.
    made: list[Row] = []
    rounds = 2 if quick else ROUNDS
    for levels, (a_round, ccxt, cryptofeed) in DEPTHS.items():
        count = 20 if quick else a_round
        payloads = messages.depth_diffs(count * (rounds + 1), levels)
        taken = _race(payloads, count, rounds, lambda one: one.best())
        least = {"ccxt.pro": ccxt, "cryptofeed": cryptofeed}
        made += _rows(f"wire to book, Binance diff of {levels} levels", taken, least)
    count = 20 if quick else TRADES_A_ROUND
    kinds: list[tuple[str, list[bytes], Callable[[Contender], object]]] = [
        ("trade decoded", messages.trades(count * (rounds + 1)), lambda one: one.last_trade()),
        (
            "liquidation decoded",
            messages.liquidations(count * (rounds + 1)),
            lambda one: one.last_liquidation(),
        ),
    ]
    for name, payloads, seen in kinds:
        made += _rows(name, _race(payloads, count, rounds, seen), {"ccxt.pro": TRADES_RATIO})
    return made


def rows(*, quick: bool = False) -> list[Row]:
    return asyncio.run(_all(quick))


if __name__ == "__main__":
    for line in rows():
        print(line)
