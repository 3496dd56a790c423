"""The instrument behind the name of an archive: from a saved list of the venue, or by its rules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from liqfield.model.errors import DecodeError, SettingError
from liqfield.model.events import Frame, Listing
from liqfield.model.instrument import Instrument
from liqfield.model.sides import ContractKind
from liqfield.venues import registry
from liqfield.venues.decoding import base_and_factor, decimals_of

LIST_NAME = "instruments.json"
_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "USD")


def saved_list(folder: Path, venue: str) -> dict[str, Instrument]:
    """From `instruments.json` beside the archive: the venue's own reply to its instrument list."""
    path = (folder if folder.is_dir() else folder.parent) / LIST_NAME
    if not path.is_file() or venue not in registry.VENUES:
        return {}
    payload = path.read_bytes()
    reader = registry.VENUES[venue]()
    for request in reader.bootstrap(("BTC",)):
        try:
            events = reader.decode(Frame(venue, request.source, 0, payload), {})
        except DecodeError:
            continue
        found = {e.instrument.id: e.instrument for e in events if isinstance(e, Listing)}
        if found:
            return found
    raise SettingError(f"{path}: not a reply of {venue} to its instrument list")


def archived(
    instrument_id: str, known: Mapping[str, Instrument], contract_value: float | None = None
) -> Instrument:
    """The instrument of an archive. contract_value: what one contract is worth, in coins (linear)
    or USD (inverse), where sizes are contracts. Raises SettingError where it is needed and absent.
    """
    if instrument_id in known:
        of = known[instrument_id]
        if contract_value is None:
            return of
        return msgspec.structs.replace(of, quantity_factor=contract_value)
    venue, _, symbol = instrument_id.partition(":")
    if not venue or not symbol:
        raise SettingError(f"instrument {instrument_id!r}: write it as venue:symbol")
    if venue == "okx":
        return _okx(instrument_id, symbol, contract_value)
    if venue == "hyperliquid":
        thousands = symbol.startswith("k") and symbol[1:].isupper()
        base, factor, quote, kind = symbol, 1.0, "USDC", ContractKind.LINEAR
        if thousands:
            base, factor = symbol[1:], 1000.0
        return _make(instrument_id, base, quote, kind, factor, factor, hours=1.0)
    name = symbol.removesuffix("_PERP")
    if venue == "bybit" and name.endswith("PERP"):
        name = f"{name.removesuffix('PERP')}USDC"
    if venue == "deribit" and "_" not in name:
        name = f"{name.partition('-')[0]}USD"
    if venue == "bitmex" and name.startswith("XBT"):
        name = f"BTC{name.removeprefix('XBT')}"
    quote = next((q for q in _QUOTES if name.endswith(q)), "USDT")
    base, factor = base_and_factor(name.removesuffix(quote).rstrip("-_"))
    if quote == "USD":
        value = contract_value or _inverse_value(venue, base)
        return _make(instrument_id, base, quote, ContractKind.INVERSE, factor, value)
    value = (contract_value or 1.0) * factor
    return _make(instrument_id, base, quote, ContractKind.LINEAR, factor, value)


def _inverse_value(venue: str, base: str) -> float:
    """USD a contract: Binance 100 for BTC and 10 for the rest, elsewhere amounts are dollars."""
    if venue == "binance-coinm":
        return 100.0 if base == "BTC" else 10.0
    return 1.0


def _okx(instrument_id: str, symbol: str, contract_value: float | None) -> Instrument:
    if contract_value is None:
        raise SettingError(
            f"{instrument_id}: OKX counts contracts: give --contract-value (ctVal of the "
            f"instrument), or put the venue's reply to /api/v5/public/instruments beside the "
            f"files as {LIST_NAME}"
        )
    parts = symbol.split("-")
    base, factor = base_and_factor(parts[0])
    quote = parts[1] if len(parts) > 1 else "USDT"
    if quote == "USD":
        return _make(instrument_id, base, quote, ContractKind.INVERSE, factor, contract_value)
    value = contract_value * factor
    return _make(instrument_id, base, quote, ContractKind.LINEAR, factor, value)


def _make(
    instrument_id: str,
    base: str,
    quote: str,
    kind: ContractKind,
    factor: float,
    quantity_factor: float,
    hours: float = 8.0,
) -> Instrument:
    venue, _, symbol = instrument_id.partition(":")
    return Instrument(
        id=instrument_id,
        venue=venue,
        symbol=symbol,
        base=base,
        quote=quote,
        settle=quote if kind is ContractKind.LINEAR else base,
        kind=kind,
        price_factor=1.0 / factor,
        quantity_factor=quantity_factor,
        funding_interval_h=hours,
    )


class _Book(msgspec.Struct):
    s: str
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class _BookMessage(msgspec.Struct):
    data: _Book


def of_archived_book(frame: Frame) -> Instrument | None:
    """Bybit's downloaded books carry no instrument list: the tick as their prices are written."""
    if not frame.venue.startswith("bybit") or not frame.source.endswith("#archive"):
        return None
    try:
        book = msgspec.json.decode(frame.payload, type=_BookMessage).data
    except msgspec.DecodeError:
        return None
    prices = [price for price, _ in (*book.b, *book.a)]
    if not prices:
        return None
    of = archived(f"{frame.venue}:{book.s}", {})
    return msgspec.structs.replace(of, tick_decimals=max(map(decimals_of, prices)))
