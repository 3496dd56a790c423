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
from liqfield.venues.bybit import Bybit
from liqfield.venues.contract import Venue
from liqfield.venues.okx import Okx

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
    @property
    def name(self) -> str: ...

    def prepare(self, payloads: Sequence[bytes]) -> Sequence[Any]: ...
    def play(self, prepared: Sequence[Any]) -> None: ...
    def best(self) -> tuple[float, float]: ...
    def last_trade(self) -> tuple[float, float]: ...
    def last_liquidation(self) -> tuple[float, float]: ...


class Ours:
    """The venue's decoder and the synchronised ladder."""

    name = "liqfield"

    def __init__(self, venue: Venue, of: Instrument, source: str) -> None:
        self._venue, self._source = venue, source
        self._known = {of.id: of}
        self._sync = BookSync(of.id, venue.book_rule)
        self._newest: object = None

    def begin(self, source: str, snapshot: bytes) -> Ours:
        """With a book."""
        (event,) = self._venue.decode(Frame(self._venue.name, source, 1, snapshot), self._known)
        assert isinstance(event, BookSnapshot)
        self._sync.push(event)
        return self

    def prepare(self, payloads: Sequence[bytes]) -> list[Frame]:
        return [Frame(self._venue.name, self._source, 1, data) for data in payloads]

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


def ours_on_binance() -> Ours:
    ours = Ours(Binance(), INSTRUMENT, "ws:/public/stream#books")
    return ours.begin(f"rest:/fapi/v1/depth?symbol={messages.SYMBOL}", messages.snapshot())


def on_binance() -> list[Contender]:
    """Us and those peers that are installed: `make bench` brings both."""
    from benchmarks.peers import CcxtPro, Cryptofeed

    found: list[Contender] = [ours_on_binance()]
    found += [CcxtPro()] if importlib.util.find_spec("ccxt") else []
    found += [Cryptofeed()] if importlib.util.find_spec("cryptofeed") else []
    return found


def elsewhere(venue: Venue, symbol: str, exchange: str) -> list[Contender]:
    """Us and ccxt.pro on trades of another exchange."""
    from benchmarks.peers import CcxtTrades

    path = "/v5/public/linear" if exchange == "bybit" else "/ws/v5/public"
    of = Instrument(
        id=f"{venue.name}:{symbol}",
        venue=venue.name,
        symbol=symbol,
        base="BTC",
        quote="USDT",
        settle="USDT",
        tick_decimals=messages.TICK_DECIMALS,
    )
    found: list[Contender] = [Ours(venue, of, f"ws:{path}#trades")]
    if importlib.util.find_spec("ccxt"):
        found.append(CcxtTrades(exchange, f"wss://{exchange}{path}", symbol))
    return found


def _race(
    contenders: Sequence[Contender],
    payloads: Sequence[bytes],
    a_round: int,
    rounds: int,
    seen: Callable[[Contender], object],
) -> dict[str, list[float]]:
    """CPU seconds a message by contender and round; all must have seen the same at the end."""
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
        taken = _race(on_binance(), payloads, count, rounds, lambda one: one.best())
        least = {"ccxt.pro": ccxt, "cryptofeed": cryptofeed}
        made += _rows(f"wire to book, Binance diff of {levels} levels", taken, least)
    count = 20 if quick else TRADES_A_ROUND
    total = count * (rounds + 1)
    bybit, okx = (Bybit(), messages.SYMBOL, "bybit"), (Okx(), messages.OKX_SYMBOL, "okx")
    kinds: list[tuple[str, list[bytes], list[Contender]]] = [
        ("trade decoded", messages.trades(total), on_binance()),
        ("trade of Bybit decoded", messages.bybit_trades(total), elsewhere(*bybit)),
        ("trade of OKX decoded", messages.okx_trades(total), elsewhere(*okx)),
    ]
    ratios = {"ccxt.pro": TRADES_RATIO}
    for name, payloads, contenders in kinds:
        taken = _race(contenders, payloads, count, rounds, lambda one: one.last_trade())
        made += _rows(name, taken, ratios)
    payloads = messages.liquidations(total)
    taken = _race(on_binance(), payloads, count, rounds, lambda one: one.last_liquidation())
    return made + _rows("liquidation decoded", taken, ratios)


def rows(*, quick: bool = False) -> list[Row]:
    return asyncio.run(_all(quick))


if __name__ == "__main__":
    for line in rows():
        print(line)
