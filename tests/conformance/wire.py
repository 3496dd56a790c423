"""Fixture files as frames: which source each stands for, and the instruments it speaks of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from liqfield.model.events import Event, Frame
from liqfield.model.instrument import Instrument
from liqfield.venues import registry
from tests.support import INSTRUMENTS

GOT_NS = 1_800_000_000_000_000_000
# Where a venue's folder is not named like the venue.
FOLDERS = {"binance": "binance_usdm"}
SOCKETS = {
    "binance": "ws:/public/ws#books",
    "bybit": "ws:/v5/public/linear#all",
    "okx": "ws:/ws/v5/public#all",
    "hyperliquid": "ws:/ws#flow",
    "binance-coinm": "ws:/ws#flow",
    "bybit-inverse": "ws:/v5/public/inverse#all",
    "gate": "ws:/v4/ws/usdt#flow",
    "bitget": "ws:/v3/ws/public#flow",
    "bitmex": "ws:/realtime#flow",
    "deribit": "ws:/ws/api/v2#flow",
}
# A REST file holds the body alone: what it was the answer to.
REQUESTS = {
    "binance": {
        "open_interest_poll": "/fapi/v1/openInterest?symbol=BTCUSDT",
        "rest_agg_trades": "/fapi/v1/aggTrades?symbol=BTCUSDT",
        "rest_basis": "/futures/data/basis?pair=BTCUSDT",
        "rest_depth_doc": "/fapi/v1/depth?symbol=BTCUSDT",
        "rest_depth_snapshot": "/fapi/v1/depth?symbol=BTCUSDT&limit=1000",
        "rest_exchange_info_doc": "/fapi/v1/exchangeInfo",
        "rest_funding_info": "/fapi/v1/fundingInfo",
        "rest_funding_rate": "/fapi/v1/fundingRate?symbol=BTCUSDT",
        "rest_global_ls_account": "/futures/data/globalLongShortAccountRatio?symbol=BTCUSDT",
        "rest_insurance_balance": "/fapi/v1/insuranceBalance",
        "rest_klines": "/fapi/v1/klines?symbol=BTCUSDT",
        "rest_leverage_bracket_signed": "/fapi/v1/leverageBracket",
        "rest_mark_price_klines": "/fapi/v1/markPriceKlines?symbol=BTCUSDT",
        "rest_open_interest": "/fapi/v1/openInterest?symbol=BTCUSDT",
        "rest_open_interest_hist": "/futures/data/openInterestHist?symbol=BTCUSDT",
        "rest_premium_index": "/fapi/v1/premiumIndex",
        "rest_taker_ratio": "/futures/data/takerlongshortRatio?symbol=BTCUSDT",
        "rest_top_ls_account": "/futures/data/topLongShortAccountRatio?symbol=BTCUSDT",
        "rest_top_ls_position": "/futures/data/topLongShortPositionRatio?symbol=BTCUSDT",
        "rest_trades": "/fapi/v1/trades?symbol=BTCUSDT",
    },
    "bybit": {
        "rest_account_ratio": "/v5/market/account-ratio?category=linear",
        "rest_funding_history": "/v5/market/funding/history?category=linear",
        "rest_instruments_info_trimmed": "/v5/market/instruments-info?category=linear",
        "rest_insurance": "/v5/market/insurance",
        "rest_kline": "/v5/market/kline?interval=60",
        "rest_open_interest": "/v5/market/open-interest?category=inverse",
        "rest_orderbook": "/v5/market/orderbook?category=linear",
        "rest_price_limit": "/v5/market/price-limit",
        "rest_recent_trade": "/v5/market/recent-trade",
        "rest_risk_limit": "/v5/market/risk-limit",
        "rest_system_status": "/v5/system/status",
        "rest_tickers": "/v5/market/tickers?category=inverse",
    },
    "okx": {
        "rest_books": "/api/v5/market/books?instId=BTC-USDT-SWAP",
        "rest_funding_rate": "/api/v5/public/funding-rate?instId=BTC-USDT-SWAP",
        "rest_funding_rate_history": "/api/v5/public/funding-rate-history?instId=BTC-USD-SWAP",
        "rest_instruments": "/api/v5/public/instruments?instType=SPOT",
        "rest_instruments_swap": "/api/v5/public/instruments?instType=SWAP",
        "rest_insurance_fund": "/api/v5/public/insurance-fund?instType=SWAP",
        "rest_mark_price": "/api/v5/public/mark-price?instType=SWAP",
        "rest_open_interest": "/api/v5/public/open-interest?instType=SWAP",
        "rest_position_tiers": "/api/v5/public/position-tiers?instType=SWAP",
        "rest_rubik_contract_oi_volume": "/api/v5/rubik/stat/contracts/open-interest-volume",
        "rest_rubik_ls_ratio": (
            "/api/v5/rubik/stat/contracts/long-short-account-ratio-contract?instId=BTC-USDT-SWAP"
        ),
        "rest_rubik_taker_volume": (
            "/api/v5/rubik/stat/taker-volume-contract?instId=BTC-USDT-SWAP"
        ),
        "rest_trades": "/api/v5/market/trades?instId=BTC-USDT-SWAP",
    },
    "hyperliquid": {
        "rest_all_mids": '/info {"type":"allMids"}',
        "rest_candle_snapshot": '/info {"type":"candleSnapshot"}',
        "rest_funding_history": '/info {"type":"fundingHistory"}',
        "rest_funding_history_recorded": '/info {"type":"fundingHistory"}',
        "rest_l2_book": '/info {"type":"l2Book"}',
        "rest_meta": '/info {"type":"meta"}',
        "rest_meta_and_asset_ctxs": '/info {"type":"metaAndAssetCtxs"}',
    },
    "binance-coinm": {
        "open_interest_poll": "/dapi/v1/openInterest?symbol=BTCUSD_200925",
        "rest_depth_snapshot": "/dapi/v1/depth?symbol=BTCUSD_200925",
    },
    # Rows of tables alone, as the REST side of the venue answers.
    "bitmex": {
        "funding_rate_shape": "/api/v1/funding?symbol=XBTUSD",
    },
}
_SYMBOL_KEYS = ("s", "ps", "symbol", "instId", "coin", "pair", "contract", "c", "instrument_name")
_SEVERAL_REPLIES = (
    "open_interest_poll",
    "rest_candle_snapshot",
    "rest_funding_history_recorded",
    "rest_l2_book",
    "rest_meta",
)
# A list of names, and rows without the table that would make a message of them.
_NO_VENUE_SAYS = (
    "multiplier_symbols",
    "instrument_mark_update_shape",
    "liquidation_shape",
    "orderbook_10_shape",
    "orderbook_l2_shape",
)


def frames_of(venue: str, path: Path) -> list[Frame]:
    """The messages of one fixture file; what the client sent is left out."""
    name = path.stem
    request = REQUESTS.get(venue, {}).get(name)
    document = json.loads(path.read_bytes())
    several = request is None or name in _SEVERAL_REPLIES
    items = document if several and isinstance(document, list) else [document]
    return [frame for item in items if (frame := _frame(venue, request, item)) is not None]


def _frame(venue: str, request: str | None, item: Any) -> Frame | None:
    received_ns, message = GOT_NS, item
    if isinstance(item, dict):
        asks = "method" in item and item["method"] != "subscription"
        if "send" in item or asks or ("op" in item and "args" in item):
            return None
        if item.keys() <= {"recv_ns", "recv_s", "msg"}:
            received_ns = int(item.get("recv_ns", 0) or item["recv_s"] * 1e9)
            message = item["msg"]
        if "localTimestamp" in item:
            message = item["message"]
        if item.get("generated"):
            message = item["data"]
        if "response" in item:
            request = f"/info {json.dumps(item['request'])}"
            message = item["response"]
        if "lastUpdateId" in message and venue == "binance":
            request = "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
    source = f"rest:{request}" if request else SOCKETS[venue]
    return Frame(venue, source, received_ns, msgspec.json.encode(message))


def fixture_files(shared: Path, venue: str) -> list[Path]:
    folder = shared / "data" / "wire" / FOLDERS.get(venue, venue.replace("-", "_"))
    return [path for path in sorted(folder.glob("*.json")) if path.stem not in _NO_VENUE_SAYS]


def catalogue(frames: list[Frame]) -> dict[str, Instrument]:
    """Plain linear instruments for every symbol the frames name, and those with known units."""
    found: dict[str, Instrument] = {}
    for frame in frames:
        for name in _symbols(json.loads(frame.payload)):
            for symbol in (name, f"{name}-SWAP", name.removeprefix("ob.").removesuffix(".400")):
                key = f"{frame.venue}:{symbol}"
                found[key] = Instrument(
                    id=key,
                    venue=frame.venue,
                    symbol=symbol,
                    base=name,
                    quote="USDT",
                    settle="USDT",
                    tick_decimals=8,
                )
    return {**found, **INSTRUMENTS}


def _symbols(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in _SYMBOL_KEYS and isinstance(value, str):
                yield value
            else:
                yield from _symbols(value)
    elif isinstance(node, list):
        for value in node:
            yield from _symbols(value)


def decode_all(frames: list[Frame], known: Mapping[str, Instrument]) -> list[Event]:
    """Events of frames of one venue, in order."""
    venue = registry.VENUES[frames[0].venue]()
    return [event for frame in frames for event in venue.decode(frame, known)]
