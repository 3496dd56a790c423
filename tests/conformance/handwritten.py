"""Small messages written by hand from the venues' rules, and the facts each must become."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from liqfield.model.events import Frame
from liqfield.model.sides import (
    Aggressor,
    CandleOf,
    Coverage,
    PositionSide,
    PriceKind,
    TradeKind,
)

GOT_NS = 1_790_000_000_500_000_000
T = 1_790_000_000_000  # ms
NS = T * 1_000_000
Facts = tuple[tuple[str, dict[str, Any]], ...]


class Case(msgspec.Struct, frozen=True):
    """One frame and the events it stands for: type name and the fields that matter."""

    name: str
    venue: str
    source: str
    message: Any
    facts: Facts

    @property
    def frame(self) -> Frame:
        payload = json.dumps(self.message, separators=(",", ":")).encode()
        return Frame(self.venue, self.source, GOT_NS, payload)


def _binance(name: str, message: Any, *facts: tuple[str, dict[str, Any]], rest: str = "") -> Case:
    return Case(name, "binance", f"rest:{rest}" if rest else "ws:/market/ws#flow", message, facts)


WHEN = "from 2026-09-21 14:13 to 09-22 00:13 UTC: upgrade"


def _work(state: str, **fields: Any) -> dict[str, Any]:
    """Ten hours of it."""
    ends = str(T + 36_000_000)
    return {"title": "upgrade", "state": state, "begin": str(T), "end": ends, **fields}


def _bybit(name: str, message: Any, *facts: tuple[str, dict[str, Any]], at: str = "") -> Case:
    return Case(name, "bybit", at or "ws:/v5/public/linear#all", message, facts)


def _ticker(type_: str, *, symbol: str, **fields: str) -> dict[str, Any]:
    """A Bybit ticker: what is not named in it has not changed."""
    return {
        "topic": f"tickers.{symbol}",
        "type": type_,
        "ts": T,
        "data": {"symbol": symbol, **fields},
    }


def _okx(name: str, message: Any, *facts: tuple[str, dict[str, Any]], rest: str = "") -> Case:
    return Case(name, "okx", f"rest:{rest}" if rest else "ws:/ws/v5/public#all", message, facts)


def _hyper(name: str, message: Any, *facts: tuple[str, dict[str, Any]], body: str = "") -> Case:
    return Case(name, "hyperliquid", f"rest:/info {body}" if body else "ws:/ws#a", message, facts)


BINANCE = (
    _binance(
        "a buyer who was maker means that the taker sold",
        {"e": "aggTrade", "s": "BTCUSDT", "a": 7, "p": "60000.1", "q": "0.25", "T": T, "m": True},
        (
            "Trade",
            {
                "instrument_id": "binance:BTCUSDT",
                "aggressor": Aggressor.SELL,
                "price": 60000.1,
                "quantity": 0.25,
                "event_ns": NS,
                "received_ns": GOT_NS,
                "trade_id": "7",
            },
        ),
    ),
    _binance(
        "thousand-coin symbols become coins",
        {"e": "aggTrade", "s": "1000PEPEUSDT", "a": 8, "p": "0.01", "q": "5", "T": T, "m": False},
        ("Trade", {"aggressor": Aggressor.BUY, "price": 0.00001, "quantity": 5000.0}),
    ),
    _binance(
        "exits by deleveraging stay out of volume",
        {"e": "trade", "s": "BTCUSDT", "t": 9, "p": "1", "q": "1", "T": T, "m": False, "X": "ADL"},
        ("Trade", {"kind": TradeKind.ADL}),
    ),
    _binance(
        "a forced sale closed a long: filled size at the average fill",
        {
            "e": "forceOrder",
            "E": T,
            "o": {"s": "BTCUSDT", "S": "SELL", "p": "59000", "ap": "59500", "z": "0.2", "T": T},
        },
        (
            "Liquidation",
            {
                "position_side": PositionSide.LONG,
                "price": 59500.0,
                "quantity": 0.2,
                "price_kind": PriceKind.FILL,
                "coverage": Coverage.LARGEST_PER_SECOND,
            },
        ),
    ),
    _binance(
        "a forced purchase without a fill shows its limit",
        {
            "e": "forceOrder",
            "E": T,
            "o": {"s": "BTCUSDT", "S": "BUY", "p": "61000", "ap": "0", "z": "0.1", "T": T},
        },
        (
            "Liquidation",
            {"position_side": PositionSide.SHORT, "price": 61000.0, "price_kind": PriceKind.LIMIT},
        ),
    ),
    _binance(
        "a diff carries what came before it",
        {
            "stream": "btcusdt@depth@100ms",
            "data": {
                "e": "depthUpdate",
                "s": "BTCUSDT",
                "E": T,
                "T": T,
                "U": 11,
                "u": 14,
                "pu": 10,
                "b": [["60000.0", "1.5"]],
                "a": [["60000.1", "0"]],
            },
        },
        (
            "BookDelta",
            {
                "first_sequence": 11,
                "sequence": 14,
                "previous_sequence": 10,
                "levels": ([600000, 600001], [1.5, 0.0], 1),
            },
        ),
    ),
    _binance(
        "open interest is counted once, in coins",
        {"symbol": "BTCUSDT", "openInterest": "81000.5", "time": T},
        ("OpenInterest", {"quantity": 81000.5, "event_ns": NS, "is_history": False}),
        rest="/fapi/v1/openInterest?symbol=BTCUSDT",
    ),
    _binance(
        "mark, index and funding travel together",
        {
            "e": "markPriceUpdate",
            "E": T,
            "s": "BTCUSDT",
            "p": "60001.5",
            "i": "60000.5",
            "r": "-0.0002",
            "T": T + 3_600_000,
        },
        ("MarkPrice", {"price": 60001.5}),
        ("IndexPrice", {"price": 60000.5}),
        ("FundingRate", {"rate": -0.0002, "interval_h": 8.0, "is_settled": False}),
    ),
    _binance(
        "coin-margined news on a merged stream are not ours",
        {"e": "aggTrade", "s": "BTCUSDT", "a": 1, "p": "1", "q": "1", "T": T, "m": True, "st": 2},
        ("Unknown", {"kind": "coin-margined"}),
    ),
    _binance(
        "a kind of tomorrow",
        {"e": "somethingNew", "s": "BTCUSDT"},
        ("Unknown", {"kind": "somethingNew"}),
    ),
    _binance(
        "an instrument that is not listed",
        {"e": "aggTrade", "s": "NEWUSDT", "a": 1, "p": "1", "q": "1", "T": T, "m": True},
        ("Unknown", {"kind": "instrument NEWUSDT"}),
    ),
    _binance(
        "a reply of an address that is not read",
        {"a": 1},
        ("Unknown", {"kind": "rest /fapi/v9/new"}),
        rest="/fapi/v9/new",
    ),
    _binance(
        "turnover of a day in dollars",
        [{"symbol": "BTCUSDT", "quoteVolume": "1234.5", "weightedAvgPrice": "6", "closeTime": T}],
        ("Turnover", {"notional_usd": 1234.5, "event_ns": T * 1_000_000}),
        rest="/fapi/v1/ticker/24hr",
    ),
    _binance("an acknowledgement", {"result": None, "id": 3}, ("Notice", {"kind": "ack"})),
)

BYBIT = (
    _bybit(
        "a reply with the newest trades, newest first",
        {
            "retCode": 0,
            "result": {
                "category": "linear",
                "list": [
                    {
                        "execId": "e-2",
                        "symbol": "BTCUSDT",
                        "price": "60000.5",
                        "size": "0.25",
                        "side": "Sell",
                        "time": str(T),
                        "isBlockTrade": False,
                    }
                ],
            },
            "time": T,
        },
        (
            "Trade",
            {
                "instrument_id": "bybit:BTCUSDT",
                "event_ns": NS,
                "price": 60000.5,
                "quantity": 0.25,
                "aggressor": Aggressor.SELL,
                "trade_id": "e-2",
                "kind": TradeKind.MARKET,
            },
        ),
        at="rest:/v5/market/recent-trade?category=linear&symbol=BTCUSDT&limit=1000",
    ),
    _bybit(
        "two trades of one frame, taker sides",
        {
            "topic": "publicTrade.BTCUSDT",
            "type": "snapshot",
            "ts": T,
            "data": [
                {"T": T, "s": "BTCUSDT", "S": "Buy", "v": "0.5", "p": "60000", "i": "a"},
                {"T": T, "s": "BTCUSDT", "S": "Sell", "v": "1", "p": "59999.9", "i": "b"},
            ],
        },
        ("Trade", {"aggressor": Aggressor.BUY, "quantity": 0.5, "trade_id": "a"}),
        ("Trade", {"aggressor": Aggressor.SELL, "price": 59999.9}),
    ),
    _bybit(
        "here the side of a liquidation is the position's",
        {
            "topic": "allLiquidation.1000PEPEUSDT",
            "type": "snapshot",
            "ts": T,
            "data": [{"T": T, "s": "1000PEPEUSDT", "S": "Buy", "v": "300", "p": "0.01"}],
        },
        (
            "Liquidation",
            {
                "position_side": PositionSide.LONG,
                "quantity": 300_000.0,
                "price": 0.00001,
                "price_kind": PriceKind.BANKRUPTCY,
                "coverage": Coverage.COMPLETE,
            },
        ),
    ),
    _bybit(
        "two-sided open interest is halved",
        _ticker("delta", symbol="BTCUSDT", openInterest="100"),
        ("OpenInterest", {"quantity": 50.0}),
    ),
    _bybit(
        "one-sided open interest is not",
        _ticker("delta", symbol="BTCUSDT", openInterest="100", singleOpenInterest="50"),
        ("OpenInterest", {"quantity": 50.0}),
    ),
    _bybit(
        "inverse contracts are dollars: coins by the mark",
        _ticker("snapshot", symbol="BTCUSD", openInterest="240000", markPrice="60000"),
        ("MarkPrice", {"price": 60000.0}),
        ("OpenInterest", {"quantity": 2.0}),
    ),
    _bybit(
        "counter 1 is a restart: the whole book",
        {
            "topic": "orderbook.200.BTCUSDT",
            "type": "delta",
            "ts": T,
            "data": {"s": "BTCUSDT", "b": [["60000", "2"]], "a": [["60000.1", "3"]], "u": 1},
        },
        ("BookSnapshot", {"sequence": 1, "levels": ([600000, 600001], [2.0, 3.0], 1)}),
    ),
    _bybit(
        "an absent field means unchanged, not zero",
        _ticker("delta", symbol="BTCUSDT", markPrice="60000.5"),
        ("MarkPrice", {"price": 60000.5}),
    ),
    _bybit(
        "spot uses the same topic names",
        {"topic": "publicTrade.BTCUSDT", "ts": T, "data": []},
        ("Unknown", {"kind": "spot publicTrade"}),
        at="ws:/v5/public/spot#spot",
    ),
    _bybit(
        "work on the futures is announced; on spot, on the test net, or over, it is nothing",
        {
            "retCode": 0,
            "result": {
                "list": [
                    _work("scheduled", product=[1, 2], maintainType=1, env=1),
                    _work("ongoing", product=[1], maintainType="3", env="1"),
                    _work("ongoing", product=[2], maintainType=1, env=1),
                    _work("ongoing", product=[1], maintainType=1, env=2),
                    _work("completed", product=[1], maintainType=1, env=1),
                ]
            },
        },
        ("Notice", {"kind": "planned", "detail": f"planned maintenance {WHEN}"}),
        ("Notice", {"kind": "maintenance", "detail": f"trouble {WHEN}"}),
        at="rest:/v5/system/status",
    ),
    _bybit(
        "nothing is announced",
        {"retCode": 0, "result": {"list": []}},
        ("Notice", {"kind": "open", "detail": ""}),
        at="rest:/v5/system/status",
    ),
    _bybit("a topic of tomorrow", {"topic": "new.X", "data": 1}, ("Unknown", {"kind": "new"})),
    _bybit(
        "a refusal is a notice",
        {"success": False, "ret_msg": "no such topic", "op": "subscribe"},
        ("Notice", {"kind": "error", "detail": "no such topic"}),
    ),
    _bybit(
        "risk limits in percent are fractions here",
        {
            "retCode": 0,
            "result": {
                "category": "inverse",
                "list": [
                    {
                        "id": 1,
                        "symbol": "BTCUSD",
                        "riskLimitValue": "150",
                        "maintenanceMargin": "0.5",
                        "maxLeverage": "100.00",
                    }
                ],
            },
            "time": T,
        },
        ("TierTable", {"tiers": [(0.0, 150.0, 100.0, 0.005, 0.0)]}),
        at="rest:/v5/market/risk-limit?category=inverse",
    ),
)

OKX = (
    _okx(
        "turnover of a day is coins at the last price",
        {
            "code": "0",
            "msg": "",
            "data": [
                {"instId": "BTC-USDT-SWAP", "ts": str(T), "last": "60000", "volCcy24h": "2"},
            ],
        },
        ("Turnover", {"notional_usd": 120_000.0}),
        rest="/api/v5/market/tickers?instType=SWAP",
    ),
    _okx(
        "past candles by REST are stamped with their end, coins are the seventh number",
        {"code": "0", "msg": "", "data": [[str(T), "1", "3", "1", "2", "900", "9", "18", "1"]]},
        (
            "Candle",
            {
                "of": CandleOf.LAST,
                "event_ns": (T + 60_000) * 1_000_000,
                "close": 2.0,
                "volume": 9.0,
                "is_history": True,
            },
        ),
        rest="/api/v5/market/history-candles?instId=BTC-USDT-SWAP&bar=1m",
    ),
    _okx(
        "past marks have no volume",
        {"code": "0", "msg": "", "data": [[str(T), "1", "3", "1", "2", "1"]]},
        (
            "Candle",
            {"of": CandleOf.MARK, "event_ns": (T + 300_000) * 1_000_000, "volume": 0.0},
        ),
        rest="/api/v5/market/history-mark-price-candles?instId=BTC-USDT-SWAP&bar=5m",
    ),
    _okx(
        "announced work of the venue, with and without an end",
        {
            "code": "0",
            "data": [
                _work("scheduled", maintType="1", env="1"),
                {**_work("pre_open", maintType="2", env="1"), "end": ""},
                _work("canceled", maintType="1", env="1"),
                _work("ongoing", maintType="1", env="2"),
            ],
        },
        ("Notice", {"kind": "planned", "detail": f"planned maintenance {WHEN}"}),
        ("Notice", {"kind": "maintenance", "detail": "trouble from 2026-09-21 14:13 UTC: upgrade"}),
        rest="/api/v5/system/status",
    ),
    _okx(
        "contracts become coins",
        {
            "arg": {"channel": "trades", "instId": "BTC-USDT-SWAP"},
            "data": [
                {
                    "instId": "BTC-USDT-SWAP",
                    "tradeId": "5",
                    "px": "60000",
                    "sz": "250",
                    "side": "sell",
                    "ts": str(T),
                }
            ],
        },
        ("Trade", {"aggressor": Aggressor.SELL, "quantity": 2.5, "price": 60000.0}),
    ),
    _okx(
        "inverse contracts become coins by the price",
        {
            "arg": {"channel": "trades", "instId": "BTC-USD-SWAP"},
            "data": [
                {
                    "instId": "BTC-USD-SWAP",
                    "tradeId": "6",
                    "px": "50000",
                    "sz": "10",
                    "side": "buy",
                    "ts": str(T),
                }
            ],
        },
        ("Trade", {"aggressor": Aggressor.BUY, "quantity": 0.02}),
    ),
    _okx(
        "the order's side closes the other; a stated position side wins",
        {
            "arg": {"channel": "liquidation-orders", "instType": "SWAP"},
            "data": [
                {
                    "instId": "BTC-USDT-SWAP",
                    "details": [
                        {
                            "side": "sell",
                            "posSide": "net",
                            "bkPx": "57000",
                            "sz": "100",
                            "ts": str(T),
                        },
                        {
                            "side": "buy",
                            "posSide": "short",
                            "bkPx": "63000",
                            "sz": "50",
                            "ts": str(T),
                        },
                    ],
                }
            ],
        },
        (
            "Liquidation",
            {
                "position_side": PositionSide.LONG,
                "quantity": 1.0,
                "price_kind": PriceKind.BANKRUPTCY,
                "coverage": Coverage.SAMPLED,
            },
        ),
        ("Liquidation", {"position_side": PositionSide.SHORT, "quantity": 0.5}),
    ),
    _okx(
        "open interest in coins, and the price its dollars imply",
        {
            "arg": {"channel": "open-interest", "instId": "BTC-USDT-SWAP"},
            "data": [
                {
                    "instId": "BTC-USDT-SWAP",
                    "oi": "200000",
                    "oiCcy": "2000",
                    "oiUsd": "120000000",
                    "ts": str(T),
                }
            ],
        },
        ("OpenInterest", {"quantity": 2000.0, "price": 60000.0}),
    ),
    _okx(
        "the rate belongs to the time between two payments",
        {
            "arg": {"channel": "funding-rate", "instId": "BTC-USDT-SWAP"},
            "data": [
                {
                    "instId": "BTC-USDT-SWAP",
                    "fundingRate": "0.0001",
                    "fundingTime": str(T),
                    "nextFundingTime": str(T + 4 * 3_600_000),
                }
            ],
        },
        ("FundingRate", {"rate": 0.0001, "interval_h": 4.0, "next_funding_ns": NS}),
    ),
    _okx(
        "a book in contracts",
        {
            "arg": {"channel": "books", "instId": "BTC-USDT-SWAP"},
            "action": "update",
            "data": [
                {
                    "asks": [["60000.1", "10", "0", "1"]],
                    "bids": [],
                    "ts": str(T),
                    "prevSeqId": 3,
                    "seqId": 7,
                }
            ],
        },
        (
            "BookDelta",
            {"sequence": 7, "previous_sequence": 3, "levels": ([600001], [0.1], 0)},
        ),
    ),
    _okx(
        "tiers count contracts",
        {
            "code": "0",
            "data": [
                {
                    "instFamily": "BTC-USDT",
                    "uly": "BTC-USDT",
                    "maxSz": "1000",
                    "minSz": "0",
                    "mmr": "0.004",
                    "maxLever": "100",
                    "tier": "1",
                }
            ],
        },
        ("TierTable", {"tiers": [(0.0, 10.0, 100.0, 0.004, 0.0)]}),
        rest="/api/v5/public/position-tiers?instType=SWAP&tdMode=isolated",
    ),
    _okx(
        "the venue announces a cut",
        {"event": "notice", "code": "64008", "msg": "service upgrade"},
        ("Notice", {"kind": "close_soon"}),
    ),
    _okx(
        "a channel of tomorrow",
        {"arg": {"channel": "new-channel"}, "data": []},
        ("Unknown", {"kind": "new-channel"}),
    ),
    _okx(
        "a refusal inside a good answer",
        {"code": "50011", "msg": "Too Many Requests", "data": []},
        ("Notice", {"kind": "error", "detail": "50011 Too Many Requests"}),
        rest="/api/v5/public/mark-price?instType=SWAP",
    ),
)

HYPERLIQUID = (
    _hyper(
        "a reply with the newest trades has the keys of the stream",
        [
            {
                "coin": "BTC",
                "side": "A",
                "px": "60000.5",
                "sz": "0.25",
                "time": T,
                "hash": "0x0",
                "tid": 7,
                "users": ["0x1", "0x2"],
            }
        ],
        (
            "Trade",
            {"event_ns": NS, "aggressor": Aggressor.SELL, "quantity": 0.25, "trade_id": f"{T}-7"},
        ),
        body='{"type":"recentTrades","coin":"BTC"}',
    ),
    _hyper(
        "B bought, A sold; thousands of coins",
        {
            "channel": "trades",
            "data": [
                {"coin": "BTC", "side": "B", "px": "60000.0", "sz": "0.5", "time": T, "tid": 1},
                {"coin": "kPEPE", "side": "A", "px": "0.01", "sz": "3", "time": T, "tid": 1},
            ],
        },
        ("Trade", {"aggressor": Aggressor.BUY, "quantity": 0.5}),
        ("Trade", {"aggressor": Aggressor.SELL, "price": 0.00001, "quantity": 3000.0}),
    ),
    _hyper(
        "every book message is the whole book",
        {
            "channel": "l2Book",
            "data": {
                "coin": "BTC",
                "time": T,
                "levels": [
                    [{"px": "60000.0", "sz": "1", "n": 1}],
                    [{"px": "60000.1", "sz": "2", "n": 1}],
                ],
            },
        },
        ("BookSnapshot", {"event_ns": NS, "levels": ([600000, 600001], [1.0, 2.0], 1)}),
    ),
    _hyper(
        "hourly funding, coins counted once",
        {
            "channel": "activeAssetCtx",
            "data": {
                "coin": "BTC",
                "ctx": {
                    "funding": "0.00001",
                    "openInterest": "900",
                    "oraclePx": "59990",
                    "markPx": "60000",
                },
            },
        },
        ("MarkPrice", {"price": 60000.0}),
        ("IndexPrice", {"price": 59990.0}),
        ("OpenInterest", {"quantity": 900.0, "price": 60000.0}),
        ("FundingRate", {"rate": 0.00001, "interval_h": 1.0}),
    ),
    _hyper(
        "the counterparty sold: a short was bought back",
        {
            "channel": "user",
            "data": {
                "fills": [
                    {
                        "coin": "BTC",
                        "px": "66000",
                        "sz": "0.1",
                        "side": "A",
                        "time": T,
                        "liquidation": {"liquidatedUser": "0x0", "markPx": "65990"},
                    }
                ]
            },
        },
        ("Liquidation", {"position_side": PositionSide.SHORT, "price_kind": PriceKind.FILL}),
    ),
    _hyper(
        "maintenance is half the initial margin, deductions make it continuous",
        {
            "universe": [
                {"name": "BTC", "szDecimals": 5, "maxLeverage": 50, "marginTableId": 56},
            ],
            "marginTables": [
                [
                    56,
                    {
                        "marginTiers": [
                            {"lowerBound": "0.0", "maxLeverage": 50},
                            {"lowerBound": "100.0", "maxLeverage": 25},
                        ]
                    },
                ]
            ],
        },
        ("Listing", {"instrument_id": "hyperliquid:BTC"}),
        ("TierTable", {"tiers": [(0.0, 100.0, 50.0, 0.01, 0.0), (100.0, 1e12, 25.0, 0.02, 1.0)]}),
        body='{"type":"meta"}',
    ),
    _hyper(
        "a public position",
        {
            "marginSummary": {"accountValue": "1000"},
            "time": T,
            "assetPositions": [
                {
                    "position": {
                        "coin": "BTC",
                        "szi": "-0.5",
                        "entryPx": "61000",
                        "leverage": {"type": "isolated", "value": 10},
                        "liquidationPx": "66000",
                    }
                }
            ],
        },
        (
            "MeasuredPosition",
            {
                "account": "0xabc",
                "position_side": PositionSide.SHORT,
                "quantity": 0.5,
                "liquidation_price": 66000.0,
                "is_cross": False,
            },
        ),
        ("PositionSnapshot", {"account": "0xabc"}),
        body='{"type":"clearinghouseState","user":"0xabc"}',
    ),
    _hyper(
        "a minute of the past",
        [
            {
                "t": T,
                "T": T + 59_999,
                "s": "BTC",
                "i": "1m",
                "o": "1",
                "h": "3",
                "l": "1",
                "c": "2",
                "v": "9",
            }
        ],
        (
            "Candle",
            {
                "event_ns": (T + 60_000) * 1_000_000,
                "interval_ns": 60_000_000_000,
                "of": CandleOf.LAST,
                "is_history": True,
                "volume": 9.0,
            },
        ),
        body='{"type":"candleSnapshot"}',
    ),
    _hyper(
        "a channel of tomorrow",
        {"channel": "newThing", "data": {}},
        ("Unknown", {"kind": "newThing"}),
    ),
    _hyper("a heartbeat", {"channel": "pong"}, ("Notice", {"kind": "pong"})),
)

CASES: tuple[Case, ...] = (*BINANCE, *BYBIT, *OKX, *HYPERLIQUID)
