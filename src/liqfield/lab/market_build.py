"""From a specification to a filled State: parameters, tier tables, first positions."""

from __future__ import annotations

import math
from collections.abc import Mapping

from liqfield.lab import market_state as ms
from liqfield.lab.market_positions import seed_positions
from liqfield.lab.market_setup import DEPTH_FACTOR, OI_SHARE, instrument, tiers
from liqfield.lab.market_state import State, allocate
from liqfield.lab.market_types import VENUES, BaseSpec, LeverageLaw, PositionLaw

FAMILIES = ("lognormal", "gamma", "pareto", "mixture", "menu")
MARK_TAU_S = {"binance": 30.0, "bybit": 30.0, "okx": 30.0, "hyperliquid": 150.0}
HALF_SPREAD = {"binance": 0.6e-5, "bybit": 0.7e-5, "okx": 0.8e-5, "hyperliquid": 1.2e-5}
WINDOW_SHARE = 0.032  # the ring of ticks covers about +-1.6 % of the price
H_NS = 3_600_000_000_000


def window_ticks(base: BaseSpec, venues: tuple[str, ...]) -> int:
    """A power of two that covers the window in the finest tick of these venues."""
    finest = min(instrument(venue, base.base).tick_usd for venue in venues)
    return int(2 ** math.ceil(math.log2(max(base.price * WINDOW_SHARE / finest, 1024.0))))


def _set_law(state: State, v: int, row: int, law: LeverageLaw) -> None:
    if law.family not in FAMILIES:
        raise ValueError(f"leverage family {law.family!r} is none of {', '.join(FAMILIES)}")
    if len(law.menu) != len(law.menu_weights) or not 0 < len(law.menu) <= 16:
        raise ValueError("menu and menu_weights must have the same length, 1 to 16")
    first = ms.LAW + 4 * row
    family = FAMILIES.index(law.family)
    par = state.xf[v]
    par[first : first + 4] = (family, law.median, law.spread, law.isolated_share)
    total, running = sum(law.menu_weights), 0.0
    atoms, sums = ms.MENU_ATOM + row * ms.ATOMS, ms.MENU_SUM + row * ms.ATOMS
    par[atoms : atoms + ms.ATOMS] = law.menu[-1]
    par[sums : sums + ms.ATOMS] = 1.0
    for k, (atom, weight) in enumerate(zip(law.menu, law.menu_weights, strict=True)):
        running += weight / total
        par[atoms + k] = atom
        par[sums + k] = running if k + 1 < len(law.menu) else 1.0


def _set_venue(
    state: State, v: int, base: BaseSpec, venue: str, law: PositionLaw, slots: int, share: float
) -> None:
    spec = instrument(venue, base.base)
    lot = spec.lot * spec.quantity_factor
    table = tiers(venue, base.base)
    par = state.xf[v]
    par[ms.TICK], par[ms.LOT], par[ms.STYLE] = spec.tick_usd, lot, VENUES.index(venue)
    par[ms.BY_QUANTITY] = float(table[0].by_quantity)
    par[ms.FEE] = 0.0005 if venue == "okx" else 0.0
    par[ms.D10] = base.depth_10bp_usd * DEPTH_FACTOR[venue] / base.price / lot
    par[ms.OI_TARGET] = base.open_interest_usd * share / base.price / lot
    par[ms.HALF_SPREAD] = HALF_SPREAD[venue]
    par[ms.FUND_H], par[ms.HOLD_S] = spec.funding_interval_h, law.holding_h * 3600.0
    par[ms.HOLD_TILT], par[ms.CHURN_VOL] = law.holding_tilt, law.churn_volatility
    par[ms.STOP_SHARE], par[ms.STOP_PLACE] = law.stop_share, law.stop_place
    par[ms.TOP_UP], par[ms.SIZE_SD] = law.top_up_share, law.size_log_sd
    par[ms.TURNOVER], par[ms.N_TARGET] = base.turnover_per_day, 0.3 * slots
    par[ms.MARK_TAU] = MARK_TAU_S[venue]
    par[ms.WALLS_PER_S], par[ms.ABSORB_PER_S] = 1.0 / 75.0, 1.0 / 150.0
    par[ms.TAKER_SHARE], par[ms.BASIS0] = law.taker_share, 0.00005
    par[ms.CROSS_NOISE] = law.cross_noise
    _set_law(state, v, 0, law.taker)
    _set_law(state, v, 1, law.maker)
    state.xi[v, ms.TIER_COUNT] = len(table)
    for k, tier in enumerate(table):
        par[ms.TIER_FLOOR + k], par[ms.TIER_CAP + k] = tier.floor, tier.cap
        par[ms.TIER_LEVERAGE + k] = tier.max_leverage
        par[ms.TIER_RATE + k], par[ms.TIER_CUT + k] = tier.maintenance_rate, tier.deduction


def build_state(
    base: BaseSpec,
    venues: tuple[str, ...],
    law: PositionLaw,
    slots: int,
    start_ns: int,
    seed: int,
    *,
    fine: bool,
    venue_laws: Mapping[str, PositionLaw] | None = None,
) -> State:
    """One base on its venues, positions seeded, clock at start_ns (a whole minute).

    venue_laws: of venues whose people do not follow `law`."""
    own = venue_laws or {}
    window = window_ticks(base, venues) if fine else 2
    state = allocate(len(venues), slots, window, fine=fine, seed=seed)
    state.clock[1] = start_ns
    state.xi[:, ms.NOW] = start_ns
    b = state.base
    b[ms.B_INDEX] = b[ms.B_LAST] = math.log(base.price)
    b[ms.B_FOLLOW_S] = base.follow_s
    b[ms.B_SIGMA] = 0.85 * base.daily_volatility  # order flow and shocks add the rest
    b[ms.B_VAR] = b[ms.B_SIGMA] ** 2 / 86_400.0
    b[ms.B_BETA], b[ms.B_JUMPS_PER_DAY] = 0.7, base.jumps_per_day
    b[ms.B_JUMP_SD], b[ms.B_VOLVOL], b[ms.B_STRESS] = 0.22 * base.daily_volatility, 0.45, 1.0
    total_share = sum(OI_SHARE[venue] for venue in venues)
    for v, venue in enumerate(venues):
        share = OI_SHARE[venue] / total_share
        _set_venue(state, v, base, venue, own.get(venue, law), slots, share)
        f = par = state.xf[v]
        f[ms.M] = f[ms.INDEX] = b[ms.B_INDEX]
        f[ms.SIGMA], f[ms.STRESS], f[ms.VAR] = b[ms.B_SIGMA], 1.0, b[ms.B_VAR]
        f[ms.MID] = f[ms.LAST] = f[ms.MARK] = base.price
        f[ms.FUND_USD] = 0.004 * base.open_interest_usd * OI_SHARE[venue]
        interval = round(par[ms.FUND_H] * H_NS)
        state.xi[v, ms.NEXT_FUNDING] = (start_ns // interval + 1) * interval
        churn = 1.0 / par[ms.HOLD_S] + par[ms.CHURN_VOL] * 0.8 * math.sqrt(b[ms.B_VAR] / 300.0)
        f[ms.CLOSE_RATE] = 2.0 * par[ms.OI_TARGET] * churn
        seed_positions(state.xf[v], state.xi[v])
    return state
