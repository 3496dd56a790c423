"""Messages written by hand for the second six venues, and the facts each must become."""

from __future__ import annotations

from typing import Any

from liqfield.model.sides import (
    Aggressor,
    CandleOf,
    ContractKind,
    Coverage,
    GapReason,
    PositionSide,
    PriceKind,
    TradeKind,
)
from tests.conformance.handwritten import GOT_NS, NS, Case, T

ISO = "2026-09-21T14:13:20.000Z"  # T as BitMEX writes it
Fact = tuple[str, dict[str, Any]]
SOCKETS = {
    "binance-coinm": "ws:/ws#flow",
    "bybit-inverse": "ws:/v5/public/inverse#all",
    "gate": "ws:/v4/ws/usdt#flow",
    "bitget": "ws:/v3/ws/public#flow",
    "bitmex": "ws:/realtime#flow",
    "deribit": "ws:/ws/api/v2#flow",
}


def _case(venue: str, name: str, message: Any, *facts: Fact, rest: str = "") -> Case:
    return Case(name, venue, f"rest:{rest}" if rest else SOCKETS[venue], message, facts)


def _coinm(name: str, message: Any, *facts: Fact, rest: str = "") -> Case:
    return _case("binance-coinm", name, message, *facts, rest=rest)


def _inverse(name: str, message: Any, *facts: Fact, rest: str = "") -> Case:
    if rest:
        message = {"retCode": 0, "result": message, "time": T}
    return _case("bybit-inverse", name, message, *facts, rest=rest)


def _gate(name: str, channel: str, result: Any, *facts: Fact) -> Case:
    message = {"time_ms": T, "channel": f"futures.{channel}", "event": "update", "result": result}
    return _case("gate", name, message, *facts)


def _gate_rest(name: str, path: str, message: Any, *facts: Fact) -> Case:
    return _case("gate", name, message, *facts, rest=f"/api/v4/futures/usdt/{path}")


def _bitget(name: str, topic: str, data: Any, *facts: Fact, symbol: str = "", action: str) -> Case:
    arg = {"instType": "usdt-futures", "topic": topic} | ({"symbol": symbol} if symbol else {})
    return _case("bitget", name, {"action": action, "arg": arg, "data": data, "ts": T}, *facts)


def _bitget_rest(name: str, path: str, data: Any, *facts: Fact) -> Case:
    message = {"code": "00000", "msg": "success", "requestTime": T, "data": data}
    return _case("bitget", name, message, *facts, rest=path)


def _bitmex(name: str, table: str, action: str, data: Any, *facts: Fact) -> Case:
    return _case("bitmex", name, {"table": table, "action": action, "data": data}, *facts)


def _bitmex_rest(name: str, path: str, data: Any, *facts: Fact) -> Case:
    return _case("bitmex", name, data, *facts, rest=f"/api/v1/{path}")


def _deribit(name: str, channel: str, data: Any, *facts: Fact) -> Case:
    params = {"channel": channel, "data": data}
    return _case(
        "deribit", name, {"jsonrpc": "2.0", "method": "subscription", "params": params}, *facts
    )


def _deribit_rest(name: str, path: str, result: Any, *facts: Fact) -> Case:
    message = {"jsonrpc": "2.0", "result": result, "usOut": T * 1000}
    return _case("deribit", name, message, *facts, rest=f"/api/v2/public/{path}")


BINANCE_COINM = (
    _coinm(
        "a trade of contracts becomes coins at its price",
        {
            "e": "aggTrade",
            "s": "BTCUSD_PERP",
            "a": 7,
            "p": "50000",
            "q": "3",
            "T": T,
            "m": True,
            "st": 2,
        },
        (
            "Trade",
            {
                "instrument_id": "binance-coinm:BTCUSD_PERP",
                "price": 50_000.0,
                "quantity": 0.006,
                "aggressor": Aggressor.SELL,
            },
        ),
    ),
    _coinm(
        "USD-margined news on a merged stream are not ours",
        {"e": "aggTrade", "s": "BTCUSDT", "a": 1, "p": "1", "q": "1", "T": T, "m": True, "st": 1},
        ("Unknown", {"kind": "USD-margined"}),
    ),
    _coinm(
        "every level is converted at its own price",
        {
            "e": "depthUpdate",
            "s": "BTCUSD_PERP",
            "E": T,
            "T": T,
            "U": 11,
            "u": 14,
            "pu": 10,
            "b": [["50000", "5"]],
            "a": [["40000", "4"], ["50001", "0"]],
        },
        (
            "BookDelta",
            {
                "previous_sequence": 10,
                "sequence": 14,
                "levels": ([50_000_000, 40_000_000, 50_001_000], [0.01, 0.01, 0.0], 1),
            },
        ),
    ),
    _coinm(
        "the book by REST must be joined with the stream",
        {"lastUpdateId": 9, "T": T, "bids": [["50000", "5"]], "asks": []},
        ("BookSnapshot", {"sequence": 9, "is_rest": True, "levels": ([50_000_000], [0.01], 1)}),
        rest="/dapi/v1/depth?symbol=BTCUSD_PERP",
    ),
    _coinm(
        "an empty side of a quote has no coins",
        {
            "e": "bookTicker",
            "u": 4,
            "s": "BTCUSD_PERP",
            "b": "50000",
            "B": "10",
            "a": "0",
            "A": "0",
            "T": T,
        },
        ("BestQuote", {"bid_quantity": 0.02, "ask_price": 0.0, "ask_quantity": 0.0}),
    ),
    _coinm(
        "the index belongs to the pair",
        {"e": "indexPriceUpdate", "E": T, "i": "BTCUSD", "p": "50010"},
        ("IndexPrice", {"instrument_id": "binance-coinm:BTCUSD_PERP", "price": 50_010.0}),
    ),
    _coinm(
        "a forced sale closed a long",
        {
            "e": "forceOrder",
            "E": T,
            "o": {"s": "BTCUSD_PERP", "S": "SELL", "p": "49000", "ap": "50000", "z": "30", "T": T},
        },
        (
            "Liquidation",
            {
                "position_side": PositionSide.LONG,
                "quantity": 0.06,
                "price": 50_000.0,
                "price_kind": PriceKind.FILL,
                "coverage": Coverage.LARGEST_PER_SECOND,
            },
        ),
    ),
    _coinm(
        "polled open interest is in dollars without a price",
        {"symbol": "BTCUSD_PERP", "pair": "BTCUSD", "openInterest": "1000", "time": T},
        ("OpenInterest", {"quantity": 0.0, "notional_usd": 100_000.0}),
        rest="/dapi/v1/openInterest?symbol=BTCUSD_PERP",
    ),
    _coinm(
        "past open interest states contracts and coins",
        [
            {
                "pair": "BTCUSD",
                "contractType": "PERPETUAL",
                "sumOpenInterest": "1000",
                "sumOpenInterestValue": "2",
                "timestamp": T,
            }
        ],
        ("OpenInterest", {"quantity": 2.0, "price": 50_000.0, "is_history": True}),
        rest="/futures/data/openInterestHist?pair=BTCUSD",
    ),
    _coinm(
        "candles state coins in columns of their own",
        [[T, "1", "3", "1", "2", "700", T + 59_999, "350", 4, "200", "100", "0"]],
        ("Candle", {"volume": 350.0, "taker_buy_volume": 100.0, "of": CandleOf.LAST}),
        rest="/dapi/v1/klines?symbol=BTCUSD_PERP",
    ),
    _coinm(
        "the list gives contracts their size",
        {
            "symbols": [
                {
                    "symbol": "ETHUSD_PERP",
                    "contractType": "PERPETUAL",
                    "baseAsset": "ETH",
                    "quoteAsset": "USD",
                    "marginAsset": "ETH",
                    "contractStatus": "TRADING",
                    "contractSize": 10,
                    "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.01"}],
                }
            ]
        },
        (
            "Listing",
            {
                "instrument": {
                    "id": "binance-coinm:ETHUSD_PERP",
                    "venue": "binance-coinm",
                    "symbol": "ETHUSD_PERP",
                    "base": "ETH",
                    "quote": "USD",
                    "settle": "ETH",
                    "kind": ContractKind.INVERSE,
                    "tick_mantissa": 1,
                    "tick_decimals": 2,
                    "price_factor": 1.0,
                    "quantity_factor": 10.0,
                    "lot": 0.0,
                    "max_leverage": 0.0,
                    "funding_interval_h": 8.0,
                    "is_trading": True,
                    "is_perpetual": True,
                    "is_main": False,
                }
            },
        ),
        rest="/dapi/v1/exchangeInfo",
    ),
    _coinm(
        "turnover is coins at the average price",
        [
            {
                "symbol": "BTCUSD_PERP",
                "baseVolume": "20",
                "weightedAvgPrice": "50000",
                "closeTime": T,
            }
        ],
        ("Turnover", {"notional_usd": 1_000_000.0}),
        rest="/dapi/v1/ticker/24hr",
    ),
)

BYBIT_INVERSE = (
    _inverse(
        "contracts of one dollar",
        {
            "topic": "publicTrade.BTCUSD",
            "type": "snapshot",
            "ts": T,
            "data": [{"T": T, "s": "BTCUSD", "S": "Sell", "v": "5000", "p": "50000", "i": "a"}],
        },
        ("Trade", {"quantity": 0.1, "aggressor": Aggressor.SELL, "price": 50_000.0}),
    ),
    _inverse(
        "a whole book in dollars",
        {
            "topic": "orderbook.200.BTCUSD",
            "type": "snapshot",
            "ts": T,
            "data": {"s": "BTCUSD", "b": [["50000", "100"]], "a": [["51000", "51"]], "u": 5},
        },
        ("BookSnapshot", {"levels": ([50_000_000, 51_000_000], [0.002, 0.001], 1)}),
    ),
    _inverse(
        "two-sided open interest without a mark stays in dollars",
        {"topic": "tickers.BTCUSD", "ts": T, "data": {"symbol": "BTCUSD", "openInterest": "800"}},
        ("OpenInterest", {"quantity": 0.0, "notional_usd": 400.0}),
    ),
    _inverse(
        "with a mark it becomes coins",
        {
            "topic": "tickers.BTCUSD",
            "ts": T,
            "data": {"symbol": "BTCUSD", "openInterest": "200000", "markPrice": "50000"},
        },
        ("MarkPrice", {"price": 50_000.0}),
        ("OpenInterest", {"quantity": 2.0, "notional_usd": 100_000.0, "price": 50_000.0}),
    ),
    _inverse(
        "the side of a liquidation is the position's",
        {
            "topic": "allLiquidation.BTCUSD",
            "type": "snapshot",
            "ts": T,
            "data": [{"T": T, "s": "BTCUSD", "S": "Sell", "v": "500", "p": "50000"}],
        },
        (
            "Liquidation",
            {
                "position_side": PositionSide.SHORT,
                "quantity": 0.01,
                "price_kind": PriceKind.BANKRUPTCY,
                "coverage": Coverage.COMPLETE,
            },
        ),
    ),
    _inverse(
        "past open interest is in dollars",
        {"symbol": "BTCUSD", "list": [{"timestamp": T, "openInterest": "800"}]},
        ("OpenInterest", {"notional_usd": 400.0, "is_history": True, "event_ns": NS}),
        rest="/v5/market/open-interest?category=inverse",
    ),
    _inverse(
        "turnover is in the coin",
        {
            "category": "inverse",
            "list": [{"symbol": "BTCUSD", "markPrice": "50000", "turnover24h": "30"}],
        },
        ("MarkPrice", {}),
        ("Turnover", {"notional_usd": 1_500_000.0}),
        rest="/v5/market/tickers?category=inverse",
    ),
    _inverse(
        "tiers are counted in coins",
        {
            "category": "inverse",
            "list": [
                {
                    "symbol": "BTCUSD",
                    "riskLimitValue": "150",
                    "maintenanceMargin": "0.5",
                    "maxLeverage": "100",
                },
                {
                    "symbol": "BTCUSD",
                    "riskLimitValue": "300",
                    "maintenanceMargin": "1",
                    "maxLeverage": "50",
                },
            ],
        },
        (
            "TierTable",
            {"tiers": [(0.0, 150.0, 100.0, 0.005, 0.0), (150.0, 300.0, 50.0, 0.01, 0.75)]},
        ),
        rest="/v5/market/risk-limit?category=inverse",
    ),
    _inverse("a topic of tomorrow", {"topic": "new.X", "data": 1}, ("Unknown", {"kind": "new"})),
)

GATE = (
    _gate(
        "a size below zero is a taker who sold, in contracts",
        "trades",
        [
            {
                "size": "-250",
                "id": 1,
                "create_time": 1,
                "create_time_ms": T,
                "price": "60000.1",
                "contract": "BTC_USDT",
            }
        ],
        (
            "Trade",
            {
                "aggressor": Aggressor.SELL,
                "quantity": 0.025,
                "price": 60_000.1,
                "event_ns": NS,
                "trade_id": "1",
            },
        ),
    ),
    _gate(
        "takeovers are no volume",
        "trades",
        [
            {
                "size": 5,
                "id": 2,
                "create_time": 1,
                "create_time_ms": T,
                "price": "60000",
                "contract": "BTC_USDT",
                "is_internal": True,
            }
        ],
        ("Trade", {"kind": TradeKind.INSURANCE, "aggressor": Aggressor.BUY}),
    ),
    _gate(
        "the stream brings its own book",
        "obu",
        {
            "t": T,
            "full": True,
            "s": "ob.BTC_USDT.400",
            "u": 77,
            "b": [["60000", "20"]],
            "a": [["60000.1", "30"]],
        },
        ("BookSnapshot", {"sequence": 77, "levels": ([600_000, 600_001], [0.002, 0.003], 1)}),
    ),
    _gate(
        "what came before is one below the first counter",
        "obu",
        {"t": T, "s": "ob.BTC_USDT.400", "U": 78, "u": 80, "b": [["60000", "0"]]},
        (
            "BookDelta",
            {
                "first_sequence": 78,
                "sequence": 80,
                "previous_sequence": 77,
                "levels": ([600_000], [0.0], 1),
            },
        ),
    ),
    _gate(
        "the older stream says the same in objects",
        "order_book_update",
        {"t": T, "s": "BTC_USD", "U": 5, "u": 6, "b": [], "a": [{"p": "50000", "s": 100}]},
        ("BookDelta", {"previous_sequence": 4, "levels": ([50_000_000], [0.002], 0)}),
    ),
    _gate(
        "a ticker holds mark, index, funding and open interest of one side",
        "tickers",
        [
            {
                "contract": "BTC_USDT",
                "mark_price": "60000",
                "index_price": "60010",
                "funding_rate": "-0.0001",
                "total_size": "500000",
                "volume_24h_quote": "9",
            }
        ],
        ("MarkPrice", {"price": 60_000.0, "event_ns": NS}),
        ("IndexPrice", {"price": 60_010.0}),
        ("OpenInterest", {"quantity": 50.0, "price": 60_000.0}),
        ("FundingRate", {"rate": -0.0001, "interval_h": 8.0}),
    ),
    _gate(
        "a quote",
        "book_ticker",
        {"t": T, "u": 3, "s": "BTC_USDT", "b": "60000", "B": "10", "a": "60000.1", "A": 20},
        ("BestQuote", {"bid_quantity": 0.001, "ask_quantity": 0.002, "sequence": 3}),
    ),
    _gate(
        "by stream the size is the order's: one that sells closes a long at its limit",
        "public_liquidates",
        [{"price": "60000", "size": "-12", "time_ms": T, "contract": "BTC_USDT"}],
        (
            "Liquidation",
            {
                "position_side": PositionSide.LONG,
                "quantity": 0.0012,
                "price": 60_000.0,
                "price_kind": PriceKind.LIMIT,
                "coverage": Coverage.SAMPLED,
                "event_ns": NS,
            },
        ),
    ),
    _gate(
        "all orders of a second come together, in seconds where milliseconds are missing",
        "public_liquidates",
        [
            {"price": "61000", "size": "3", "time": T // 1000, "contract": "BTC_USDT"},
            {"price": "61001", "size": "4", "time": T // 1000, "contract": "BTC_USDT"},
        ],
        ("Liquidation", {"position_side": PositionSide.SHORT, "price": 61_000.0, "event_ns": NS}),
        ("Liquidation", {"position_side": PositionSide.SHORT, "price": 61_001.0}),
    ),
    _gate_rest(
        "by REST the size is the position's: a long at its fill",
        "liq_orders?limit=200",
        [
            {
                "time": T / 1000,
                "contract": "BTC_USDT",
                "size": 600,
                "order_size": -600,
                "order_price": "59000",
                "fill_price": "59500",
                "left": 0,
            }
        ],
        (
            "Liquidation",
            {
                "position_side": PositionSide.LONG,
                "quantity": 0.06,
                "price": 59_500.0,
                "price_kind": PriceKind.FILL,
                "coverage": Coverage.SAMPLED,
                "event_ns": NS,
            },
        ),
    ),
    _gate_rest(
        "a short without a fill shows its limit",
        "liq_orders?limit=200",
        [
            {
                "time": 5,
                "contract": "BTC_USDT",
                "size": -1,
                "order_price": "61000",
                "fill_price": "0",
            }
        ],
        (
            "Liquidation",
            {"position_side": PositionSide.SHORT, "price": 61_000.0, "price_kind": PriceKind.LIMIT},
        ),
    ),
    _gate_rest(
        "the list gives contracts their size",
        "contracts",
        [
            {
                "name": "PEPE_USDT",
                "type": "direct",
                "quanto_multiplier": "10000000",
                "order_price_round": "0.0000000001",
                "leverage_max": "50",
                "funding_interval": 14_400,
                "in_delisting": True,
            }
        ],
        (
            "Listing",
            {
                "instrument": {
                    "id": "gate:PEPE_USDT",
                    "venue": "gate",
                    "symbol": "PEPE_USDT",
                    "base": "PEPE",
                    "quote": "USDT",
                    "settle": "USDT",
                    "kind": ContractKind.LINEAR,
                    "tick_mantissa": 1,
                    "tick_decimals": 10,
                    "price_factor": 1.0,
                    "quantity_factor": 10_000_000.0,
                    "lot": 1.0,
                    "max_leverage": 50.0,
                    "funding_interval_h": 4.0,
                    "is_trading": False,
                    "is_perpetual": True,
                    "is_main": False,
                }
            },
        ),
    ),
    _gate_rest(
        "tiers state their deduction",
        "risk_limit_tiers?contract=BTC_USDT",
        [
            {
                "tier": 1,
                "risk_limit": "1000000",
                "maintenance_rate": "0.004",
                "leverage_max": "125",
                "deduction": "0",
            },
            {
                "tier": 2,
                "risk_limit": "2000000",
                "maintenance_rate": "0.005",
                "leverage_max": "100",
                "deduction": "1000",
            },
        ],
        (
            "TierTable",
            {"tiers": [(0.0, 1e6, 125.0, 0.004, 0.0), (1e6, 2e6, 100.0, 0.005, 1000.0)]},
        ),
    ),
    _gate_rest(
        "past open interest with the price its dollars imply",
        "contract_stats?contract=BTC_USDT&from=1",
        [{"time": T // 1000, "open_interest": 1_000_000, "open_interest_usd": 6_000_000}],
        (
            "OpenInterest",
            {"quantity": 100.0, "price": 60_000.0, "is_history": True, "event_ns": NS},
        ),
    ),
    _gate_rest(
        "ratios of now are longs to shorts",
        "contract_stats?contract=BTC_USDT&interval=5m&limit=1",
        [{"time": T // 1000, "lsr_account": 3, "top_lsr_size": 1}],
        ("PositioningRatio", {"basis": "accounts", "long_share": 0.75, "short_share": 0.25}),
        ("PositioningRatio", {"basis": "top_positions", "long_share": 0.5}),
    ),
    _gate_rest(
        "trades by REST state milliseconds as seconds with a fraction",
        "trades?contract=BTC_USDT",
        [
            {
                "size": 10,
                "id": 9,
                "create_time": T / 1000,
                "create_time_ms": T / 1000,
                "price": "60000",
                "contract": "BTC_USDT",
            }
        ],
        ("Trade", {"event_ns": NS, "quantity": 0.001}),
    ),
    _gate_rest(
        "the fund of the whole venue",
        "insurance?limit=1",
        [{"t": T // 1000, "b": "83.5"}],
        ("InsuranceFund", {"asset": "USDT", "balance": 83.5, "event_ns": NS}),
    ),
    _gate_rest(
        "past marks have their own name",
        "candlesticks?contract=mark_BTC_USDT&interval=5m",
        [{"t": T // 1000, "o": "1", "h": "3", "l": "1", "c": "2"}],
        (
            "Candle",
            {"of": CandleOf.MARK, "event_ns": NS + 300 * 10**9, "interval_ns": 300 * 10**9},
        ),
    ),
    _gate_rest(
        "settled funding",
        "funding_rate?contract=BTC_USDT",
        [{"t": T // 1000, "r": "0.0001"}],
        ("FundingRate", {"rate": 0.0001, "is_settled": True, "event_ns": NS}),
    ),
    _gate_rest(
        "turnover in dollars",
        "tickers",
        [{"contract": "BTC_USDT", "volume_24h_quote": "123"}],
        ("Turnover", {"notional_usd": 123.0}),
    ),
    _gate("a channel of tomorrow", "new", {}, ("Unknown", {"kind": "futures.new"})),
)

BITGET = (
    _bitget(
        "a book",
        "books",
        [{"a": [["60000.1", "1"]], "b": [["60000", "2"]], "seq": 2**60, "pseq": 0, "ts": str(T)}],
        (
            "BookSnapshot",
            {"sequence": 2**60, "levels": ([600_000, 600_001], [2.0, 1.0], 1), "event_ns": NS},
        ),
        symbol="BTCUSDT",
        action="snapshot",
    ),
    _bitget(
        "a diff names what came before, beyond 2^53",
        "books",
        [{"a": [], "b": [["60000", "0"]], "seq": 2**60 + 3, "pseq": 2**60, "ts": str(T)}],
        ("BookDelta", {"sequence": 2**60 + 3, "previous_sequence": 2**60}),
        symbol="BTCUSDT",
        action="update",
    ),
    _bitget(
        "the top of the book",
        "books1",
        [{"a": [["60000.1", "1"]], "b": [["60000", "2"]], "seq": 9, "ts": str(T)}],
        ("BestQuote", {"bid_quantity": 2.0, "ask_price": 60_000.1}),
        symbol="BTCUSDT",
        action="snapshot",
    ),
    _bitget(
        "taker side; thousands become coins",
        "publicTrade",
        [{"i": "5", "p": "0.02", "v": "7", "S": "sell", "T": str(T)}],
        (
            "Trade",
            {
                "aggressor": Aggressor.SELL,
                "price": 0.00002,
                "quantity": 7_000.0,
                "trade_id": "5",
            },
        ),
        symbol="1000BONKUSDT",
        action="update",
    ),
    _bitget(
        "the side of a liquidation is the position's, its amount in dollars",
        "liquidation",
        [
            {
                "symbol": "BTCUSDT",
                "side": "buy",
                "price": "60000",
                "amount": "3000",
                "ts": str(T),
            }
        ],
        (
            "Liquidation",
            {
                "position_side": PositionSide.LONG,
                "quantity": 0.05,
                "price": 60_000.0,
                "price_kind": PriceKind.FILL,
                "coverage": Coverage.SAMPLED,
            },
        ),
        action="update",
    ),
    _bitget(
        "everything of a ticker",
        "ticker",
        [
            {
                "markPrice": "60000",
                "indexPrice": "60005",
                "fundingRate": "0.0001",
                "openInterest": "29539.5",
                "nextFundingTime": str(T),
                "bid1Price": "59999.9",
                "bid1Size": "1",
                "ask1Price": "60000",
                "ask1Size": "2",
            }
        ],
        ("MarkPrice", {"price": 60_000.0}),
        ("IndexPrice", {"price": 60_005.0}),
        ("OpenInterest", {"quantity": 29_539.5}),
        ("FundingRate", {"rate": 0.0001, "next_funding_ns": NS}),
        ("BestQuote", {"bid_price": 59_999.9, "ask_quantity": 2.0}),
        symbol="BTCUSDT",
        action="snapshot",
    ),
    _bitget_rest(
        "the list",
        "/api/v3/market/instruments?category=USDT-FUTURES",
        [
            {
                "symbol": "1000BONKUSDT",
                "baseCoin": "1000BONK",
                "quoteCoin": "USDT",
                "priceMultiplier": "0.000001",
                "quantityMultiplier": "1",
                "type": "perpetual",
                "status": "online",
                "maxLeverage": "75",
                "fundInterval": "4",
            }
        ],
        (
            "Listing",
            {
                "instrument": {
                    "id": "bitget:1000BONKUSDT",
                    "venue": "bitget",
                    "symbol": "1000BONKUSDT",
                    "base": "BONK",
                    "quote": "USDT",
                    "settle": "USDT",
                    "kind": ContractKind.LINEAR,
                    "tick_mantissa": 1,
                    "tick_decimals": 6,
                    "price_factor": 0.001,
                    "quantity_factor": 1000.0,
                    "lot": 1.0,
                    "max_leverage": 75.0,
                    "funding_interval_h": 4.0,
                    "is_trading": True,
                    "is_perpetual": True,
                    "is_main": False,
                }
            },
        ),
    ),
    _bitget_rest(
        "tiers are made continuous",
        "/api/v2/mix/market/query-position-lever?symbol=BTCUSDT",
        [
            {
                "symbol": "BTCUSDT",
                "startUnit": "0",
                "endUnit": "50000",
                "leverage": "125",
                "keepMarginRate": "0.004",
            },
            {
                "symbol": "BTCUSDT",
                "startUnit": "50000",
                "endUnit": "200000",
                "leverage": "100",
                "keepMarginRate": "0.005",
            },
        ],
        ("TierTable", {"tiers": [(0.0, 5e4, 125.0, 0.004, 0.0), (5e4, 2e5, 100.0, 0.005, 50.0)]}),
    ),
    _bitget_rest(
        "past candles",
        "/api/v3/market/history-candles?symbol=BTCUSDT&interval=1m&type=market",
        [[str(T), "1", "3", "1", "2", "9", "18"]],
        ("Candle", {"of": CandleOf.LAST, "event_ns": NS + 60 * 10**9, "volume": 9.0}),
    ),
    _bitget_rest(
        "settled funding",
        "/api/v3/market/history-fund-rate?symbol=BTCUSDT",
        {
            "resultList": [
                {"symbol": "BTCUSDT", "fundingRate": "0.0002", "fundingRateTimestamp": str(T)}
            ]
        },
        ("FundingRate", {"rate": 0.0002, "is_settled": True}),
    ),
    _bitget_rest(
        "open interest by poll",
        "/api/v3/market/open-interest?symbol=BTCUSDT",
        {"list": [{"symbol": "BTCUSDT", "openInterest": "12.5"}], "ts": str(T)},
        ("OpenInterest", {"quantity": 12.5}),
    ),
    _bitget_rest(
        "accounts by side",
        "/api/v2/mix/market/account-long-short?symbol=BTCUSDT",
        [{"longAccountRatio": "0.6", "shortAccountRatio": "0.4", "ts": str(T)}],
        ("PositioningRatio", {"basis": "accounts", "long_share": 0.6}),
    ),
    _bitget_rest(
        "turnover in dollars",
        "/api/v3/market/tickers?category=USDT-FUTURES",
        [{"symbol": "BTCUSDT", "turnover24h": "77"}],
        ("Turnover", {"notional_usd": 77.0}),
    ),
    _case(
        "bitget",
        "a refusal is a notice",
        {"event": "error", "arg": {}, "code": 30001, "msg": "no such topic"},
        ("Notice", {"kind": "error"}),
    ),
    _bitget("a topic of tomorrow", "new", [], ("Unknown", {"kind": "new"}), action="update"),
)

BITMEX = (
    _bitmex(
        "a whole book in dollars",
        "orderBookL2",
        "partial",
        [
            {"symbol": "XBTUSD", "id": 1, "side": "Sell", "size": 500, "price": 50_000},
            {"symbol": "XBTUSD", "id": 2, "side": "Buy", "size": 100, "price": 40_000},
        ],
        ("BookSnapshot", {"levels": ([40_000_000, 50_000_000], [0.0025, 0.01], 1)}),
    ),
    _bitmex(
        "a row that is deleted",
        "orderBookL2",
        "delete",
        [
            {
                "symbol": "XBTUSD",
                "id": 1,
                "side": "Sell",
                "price": 50_000,
                "timestamp": ISO,
            }
        ],
        (
            "BookDelta",
            {"levels": ([50_000_000], [0.0], 0), "previous_sequence": -1, "event_ns": NS},
        ),
    ),
    _bitmex(
        "a row without a price voids the book",
        "orderBookL2",
        "update",
        [{"symbol": "XBTUSD", "id": 1, "side": "Sell", "size": 5}],
        ("Gap", {"reason": GapReason.SEQUENCE, "instrument_id": "bitmex:XBTUSD"}),
    ),
    _bitmex(
        "contracts of a linear market are millionths",
        "trade",
        "insert",
        [
            {
                "timestamp": ISO,
                "symbol": "XBTUSDT",
                "side": "Buy",
                "size": 2_000,
                "price": 60_000,
                "trdMatchID": "x",
            }
        ],
        (
            "Trade",
            {
                "quantity": 0.002,
                "aggressor": Aggressor.BUY,
                "event_ns": NS,
                "trade_id": "x",
            },
        ),
    ),
    _bitmex(
        "an order that buys closed a short; the table has no time",
        "liquidation",
        "insert",
        [
            {
                "orderID": "o",
                "symbol": "XBTUSD",
                "side": "Buy",
                "price": 50_000,
                "leavesQty": 5_000,
            }
        ],
        (
            "Liquidation",
            {
                "position_side": PositionSide.SHORT,
                "quantity": 0.1,
                "event_ns": GOT_NS,
                "price_kind": PriceKind.LIMIT,
                "coverage": Coverage.SAMPLED,
            },
        ),
    ),
    _bitmex(
        "an update of a liquidation order is not a new one",
        "liquidation",
        "update",
        [{"orderID": "o", "symbol": "XBTUSD", "leavesQty": 10}],
        ("Notice", {"kind": "unused", "detail": "liquidation update"}),
    ),
    _bitmex(
        "what changed of an instrument",
        "instrument",
        "update",
        [
            {
                "symbol": "XBTUSD",
                "timestamp": ISO,
                "markPrice": 50_000,
                "indicativeSettlePrice": 50_010,
                "openInterest": 1_000_000,
                "fundingRate": 0.0001,
                "fundingTimestamp": ISO,
            }
        ],
        ("MarkPrice", {"price": 50_000.0}),
        ("IndexPrice", {"price": 50_010.0}),
        ("OpenInterest", {"quantity": 20.0, "notional_usd": 1_000_000.0}),
        ("FundingRate", {"rate": 0.0001, "next_funding_ns": NS}),
    ),
    _bitmex(
        "open interest without a mark stays in dollars",
        "instrument",
        "update",
        [{"symbol": "XBTUSD", "openInterest": 700}],
        ("OpenInterest", {"quantity": 0.0, "notional_usd": 700.0}),
    ),
    _bitmex(
        "a quote",
        "quote",
        "insert",
        [
            {
                "timestamp": ISO,
                "symbol": "XBTUSD",
                "bidSize": 50,
                "bidPrice": 50_000,
                "askPrice": 50_000.5,
                "askSize": 0,
            }
        ],
        ("BestQuote", {"bid_quantity": 0.001, "ask_price": 50_000.5}),
    ),
    _bitmex_rest(
        "the list: an inverse contract with its tiers and turnover",
        "instrument/active",
        [
            {
                "symbol": "XBTUSD",
                "typ": "FFWCSX",
                "underlying": "XBT",
                "quoteCurrency": "USD",
                "settlCurrency": "XBt",
                "tickSize": 0.5,
                "lotSize": 100,
                "multiplier": -100_000_000,
                "isInverse": True,
                "isQuanto": False,
                "state": "Open",
                "initMargin": 0.01,
                "maintMargin": 0.005,
                "riskLimit": 20_000_000_000,
                "riskStep": 10_000_000_000,
                "fundingInterval": "2000-01-01T08:00:00.000Z",
                "foreignNotional24h": 5_000,
            }
        ],
        (
            "Listing",
            {
                "instrument": {
                    "id": "bitmex:XBTUSD",
                    "venue": "bitmex",
                    "symbol": "XBTUSD",
                    "base": "BTC",
                    "quote": "USD",
                    "settle": "BTC",
                    "kind": ContractKind.INVERSE,
                    "tick_mantissa": 5,
                    "tick_decimals": 1,
                    "price_factor": 1.0,
                    "quantity_factor": 1.0,
                    "lot": 100.0,
                    "max_leverage": 100.0,
                    "funding_interval_h": 8.0,
                    "is_trading": True,
                    "is_perpetual": True,
                    "is_main": True,
                }
            },
        ),
        ("TierTable", {}),
        ("Turnover", {"notional_usd": 5_000.0}),
    ),
    _bitmex_rest(
        "a quanto is nobody's coins",
        "instrument/active",
        [
            {
                "symbol": "ETHUSD",
                "typ": "FFWCSX",
                "underlying": "ETH",
                "quoteCurrency": "USD",
                "settlCurrency": "XBt",
                "tickSize": 0.05,
                "isQuanto": True,
            }
        ],
        ("Notice", {"kind": "unused"}),
    ),
    _bitmex_rest(
        "a minute of the past is stamped with its end",
        "trade/bucketed?binSize=1m",
        [
            {
                "timestamp": ISO,
                "symbol": "XBTUSD",
                "open": 40_000,
                "high": 50_000,
                "low": 40_000,
                "close": 50_000,
                "volume": 500,
            }
        ],
        ("Candle", {"event_ns": NS, "volume": 0.01, "interval_ns": 60 * 10**9}),
    ),
    _bitmex_rest(
        "settled funding",
        "funding?symbol=XBTUSD",
        [{"timestamp": ISO, "symbol": "XBTUSD", "fundingRate": 0.0001}],
        ("FundingRate", {"interval_h": 8.0, "is_settled": True}),
    ),
    _bitmex_rest(
        "the fund is in satoshi",
        "insurance?count=1",
        [{"currency": "XBt", "timestamp": ISO, "walletBalance": 250_000_000}],
        ("InsuranceFund", {"asset": "BTC", "balance": 2.5}),
    ),
    _bitmex("a table of tomorrow", "new", "insert", [], ("Unknown", {"kind": "new"})),
    _case("bitmex", "a welcome", {"info": "Welcome"}, ("Notice", {"kind": "welcome"})),
)

_FLAGGED = {
    "trade_id": "1",
    "timestamp": T,
    "price": 50_000,
    "instrument_name": "BTC-PERPETUAL",
    "direction": "sell",
    "amount": 5_000,
}

DERIBIT = (
    _deribit(
        "a book in dollars",
        "book.BTC-PERPETUAL.100ms",
        {
            "type": "snapshot",
            "timestamp": T,
            "instrument_name": "BTC-PERPETUAL",
            "change_id": 9,
            "bids": [["new", 50_000, 100]],
            "asks": [["new", 50_000.5, 0]],
        },
        ("BookSnapshot", {"sequence": 9, "levels": ([50_000_000, 50_000_500], [0.002, 0.0], 1)}),
    ),
    _deribit(
        "a change names what came before; deleted is zero",
        "book.BTC-PERPETUAL.100ms",
        {
            "type": "change",
            "timestamp": T,
            "instrument_name": "BTC-PERPETUAL",
            "prev_change_id": 9,
            "change_id": 12,
            "bids": [["delete", 50_000, 77]],
            "asks": [],
        },
        (
            "BookDelta",
            {"previous_sequence": 9, "sequence": 12, "levels": ([50_000_000], [0.0], 1)},
        ),
    ),
    _deribit(
        "a linear contract counts coins",
        "trades.BTC_USDC-PERPETUAL.100ms",
        [_FLAGGED | {"instrument_name": "BTC_USDC-PERPETUAL", "amount": 0.5, "direction": "buy"}],
        (
            "Trade",
            {"quantity": 0.5, "aggressor": Aggressor.BUY, "kind": TradeKind.MARKET},
        ),
    ),
    _deribit(
        "T: the taker who sold was a long",
        "trades.BTC-PERPETUAL.100ms",
        [_FLAGGED | {"liquidation": "T"}],
        ("Trade", {"kind": TradeKind.LIQUIDATION, "quantity": 0.1}),
        (
            "Liquidation",
            {
                "position_side": PositionSide.LONG,
                "quantity": 0.1,
                "price_kind": PriceKind.FILL,
                "coverage": Coverage.COMPLETE,
            },
        ),
    ),
    _deribit(
        "M: the maker who bought from that taker was a short",
        "trades.BTC-PERPETUAL.100ms",
        [_FLAGGED | {"liquidation": "M"}],
        ("Trade", {"kind": TradeKind.LIQUIDATION}),
        ("Liquidation", {"position_side": PositionSide.SHORT}),
    ),
    _deribit(
        "MT: both",
        "trades.BTC-PERPETUAL.100ms",
        [_FLAGGED | {"liquidation": "MT", "direction": "buy"}],
        ("Trade", {"kind": TradeKind.LIQUIDATION}),
        ("Liquidation", {"position_side": PositionSide.SHORT}),
        ("Liquidation", {"position_side": PositionSide.LONG}),
    ),
    _deribit(
        "everything of a ticker",
        "ticker.BTC-PERPETUAL.100ms",
        {
            "timestamp": T,
            "instrument_name": "BTC-PERPETUAL",
            "mark_price": 50_000,
            "index_price": 50_010,
            "open_interest": 1_000_000,
            "current_funding": 0.00002,
            "best_bid_price": 49_999.5,
            "best_bid_amount": 10,
            "best_ask_price": 0,
            "best_ask_amount": 0,
        },
        ("MarkPrice", {"price": 50_000.0}),
        ("IndexPrice", {"price": 50_010.0}),
        ("OpenInterest", {"quantity": 20.0, "notional_usd": 1_000_000.0}),
        ("FundingRate", {"rate": 0.00002, "interval_h": 8.0}),
    ),
    _deribit(
        "a quote",
        "quote.BTC-PERPETUAL",
        {
            "timestamp": T,
            "instrument_name": "BTC-PERPETUAL",
            "best_bid_price": 50_000,
            "best_bid_amount": 100,
            "best_ask_price": 50_000.5,
            "best_ask_amount": 50,
        },
        ("BestQuote", {"bid_quantity": 0.002}),
    ),
    _deribit_rest(
        "the list: inverse is what settles in its base",
        "get_instruments?currency=any",
        [
            {
                "instrument_name": "BTC-PERPETUAL",
                "base_currency": "BTC",
                "quote_currency": "USD",
                "settlement_currency": "BTC",
                "settlement_period": "perpetual",
                "instrument_type": "reversed",
                "tick_size": 0.5,
                "min_trade_amount": 10,
                "max_leverage": 50,
                "is_active": True,
            }
        ],
        (
            "Listing",
            {
                "instrument": {
                    "id": "deribit:BTC-PERPETUAL",
                    "venue": "deribit",
                    "symbol": "BTC-PERPETUAL",
                    "base": "BTC",
                    "quote": "USD",
                    "settle": "BTC",
                    "kind": ContractKind.INVERSE,
                    "tick_mantissa": 5,
                    "tick_decimals": 1,
                    "price_factor": 1.0,
                    "quantity_factor": 1.0,
                    "lot": 10.0,
                    "max_leverage": 50.0,
                    "funding_interval_h": 8.0,
                    "is_trading": True,
                    "is_perpetual": True,
                    "is_main": True,
                }
            },
        ),
    ),
    _deribit_rest(
        "past candles come in columns, volume in coins",
        "get_tradingview_chart_data?instrument_name=BTC-PERPETUAL&resolution=1",
        {
            "ticks": [T],
            "open": [1],
            "high": [3],
            "low": [1],
            "close": [2],
            "volume": [0.5],
            "status": "ok",
        },
        ("Candle", {"event_ns": NS + 60 * 10**9, "volume": 0.5, "high": 3.0}),
    ),
    _deribit_rest(
        "what an hour of funding has cost",
        "get_funding_rate_history?instrument_name=BTC-PERPETUAL",
        [{"timestamp": T, "interest_1h": -0.000001, "interest_8h": 0.1}],
        ("FundingRate", {"rate": -0.000001, "interval_h": 1.0, "is_settled": True}),
    ),
    _deribit_rest(
        "turnover in dollars",
        "get_book_summary_by_currency?kind=future&currency=BTC",
        [{"instrument_name": "BTC-PERPETUAL", "volume_usd": 1_234.0}],
        ("Turnover", {"notional_usd": 1_234.0}),
    ),
    _case(
        "deribit",
        "a heartbeat",
        {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}},
        ("Notice", {"kind": "heartbeat"}),
    ),
    _case(
        "deribit",
        "an acknowledgement",
        {"jsonrpc": "2.0", "id": 1, "result": ["book.BTC-PERPETUAL.100ms"]},
        ("Notice", {"kind": "ack"}),
    ),
    _deribit("a channel of tomorrow", "new.BTC", {}, ("Unknown", {"kind": "new"})),
)

CASES: tuple[Case, ...] = (*BINANCE_COINM, *BYBIT_INVERSE, *GATE, *BITGET, *BITMEX, *DERIBIT)
