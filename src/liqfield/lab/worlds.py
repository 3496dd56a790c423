"""Worlds with known truth: the built-in market run in coarse steps, with what really stood where.

Public facts and truth come apart: `VenueWorld.history` and `prints` are what feeds could show,
`snapshots` are every open position at set times.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from liqfield.lab import market_state as ms
from liqfield.lab.market_build import build_state
from liqfield.lab.market_history import HistoryKeeper
from liqfield.lab.market_positions import draw_intent
from liqfield.lab.market_setup import instrument, tiers
from liqfield.lab.market_state import State
from liqfield.lab.market_step import run
from liqfield.lab.market_truth import join_prints, positions_of, take_prints
from liqfield.lab.market_types import History, MarketSpec, Prints
from liqfield.model.durations import MINUTE_NS
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.instrument import Instrument
from liqfield.model.jit import kernel
from liqfield.model.margin import MarginTier

LOOK_NS = 5 * MINUTE_NS  # public accounts are compared so often
PUBLIC_ACCOUNTS = frozenset({"hyperliquid"})


class Snapshot(msgspec.Struct, frozen=True, eq=False):
    """Every open position (POSITION_DTYPE) and the mark (USD) at at_ns."""

    at_ns: int
    mark: float
    positions: npt.NDArray[Any]


class VenueWorld(msgspec.Struct, frozen=True, eq=False):
    """One instrument of a world. opened, closed: base coins by voluntary flow, per minute and side
    [n, 2]; for the ceiling filter, which is told the true churn. changes: of a venue with public
    accounts, every LOOK_NS the positions that are new or of another size than before, those that
    are gone with quantity 0."""

    instrument: Instrument
    tiers: tuple[MarginTier, ...]
    history: History
    prints: Prints
    snapshots: tuple[Snapshot, ...]
    opened: npt.NDArray[np.float64]
    closed: npt.NDArray[np.float64]
    changes: tuple[Snapshot, ...] = ()


def simulate(spec: MarketSpec, seed: int, snapshot_h: float) -> tuple[VenueWorld, ...]:
    """Run spec.history_h hours of the first base before spec.start_ns; one entry a venue."""
    base, step_ns = spec.bases[0], round(spec.coarse_step_s * 1e9)
    if MINUTE_NS % step_ns:
        raise ValueError(f"coarse_step_s {spec.coarse_step_s} does not divide a minute")
    last_ns = spec.start_ns // MINUTE_NS * MINUTE_NS
    first_ns = last_ns - round(spec.history_h * 60) * MINUTE_NS
    state = build_state(
        base,
        spec.venues,
        spec.positions,
        spec.accounts_per_instrument,
        first_ns,
        seed * 1_000_003 + 1,
        fine=False,
        venue_laws=spec.venue_positions,
    )
    venues = range(len(spec.venues))
    lots = [float(state.xf[v, ms.LOT]) for v in venues]
    keepers = [HistoryKeeper(lot) for lot in lots]
    prints: list[list[Prints]] = [[] for _ in venues]
    shots: list[list[Snapshot]] = [[] for _ in venues]
    flow: list[list[npt.NDArray[np.float64]]] = [[] for _ in venues]
    every_ns = round(snapshot_h * 60) * MINUTE_NS
    public = [v for v in venues if spec.venues[v] in PUBLIC_ACCOUNTS]
    held = {v: positions_of(state, v) for v in public}
    changes: list[list[Snapshot]] = [[] for _ in venues]
    # blocks end on snapshots and hold whole minutes that fit the tape
    block_ns = min(every_ns, ms.TAPE_ROWS * step_ns // MINUTE_NS * MINUTE_NS)
    if public:
        block_ns = min(block_ns, LOOK_NS)
    while (now := int(state.clock[1])) < last_ns:
        until = min(now + block_ns, now - (now - first_ns) % every_ns + every_ns, last_ns)
        rows = _block(state, (until - now) // step_ns, step_ns, seed, prints)
        for v in venues:
            keepers[v].add_minutes(rows[v], now, step_ns, 0.5)
            flow[v].append(_flow(rows[v], MINUTE_NS // step_ns) * lots[v])
            if (until - first_ns) % every_ns == 0:
                mark = float(state.xf[v, ms.MARK])
                shots[v].append(Snapshot(until, mark, positions_of(state, v)))
        for v in public:
            before, held[v] = held[v], positions_of(state, v)
            changed = _changed(before, held[v])
            changes[v].append(Snapshot(until, float(state.xf[v, ms.MARK]), changed))
    out = []
    for v in venues:
        flows = np.concatenate(flow[v])
        out.append(
            VenueWorld(
                instrument=instrument(spec.venues[v], base.base),
                tiers=tiers(spec.venues[v], base.base),
                history=keepers[v].get(),
                prints=join_prints(prints[v]),
                snapshots=tuple(shots[v]),
                opened=flows[:, 0:2],
                closed=flows[:, 2:4],
                changes=tuple(changes[v]),
            )
        )
    return tuple(out)


def _changed(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rows of `after` that are new or of another size, then those that are gone, with quantity 0;
    the pools of makers and fund are nobody's account."""
    before, after = before[before["account"] > 0], after[after["account"] > 0]
    before = before[np.argsort(before["account"])]
    at = np.searchsorted(before["account"], after["account"])
    at = np.minimum(at, max(len(before) - 1, 0))
    is_new = np.ones(len(after), np.bool_)
    if len(before):
        is_new = before["account"][at] != after["account"]
        is_new |= before["quantity"][at] != after["quantity"]
    gone = before[~np.isin(before["account"], after["account"])].copy()
    gone["quantity"] = 0.0
    return np.concatenate((after[is_new], gone))


def _block(
    state: State, steps: int, step_ns: int, seed: int, prints: list[list[Prints]]
) -> list[npt.NDArray[np.float64]]:
    """Tape rows [steps, columns] of every venue; `run` may stop early when a buffer is full."""
    parts: list[list[npt.NDArray[np.float64]]] = [[] for _ in prints]
    while steps > 0:
        done = run(*state, steps, step_ns, False, seed)
        steps -= done
        for v, found in enumerate(prints):
            parts[v].append(state.tape(v, done))
            found.append(take_prints(state, v))
    return [np.concatenate(part) for part in parts]


def _flow(rows: npt.NDArray[np.float64], per: int) -> npt.NDArray[np.float64]:
    """Lots opened long, opened short, closed long, closed short, a row a minute."""
    first = ms.tape_column(ms.X_OPEN_L)
    flow: npt.NDArray[np.float64] = rows[:, first : first + 4].reshape(-1, per, 4).sum(axis=1)
    return flow


@kernel
def _draw(xf: FloatArray, xi: IntArray, is_maker: bool, out: FloatArray) -> None:
    for i in range(out.shape[0]):
        lots, flags, leverage, _setting = draw_intent(xf, xi, is_maker)
        out[i, 0], out[i, 1], out[i, 2] = lots, leverage, flags & ms.CROSS


def opening_draws(
    spec: MarketSpec, venue: int, count: int = 200_000
) -> list[tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]]:
    """The law of openings as the market draws it: (lots, effective leverage, is cross) of takers,
    then of makers.

    Accounts as many as the market has: of fewer and larger ones the tiers would cap the leverage.
    """
    state = build_state(
        spec.bases[0],
        spec.venues,
        spec.positions,
        spec.accounts_per_instrument,
        spec.start_ns // MINUTE_NS * MINUTE_NS,
        5,
        fine=False,
        venue_laws=spec.venue_positions,
    )
    out = []
    for is_maker in (False, True):
        drawn = np.zeros((count, 3))
        _draw(state.xf[venue], state.xi[venue], is_maker, drawn)
        out.append((drawn[:, 0], drawn[:, 1], drawn[:, 2] > 0.0))
    return out
