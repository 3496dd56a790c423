"""Wire-shaped messages: the same bytes for everyone who is timed on them.

Of Binance depth diffs around a walking price, on the tick and never crossed, trades and
liquidations, in combined-stream form, because cryptofeed's handler reads no other; trades of Bybit
and OKX.
"""

from __future__ import annotations

import json

import numpy as np

SYMBOL, OKX_SYMBOL = "BTCUSDT", "BTC-USDT-SWAP"
TICK_DECIMALS = 1
SNAPSHOT_ID = 1_000
_MS = 1_723_161_256_299
_TOUCH = 617_000  # ticks: 61,700.0 USD


def _level(tick: int, quantity: float) -> list[str]:
    return [f"{tick / 10:.2f}", f"{quantity:.3f}"]


def _wrapped(stream: str, data: dict[str, object]) -> bytes:
    return _packed({"stream": f"{SYMBOL.lower()}@{stream}", "data": data})


def _packed(message: object) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def snapshot(levels: int = 1000) -> bytes:
    """The REST book that the diffs continue: `levels` a side."""
    rng = np.random.default_rng(1)
    size = rng.exponential(2.0, (2, levels)) + 0.001
    return json.dumps(
        {
            "lastUpdateId": SNAPSHOT_ID,
            "E": _MS,
            "T": _MS,
            "bids": [_level(_TOUCH - 1 - i, size[0, i]) for i in range(levels)],
            "asks": [_level(_TOUCH + 1 + i, size[1, i]) for i in range(levels)],
        },
        separators=(",", ":"),
    ).encode()


def depth_diffs(count: int, levels: int, seed: int = 0) -> list[bytes]:
    """`count` diffs of `levels` levels in an unbroken chain after the snapshot; a third delete.

    Half of the levels are bids. They lie within 2 x levels ticks of the touch, as most do on the
    recording; the touch itself never empties.
    """
    rng = np.random.default_rng(seed)
    made = []
    last = SNAPSHOT_ID
    half = levels // 2
    for i in range(count):
        offsets = np.sort(rng.choice(2 * levels, (2, half)), axis=1)
        sizes = rng.exponential(2.0, (2, half)) + 0.001
        sizes[rng.random((2, half)) < 0.33] = 0.0
        sizes[offsets == 0] = 1.5
        sides = [
            [_level(int(_TOUCH + sign * (1 + o)), q) for o, q in zip(at, size, strict=True)]
            for sign, at, size in zip((-1, 1), offsets, sizes, strict=True)
        ]
        first, newest = last + 3, last + 40
        data: dict[str, object] = {"e": "depthUpdate", "E": _MS + i, "T": _MS + i, "s": SYMBOL}
        data |= {"U": first, "u": newest, "pu": last, "b": sides[0], "a": sides[1]}
        made.append(_wrapped("depth@100ms", data))
        last = newest
    return made


def trades(count: int) -> list[bytes]:
    """Aggregate trades."""
    return [
        _wrapped(
            "aggTrade",
            {
                "e": "aggTrade",
                "E": _MS + i,
                "a": 2_300_000_000 + i,
                "s": SYMBOL,
                **dict(zip("pq", deal, strict=True)),
                "f": 5_000_000_000 + i,
                "l": 5_000_000_000 + i,
                "T": _MS + i,
                "m": bool(i % 2),
            },
        )
        for i, deal in enumerate(_deals(count, 2))
    ]


def bybit_trades(count: int) -> list[bytes]:
    """Public trades of Bybit, one a message."""
    made = []
    for i, (price, size) in enumerate(_deals(count, 4)):
        row = {"T": _MS + i, "s": SYMBOL, "S": "Sell" if i % 2 else "Buy", "v": size, "p": price}
        row |= {"L": "PlusTick", "i": f"19d7df56-4f10-5290-a969-{i:012x}", "BT": False}
        data = [row | {"RPI": False, "seq": 430_879_434_439 + i}]
        message = {"topic": f"publicTrade.{SYMBOL}", "type": "snapshot", "ts": _MS + i}
        made.append(_packed(message | {"data": data}))
    return made


def okx_trades(count: int) -> list[bytes]:
    """Trades of OKX, one a message, in contracts."""
    made = []
    for i, (price, size) in enumerate(_deals(count, 5)):
        row = {"instId": OKX_SYMBOL, "tradeId": str(2_300_000_000 + i), "px": price, "sz": size}
        row |= {"side": "sell" if i % 2 else "buy", "ts": str(_MS + i), "count": "3"}
        channel = {"channel": "trades", "instId": OKX_SYMBOL}
        made.append(_packed({"arg": channel, "data": [row | {"source": "0", "seqId": i}]}))
    return made


def _deals(count: int, seed: int) -> list[list[str]]:
    """Prices and sizes as text."""
    rng = np.random.default_rng(seed)
    prices, sizes = _TOUCH + rng.integers(-50, 50, count), rng.exponential(0.2, count) + 0.001
    return [_level(int(price), size) for price, size in zip(prices, sizes, strict=True)]


def liquidations(count: int) -> list[bytes]:
    """Liquidation orders, filled at once."""
    rng = np.random.default_rng(3)
    made = []
    for i in range(count):
        price, size = _level(_TOUCH - int(rng.integers(0, 900)), rng.exponential(0.5) + 0.001)
        order = {"s": SYMBOL, "S": "SELL" if i % 2 else "BUY", "o": "LIMIT", "f": "IOC"}
        order |= {"q": size, "p": price, "ap": price, "X": "FILLED", "l": size, "z": size}
        data = {"e": "forceOrder", "E": _MS + i, "o": {**order, "T": _MS + i}}
        made.append(_wrapped("forceOrder", data))
    return made
