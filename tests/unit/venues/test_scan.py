"""The byte scanner against the typed JSON decoder: the same events or the same refusal, always."""

from __future__ import annotations

import functools
import gc
import importlib.util
import itertools
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from liqfield.model.errors import DecodeError
from liqfield.model.events import (
    BookDelta,
    BookLevels,
    BookSnapshot,
    Event,
    Frame,
    Listing,
    Trade,
)
from liqfield.model.instrument import Instrument
from liqfield.model.native import native
from liqfield.model.sides import Aggressor, PositionSide, PriceKind
from liqfield.store.foreign import open_recording
from liqfield.venues import scan as fast_module
from liqfield.venues import scan_kernels as kernels
from liqfield.venues.binance import Binance
from liqfield.venues.binance_coinm import BinanceCoinM
from liqfield.venues.bybit import Bybit
from liqfield.venues.bybit_inverse import BybitInverse
from liqfield.venues.okx import Okx
from tests.support import INSTRUMENTS

Level = tuple[str, str]
Shape = Callable[[str, list[Level], list[Level], int], dict[str, Any]]
SOURCES = {
    "binance": "ws:/public/ws#books",
    "binance-coinm": "ws:/ws#books",
    "bybit": "ws:/v5/public/linear#books",
    "bybit-inverse": "ws:/v5/public/inverse#books",
    "okx": "ws:/ws/v5/public#books",
}


class NeverScans:
    """Everything is left to JSON."""

    def scan(self, payload: bytes, got_ns: int, instruments: Mapping[str, Instrument]) -> None:
        return None


KINDS: tuple[type[Binance | Bybit | Okx], ...] = (Binance, BinanceCoinM, Bybit, BybitInverse, Okx)
FAST = {kind.name: kind() for kind in KINDS}
SLOW = {kind.name: kind() for kind in KINDS}
for slow in SLOW.values():
    slow._scanner = NeverScans()  # type: ignore[assignment]


def binance(symbol: str, bids: list[Level], asks: list[Level], n: int) -> dict[str, Any]:
    variants: list[dict[str, Any]] = [{}, {"ps": symbol, "st": 1}, {"ps": symbol}, {"st": 2}]
    data = {
        "e": "depthUpdate",
        "E": n,
        "T": n + 1,
        "s": symbol,
        **variants[n % 4],
        "U": n,
        "u": n + 5,
    }
    return {**data, "pu": n - 1, "b": bids, "a": asks}


def combined(symbol: str, bids: list[Level], asks: list[Level], n: int) -> dict[str, Any]:
    stream = ("depth@100ms", "depth@0ms", "depth5@100ms", "depth")[n // 4 % 4]
    return {"stream": f"btcusdt@{stream}", "data": binance(symbol, bids, asks, n)}


def bybit(symbol: str, bids: list[Level], asks: list[Level], n: int) -> dict[str, Any]:
    depth, kind = (200, 200, 50, 1)[n % 4], ("delta", "snapshot")[n // 4 % 2]
    data = {"s": symbol, "b": bids, "a": asks, "u": n % 9, "seq": n}
    return {"topic": f"orderbook.{depth}.{symbol}", "type": kind, "ts": n, "data": data, "cts": n}


def okx(symbol: str, bids: list[Level], asks: list[Level], n: int) -> dict[str, Any]:
    rows = [[[*level, "0", str(n % 7)] for level in side] for side in (asks, bids)]
    ids = {"prevSeqId": n - 1, "seqId": n} if n % 2 else {}
    data = {"asks": rows[0], "bids": rows[1], "ts": str(n), "checksum": -n, **ids}
    action = ("update", "snapshot")[n // 2 % 2]
    return {"arg": {"channel": "books", "instId": symbol}, "action": action, "data": [data]}


def _on_stream(stream: str, data: dict[str, Any], n: int) -> dict[str, Any]:
    """Every other one on a combined stream."""
    return {"stream": f"btcusdt@{stream}", "data": data} if n % 2 else data


def _first(levels: list[Level]) -> Level:
    return levels[0] if levels else ("7.5", "0.25")


def aggregate(symbol: str, bids: list[Level], asks: list[Level], n: int) -> dict[str, Any]:
    price, size = _first(bids)
    names: dict[str, Any] = {"s": symbol, "a": n}
    names = names if n // 2 % 2 else dict(reversed(names.items()))
    net: list[dict[str, Any]] = [{}, {"nq": size}]
    late: list[dict[str, Any]] = [{}, {"st": 1}, {"st": 2}]
    data = {"e": "aggTrade", "E": n, **names, "p": price, "q": size, **net[n // 4 % 2]}
    data |= {"f": n, "l": n + 2, "T": n - 1, "m": bool(n // 3 % 2), **late[n // 5 % 3]}
    return _on_stream("aggTrade", data, n)


def trade(symbol: str, bids: list[Level], asks: list[Level], n: int) -> dict[str, Any]:
    price, size = _first(bids)
    late: list[dict[str, Any]] = [{}, {"ps": symbol, "st": 1}, {"st": 2}]
    data = {"e": "trade", "E": n, "T": n - 1, "s": symbol, **late[n // 2 % 3], "t": n}
    kind = ("MARKET", "MARKET", "ADL", "INSURANCE_FUND")[n // 6 % 4]
    data |= {"p": price, "q": size, "X": kind, "m": bool(n // 3 % 2)}
    return _on_stream("trade", data, n)


def quote(symbol: str, bids: list[Level], asks: list[Level], n: int) -> dict[str, Any]:
    (bid, bid_size), (ask, ask_size) = _first(bids), _first(asks)
    early, late = ({"ps": symbol}, {"st": 1}) if n // 2 % 2 else ({}, {})
    data = {"e": "bookTicker", "u": n, "s": symbol, **early, "b": bid, "B": bid_size}
    data |= {"a": ask, "A": ask_size, "T": n, "E": n + 1, **late}
    return _on_stream("bookTicker", data, n)


def liquidation(symbol: str, bids: list[Level], asks: list[Level], n: int) -> dict[str, Any]:
    (price, size), (average, _) = _first(bids), _first(asks)
    late: list[dict[str, Any]] = [{}, {"ps": symbol, "st": 1}, {"st": 2}]
    order = {"s": symbol, **late[n // 2 % 3], "S": ("SELL", "BUY", "?")[n // 3 % 3], "o": "LIMIT"}
    order |= {"f": "IOC", "q": size, "p": price, "ap": average, "X": "FILLED", "l": size}
    return _on_stream(
        "forceOrder", {"e": "forceOrder", "E": n, "o": order | {"z": size, "T": n}}, n
    )


def bybit_trades(symbol: str, bids: list[Level], asks: list[Level], n: int) -> dict[str, Any]:
    late: list[dict[str, Any]] = [{}, {"RPI": bool(n // 2 % 2), "seq": n}]
    rows = [
        {"T": n + k, "s": symbol, "S": ("Buy", "Sell")[(n + k) % 2], "v": size, "p": price}
        | {"L": "PlusTick", "i": f"{n}-ab{k}", "BT": n // 4 % 4 == 3, **late[n % 2]}
        for k, (price, size) in enumerate([*bids, *asks])
    ]
    return {"topic": f"publicTrade.{symbol}", "type": "snapshot", "ts": n, "data": rows}


def bybit_liquidations(symbol: str, bids: list[Level], asks: list[Level], n: int) -> dict[str, Any]:
    rows = [
        {"T": n + k, "s": symbol, "S": ("Buy", "Sell", "?")[(n + k) % 3], "v": size, "p": price}
        for k, (price, size) in enumerate([*bids, *asks[:1]])
    ]
    return {"topic": f"allLiquidation.{symbol}", "type": "snapshot", "ts": n, "data": rows}


def okx_trades(symbol: str, bids: list[Level], asks: list[Level], n: int) -> dict[str, Any]:
    late: list[dict[str, Any]] = [{}, {"count": "3"}, {"count": "1", "source": "0", "seqId": n}]
    rows = [
        {"instId": symbol, "tradeId": str(n), "px": price, "sz": size}
        | {"side": ("buy", "sell")[(n + k) % 2], "ts": str(n + k), **late[n % 3]}
        for k, (price, size) in enumerate([*bids, *asks])
    ]
    return {"arg": {"channel": "trades", "instId": symbol}, "data": rows}


SHAPES: dict[str, tuple[str, Shape]] = {
    "binance": ("binance", binance),
    "binance combined": ("binance", combined),
    "bybit": ("bybit", bybit),
    "okx": ("okx", okx),
    "bybit trades": ("bybit", bybit_trades),
    "bybit liquidations": ("bybit", bybit_liquidations),
    "inverse trades": ("bybit-inverse", bybit_trades),
    "okx trades": ("okx", okx_trades),
    "aggregate": ("binance", aggregate),
    "trade": ("binance", trade),
    "quote": ("binance", quote),
    "liquidation": ("binance", liquidation),
    "coin-margined aggregate": ("binance-coinm", aggregate),
    "coin-margined liquidation": ("binance-coinm", liquidation),
    "coin-margined quote": ("binance-coinm", quote),
}
SYMBOLS = {
    "binance": ["BTCUSDT", "1000PEPEUSDT", "NOSUCH"],
    "binance-coinm": ["BTCUSD_PERP", "NOSUCH"],
    "bybit": ["BTCUSDT", "1000PEPEUSDT", "NOSUCH"],
    "bybit-inverse": ["BTCUSD", "NOSUCH"],
    "okx": ["BTC-USDT-SWAP", "BTC-USD-SWAP", "NOSUCH"],
}
plain_number = st.decimals(min_value=0, max_value=10**7, allow_nan=False, places=3).map(str)
number = st.one_of(
    plain_number,
    plain_number,
    st.from_regex(r"[0-9]{1,20}(\.[0-9]{1,20})?", fullmatch=True),
    st.sampled_from(
        ["0", "0.0", "-1", "1e5", "01", "1.", ".5", "1e400", "nan", "", "9" * 17, "+1"]
    ),
)
sides = st.lists(st.tuples(plain_number, plain_number), max_size=4)
odd_sides = st.lists(st.tuples(number, number), max_size=3)


def outcome(venue: Binance | Bybit | Okx, frame: Frame) -> list[Any] | str:
    """Events as exactly comparable facts, or that the message was refused."""
    try:
        events = venue.decode(frame, INSTRUMENTS)
    except DecodeError:
        return "refused"
    return [_facts(event) for event in events]


def _facts(event: Any) -> Any:
    if not isinstance(event, BookDelta | BookSnapshot):
        return event
    levels = event.levels
    assert levels.price_ticks.dtype == np.int64
    assert levels.quantity.dtype == np.float64
    numbers = levels.price_ticks.tolist(), levels.quantity.tolist(), levels.bid_count
    rest = {n: getattr(event, n) for n in event.__struct_fields__ if n != "levels"}
    return type(event), numbers, rest


def assert_same(venue: str, payload: bytes) -> None:
    frame = Frame(venue, SOURCES[venue], 7, payload)
    assert outcome(FAST[venue], frame) == outcome(SLOW[venue], frame)


def payload_of(shape: str, symbol: str, bids: list[Level], asks: list[Level], n: int) -> bytes:
    message = SHAPES[shape][1](symbol, bids, asks, n)
    return json.dumps(message, separators=(",", ":")).encode()


@st.composite
def payloads(draw: st.DrawFn, levels: st.SearchStrategy[list[Level]]) -> tuple[str, bytes]:
    shape = draw(st.sampled_from(sorted(SHAPES)))
    venue = SHAPES[shape][0]
    symbol = draw(st.sampled_from(SYMBOLS[venue]))
    n = draw(st.integers(0, 10**13))
    return venue, payload_of(shape, symbol, draw(levels), draw(levels), n)


@settings(max_examples=150)
@given(payloads(sides))
def test_plain_messages_are_the_same_events(message: tuple[str, bytes]) -> None:
    assert_same(*message)


@settings(max_examples=150)
@given(payloads(odd_sides))
@example(("binance", payload_of("binance", "BTCUSDT", [("9007199254740993", "1")], [], 0)))
@example(("binance", payload_of("binance", "BTCUSDT", [("0.1", "0." + "3" * 17)], [], 0)))
@example(("binance", payload_of("binance", "BTCUSDT", [("99999999999999.9", "1")], [], 0)))
def test_odd_numbers_are_the_same_events_or_refused(message: tuple[str, bytes]) -> None:
    assert_same(*message)


edits = st.lists(
    st.tuples(
        st.sampled_from(["replace", "insert", "delete", "cut", "space"]),
        st.integers(0, 10**6),
        st.sampled_from(list(b'"\\,:[]{}0123456789.-+eE \t\n\x00\x01\x02\x03\x04\x05u\x80\xff')),
    ),
    min_size=1,
    max_size=4,
)


def edited(payload: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    data = bytearray(payload)
    for kind, place, byte in changes:
        at = place % (len(data) + 1)
        if kind == "cut":
            del data[at:]
        elif kind == "insert":
            data.insert(at, byte)
        elif kind == "space":
            data.insert(at, 32)
        elif at < len(data):
            if kind == "replace":
                data[at] = byte
            else:
                del data[at]
    return bytes(data)


@settings(max_examples=300)
@given(payloads(sides), edits)
def test_damaged_messages_are_the_same_events_or_refused(
    message: tuple[str, bytes], changes: list[tuple[str, int, int]]
) -> None:
    venue, payload = message
    assert_same(venue, edited(payload, changes))


@given(payloads(sides), st.randoms(use_true_random=False))
def test_another_order_of_keys_is_the_same_events(message: tuple[str, bytes], rng: Any) -> None:
    def shuffled(node: Any) -> Any:
        if isinstance(node, dict):
            items = list(node.items())
            rng.shuffle(items)
            return {key: shuffled(value) for key, value in items}
        return node

    venue, payload = message
    assert_same(venue, json.dumps(shuffled(json.loads(payload)), separators=(",", ":")).encode())


# ---- it is really used, and never reads outside -------------------------------------------------


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_the_shapes_as_sent_are_scanned(shape: str) -> None:
    venue = SHAPES[shape][0]
    n = {"okx": 5}.get(venue, 24 if venue.startswith("bybit") else 49)
    payload = payload_of(shape, SYMBOLS[venue][0], [("10.5", "1.25")], [("11.0", "0")], n)
    found = FAST[venue]._scanner.scan(payload, 7, INSTRUMENTS)
    assert found is not None
    event = found[0]
    assert len(found) == (2 if shape.endswith(("trades", "liquidations")) else 1)
    if isinstance(event, BookDelta | BookSnapshot):
        assert event.levels.price_ticks.tolist() == [105, 110]


def test_a_listing_that_changed_changes_the_ticks() -> None:
    fine = INSTRUMENTS["binance:BTCUSDT"]
    coarse = Instrument(
        **{n: getattr(fine, n) for n in fine.__struct_fields__} | {"tick_decimals": 0}
    )
    payload = payload_of("binance", "BTCUSDT", [("10.0", "1")], [], 0)
    venue = Binance()
    for _, (of, tick) in itertools.product(range(2), ((fine, 100), (coarse, 10))):
        (event,) = venue.decode(Frame("binance", SOURCES["binance"], 7, payload), {of.id: of})
        assert isinstance(event, BookDelta)
        assert event.levels.price_ticks.tolist() == [tick]


def test_hundreds_of_symbols_are_told_apart() -> None:
    """The table of symbols grows, and many of them share a slot."""
    like = INSTRUMENTS["binance:BTCUSDT"]
    rest = {n: getattr(like, n) for n in like.__struct_fields__}
    names = [f"{'AB' * (n % 5)}{n}USDT" for n in range(400)]
    known = {
        f"binance:{name}": Instrument(
            **rest | {"id": f"binance:{name}", "symbol": name, "quantity_factor": float(n + 1)}
        )
        for n, name in enumerate(names)
    }
    venue = Binance()
    for _ in range(2):
        for n, name in enumerate(names):
            payload = payload_of("trade", name, [("2.5", "3")], [], 24)
            found = venue._scanner.scan(payload, 7, known)
            assert found is not None
            (event,) = found
            assert isinstance(event, Trade)
            assert (event.instrument_id, event.quantity) == (f"binance:{name}", 3.0 * (n + 1))
    assert venue._scanner.scan(payload, 7, {}) is None


def test_levels_of_earlier_messages_stay_as_they_were() -> None:
    venue = Binance()
    kept: list[Event] = []
    for n in range(3 * fast_module.SLAB // 100):
        bids = [(f"{n + 1}.{i}", f"{i}") for i in range(100)]
        frame = Frame(
            "binance", SOURCES["binance"], 7, payload_of("binance", "BTCUSDT", bids, [], 0)
        )
        kept += venue.decode(frame, INSTRUMENTS)
    for n, event in enumerate(kept):
        assert isinstance(event, BookDelta)
        assert event.levels.quantity.tolist() == [float(i) for i in range(100)]
        assert event.levels.price_ticks[0] == (n + 1) * 10


@pytest.mark.parametrize(
    ("venue", "shapes"),
    [(Binance(), ("binance", "aggregate", "quote", "liquidation")), (Bybit(), ("bybit trades",))],
)
def test_what_is_made_is_owned_once(venue: Binance | Bybit, shapes: tuple[str, ...]) -> None:
    """Thousands of messages, read or refused at every byte: nothing is left behind, and what the
    scanner lends is not given away."""
    of = INSTRUMENTS[f"{venue.name}:BTCUSDT"]
    payloads = [payload_of(s, "BTCUSDT", [("10.5", "1.25")], [("11.0", "0")], 49) for s in shapes]
    cut = [payload[:-n] for payload in payloads for n in range(1, len(payload))]
    lent = [of, of.id, Aggressor.BUY, PositionSide.SHORT, PriceKind.FILL, Trade, BookLevels, None]

    def run(times: int) -> None:
        for _ in range(times):
            for payload in (*payloads, *cut):
                venue._scanner.scan(payload, 1_700_000_000_000, INSTRUMENTS)

    run(2)
    gc.collect()
    blocks, counts = sys.getallocatedblocks(), [sys.getrefcount(one) for one in lent]
    run(5)
    gc.collect()
    assert abs(sys.getallocatedblocks() - blocks) < 100
    assert all(abs(sys.getrefcount(one) - n) < 100 for one, n in zip(lent, counts, strict=True))


def test_a_payload_that_is_no_bytes_is_an_error() -> None:
    scan = Binance()._scanner.scan
    for payload in (bytearray(b"{}"), "{}", None):
        with pytest.raises(TypeError):
            scan(payload, 7, INSTRUMENTS)  # type: ignore[arg-type]


def test_a_scan_outlives_its_scanner() -> None:
    """The function keeps what it reads by address."""
    venue = Binance()
    payload = payload_of("aggregate", "BTCUSDT", [("10.5", "1.25")], [], 49)
    assert venue._scanner.scan(payload, 7, INSTRUMENTS)
    scan = venue._scanner.scan
    del venue
    gc.collect()
    ((trade,), _) = scan(payload, 7, INSTRUMENTS), [np.ones(5_000) for _ in range(50)]  # type: ignore[misc]
    assert isinstance(trade, Trade)
    assert (trade.price, trade.quantity, trade.trade_id) == (10.5, 1.25, "49")


@pytest.fixture(scope="module")
def checked() -> ModuleType:
    """The scanner's kernels once more, every access bounds-checked."""
    spec = importlib.util.spec_from_file_location("checked_scan", kernels.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    source = Path(kernels.__file__).read_text()
    code = source.replace("    inlined,\n    inner_kernel,\n", "").replace("    native,\n", "")
    eight = "return eight_at("  # goes by an address
    assert code.count(eight) == 1
    code = code.replace(eight, f"text[at], text[at + 7]\n    {eight}")
    checked = numba.njit(boundscheck=True)
    module.__dict__.update(inlined=checked, inner_kernel=checked)
    module.__dict__["native"] = functools.partial(native, compiled=_with_bounds)
    sys.modules["checked_scan"] = module
    exec(compile(code, kernels.__file__, "exec"), module.__dict__)
    return module


def _with_bounds(function: Callable[..., Any], compiler: Callable[..., Any], **options: Any) -> Any:
    return compiler(boundscheck=True, **options)(function)


@pytest.mark.soak
def test_no_byte_and_no_level_outside_is_touched(checked: ModuleType) -> None:
    venues = {kind.name: kind() for kind in KINDS}
    for name, venue in venues.items():
        venue._scanner = fast_module.Scanner(name, venue._scanner.shapes, checked.reader)

    @settings(max_examples=5_000)
    @given(payloads(sides), edits, st.booleans())
    def run(
        message: tuple[str, bytes], changes: list[tuple[str, int, int]], is_whole: bool
    ) -> None:
        venue, payload = message
        data = payload if is_whole else edited(payload, changes)
        frame = Frame(venue, SOURCES[venue], 7, data)
        assert outcome(venues[venue], frame) == outcome(FAST[venue], frame)

    run()


RECORDINGS = {
    "binance": "binance_usdm/btcusdt_20240808.gz",
    "bybit": "bybit/bybit_v5_20260809.jsonl.zst",
    "okx": "okx/okx_v5_20220513.jsonl.zst",
}


@pytest.mark.parametrize("name", sorted(RECORDINGS))
def test_recorded_books_are_scanned_and_equal(shared_data: Path, name: str) -> None:
    path = shared_data / "data/recordings" / RECORDINGS[name]
    known: dict[str, Instrument] = {}
    diffs = 0
    for frame in itertools.islice(open_recording(path), 4_000):
        if not isinstance(frame, Frame):
            continue
        if frame.source.startswith("rest:"):
            events = FAST[name].decode(frame, known)
            known |= {e.instrument_id: e.instrument for e in events if isinstance(e, Listing)}
            continue
        found = FAST[name].infer_instrument(frame)
        if found is not None:
            known.setdefault(found.id, found)
        want = SLOW[name].decode(frame, known)
        got = FAST[name].decode(frame, known)
        assert [_facts(event) for event in got] == [_facts(event) for event in want]
        if want and isinstance(want[0], BookDelta | BookSnapshot):
            diffs += 1
            assert FAST[name]._scanner.scan(frame.payload, 7, known) is not None, frame.payload[
                :200
            ]
    assert diffs > 150
