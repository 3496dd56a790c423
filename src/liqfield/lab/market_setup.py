"""What is traded where: instruments, tier tables and ready-made specifications.

Symbols, ticks, lots and contract sizes are those of the venues in autumn 2026; tier tables follow
the venues' published structure (progressive with deduction; OKX flat by contracts), figures are
rounded and extended by ourselves where a venue publishes none.
"""

from __future__ import annotations

from liqfield.lab.market_types import VENUES, BaseSpec, MarketSpec
from liqfield.model.instrument import Instrument, tick_parts
from liqfield.model.margin import MarginTier, deductions

BTC = BaseSpec("BTC", 84_000.0, 0.030, 14e9, 16e6, 2.5)
ETH = BaseSpec("ETH", 2_780.0, 0.040, 8e9, 9e6, 3.0)
SOL = BaseSpec("SOL", 131.0, 0.050, 2.2e9, 3e6, 3.0)
XRP = BaseSpec("XRP", 2.05, 0.048, 1.4e9, 1.6e6, 2.5)
DOGE = BaseSpec("DOGE", 0.142, 0.055, 0.9e9, 1.0e6, 2.5)
BASES = {spec.base: spec for spec in (BTC, ETH, SOL, XRP, DOGE)}

# venue -> base -> (tick, lot in venue units, contract size in base coins)
_CONTRACTS: dict[str, dict[str, tuple[str, float, float]]] = {
    "binance": {
        "BTC": ("0.1", 0.001, 1.0),
        "ETH": ("0.01", 0.001, 1.0),
        "SOL": ("0.01", 0.01, 1.0),
        "XRP": ("0.0001", 0.1, 1.0),
        "DOGE": ("0.00001", 1.0, 1.0),
    },
    "bybit": {
        "BTC": ("0.1", 0.001, 1.0),
        "ETH": ("0.01", 0.01, 1.0),
        "SOL": ("0.01", 0.1, 1.0),
        "XRP": ("0.0001", 0.1, 1.0),
        "DOGE": ("0.00001", 1.0, 1.0),
    },
    "okx": {
        "BTC": ("0.1", 0.01, 0.01),
        "ETH": ("0.01", 0.01, 0.1),
        "SOL": ("0.01", 0.01, 1.0),
        "XRP": ("0.0001", 0.01, 100.0),
        "DOGE": ("0.00001", 0.01, 1000.0),
    },
    "hyperliquid": {
        "BTC": ("1", 0.00001, 1.0),
        "ETH": ("0.1", 0.0001, 1.0),
        "SOL": ("0.01", 0.01, 1.0),
        "XRP": ("0.0001", 1.0, 1.0),
        "DOGE": ("0.00001", 1.0, 1.0),
    },
}

_SYMBOL = {
    "binance": "{}USDT",
    "bybit": "{}USDT",
    "okx": "{}-USDT-SWAP",
    "hyperliquid": "{}",
}
OI_SHARE = {"binance": 0.42, "bybit": 0.25, "okx": 0.18, "hyperliquid": 0.15}
DEPTH_FACTOR = {"binance": 1.0, "bybit": 0.65, "okx": 0.55, "hyperliquid": 0.45}

# caps in USD, maximum leverage, maintenance rate
_BINANCE = (
    (0.3e6, 150, 0.004),
    (0.8e6, 100, 0.005),
    (3e6, 75, 0.0065),
    (12e6, 50, 0.01),
    (70e6, 25, 0.02),
    (100e6, 20, 0.025),
    (230e6, 10, 0.05),
    (480e6, 5, 0.10),
    (600e6, 4, 0.125),
    (800e6, 3, 0.15),
    (1.2e9, 2, 0.25),
    (1.8e9, 1, 0.50),
)
_BYBIT = (
    (0.3e6, 150, 0.0033),
    (2e6, 100, 0.005),
    (4e6, 75, 0.0066),
    (8e6, 50, 0.01),
    (16e6, 40, 0.0125),
    (32e6, 25, 0.02),
    (64e6, 16, 0.03),
    (128e6, 10, 0.05),
    (256e6, 5, 0.10),
    (512e6, 2, 0.25),
)
# scale of the caps and factor on the rates for assets smaller than BTC
_SCALE = {"BTC": (1.0, 1.0), "ETH": (0.8, 1.0), "SOL": (0.25, 1.25)}
_SMALL = (0.15, 1.25)
_HYPERLIQUID = {
    "BTC": ((150e6, 40), (1e12, 20)),
    "ETH": ((100e6, 25), (1e12, 15)),
    "SOL": ((70e6, 20), (1e12, 10)),
    "XRP": ((40e6, 20), (1e12, 10)),
    "DOGE": ((20e6, 10), (1e12, 5)),
}
# contracts of OKX: cap of the first tier in BTC-equivalent USD, then the published pattern
_OKX_CAPS = (10, 50, 200, 400, 600, 800, 1000, 1200, 1400, 1600)  # in BTC
_OKX_RATES = (0.004, 0.005, 0.0075, 0.0125, 0.0175, 0.0225, 0.0275, 0.0325, 0.0375, 0.0425)
_OKX_LEVERAGE = (100, 66.66, 50, 40, 33.33, 28.57, 25, 22.22, 20, 18.18)


def instrument(venue: str, base: str) -> Instrument:
    """The instrument of a base on a venue, as the venue's own listing would decode to."""
    tick, lot, size = _CONTRACTS[venue][base]
    mantissa, decimals = tick_parts(tick)
    symbol = _SYMBOL[venue].format(base)
    is_hyperliquid = venue == "hyperliquid"
    return Instrument(
        id=f"{venue}:{symbol}",
        venue=venue,
        symbol=symbol,
        base=base,
        quote="USD" if is_hyperliquid else "USDT",
        settle="USDC" if is_hyperliquid else "USDT",
        tick_mantissa=mantissa,
        tick_decimals=decimals,
        quantity_factor=size,
        lot=lot,
        max_leverage=tiers(venue, base)[0].max_leverage,
        funding_interval_h=1.0 if is_hyperliquid else 8.0,
    )


def tiers(venue: str, base: str) -> tuple[MarginTier, ...]:
    """The tier table, ascending; OKX counts base coins (contracts x size) and has no deduction."""
    if venue == "okx":
        price = BASES[base].price
        scale = 84_000.0 / price * _SCALE.get(base, _SMALL)[0]
        caps = [cap * scale for cap in _OKX_CAPS]
        floors = [0.0, *caps[:-1]]
        return tuple(
            MarginTier(low, high, float(leverage), rate, by_quantity=True)
            for low, high, leverage, rate in zip(
                floors, caps, _OKX_LEVERAGE, _OKX_RATES, strict=True
            )
        )
    if venue == "hyperliquid":
        caps = [cap for cap, _ in _HYPERLIQUID[base]]
        leverages = [float(leverage) for _, leverage in _HYPERLIQUID[base]]
        rates = [0.5 / leverage for leverage in leverages]
    else:
        cap_scale, rate_scale = _SCALE.get(base, _SMALL)
        table = _BINANCE if venue == "binance" else _BYBIT
        caps = [cap * cap_scale for cap, _, _ in table]
        leverages = [float(leverage) / rate_scale for _, leverage, _ in table]
        leverages = [leverage if leverage < 3 else float(int(leverage)) for leverage in leverages]
        rates = [min(rate * rate_scale, 0.5) for _, _, rate in table]
    floors = [0.0, *caps[:-1]]
    cuts = deductions(floors, rates)
    return tuple(
        MarginTier(low, high, leverage, rate, cut)
        for low, high, leverage, rate, cut in zip(floors, caps, leverages, rates, cuts, strict=True)
    )


def demo_spec(start_ns: int, bases: tuple[str, ...] = ("BTC", "ETH", "SOL")) -> MarketSpec:
    """The market of `make demo`: the given bases on all four venues, a day of history."""
    return MarketSpec(tuple(BASES[base] for base in bases), start_ns, VENUES)
