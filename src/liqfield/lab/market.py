"""The built-in market: several bases on several venues, agents with known positions.

Deterministic by (spec, seed): the same pair gives the same digest after the same advance times.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from liqfield.lab import market_state as ms
from liqfield.lab.market_book import collect_changes, fill_book
from liqfield.lab.market_build import build_state
from liqfield.lab.market_history import HistoryKeeper
from liqfield.lab.market_liquidation import fund_equity
from liqfield.lab.market_setup import instrument, tiers
from liqfield.lab.market_state import State
from liqfield.lab.market_step import run
from liqfield.lab.market_truth import (
    CascadeLog,
    density_of,
    join_prints,
    positions_of,
    take_prints,
)
from liqfield.lab.market_types import (
    AgentEvent,
    Book,
    BookChanges,
    History,
    InstrumentStep,
    MarketSpec,
    Prints,
    Trades,
)
from liqfield.model.durations import MINUTE_NS
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.grid import PriceGrid
from liqfield.model.instrument import Instrument
from liqfield.model.margin import MarginTier

COARSE_ROWS = 720
_X_FUNDING, _X_HIGH, _X_LOW = map(ms.tape_column, (ms.X_FUNDING, ms.X_HIGH, ms.X_LOW))
_EVENT_KINDS = {
    1: "wall_placed",
    3: "absorber",
    4: "wall_pulled",
    5: "wall_eaten",
    6: "wall_expired",
    7: "wall_withdrawn",
}


class LabMarket:
    """See market_types.Market for the interface and its units."""

    def __init__(self, spec: MarketSpec, seed: int) -> None:
        self._setup(spec, seed)
        # Bases do not meet: each has its past on a thread of its own.
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            self._states += threads.map(self._begin, range(len(spec.bases)))
        self.advance(spec.start_ns)

    def _begin(self, b: int) -> State:
        """The past of one base, up to the whole minute before the start."""
        spec = self.spec
        first_ns = spec.start_ns // MINUTE_NS * MINUTE_NS
        warm_ns = round(spec.history_h * 60) * MINUTE_NS
        state = build_state(
            spec.bases[b],
            spec.venues,
            spec.positions,
            spec.accounts_per_instrument,
            first_ns - warm_ns,
            self.seed * 1_000_003 + 7_919 * b + 1,
            fine=True,
        )
        self._warm(b, state, first_ns)
        for v in range(len(spec.venues)):
            fill_book(state.xf[v], state.xi[v])
            collect_changes(state.xi[v])
            state.xi[v, ms.CHANGES] = 0
        return state

    def _setup(self, spec: MarketSpec, seed: int) -> None:
        self.spec = spec
        self.seed = seed
        self._states: list[State] = []
        self._at: dict[str, tuple[int, int]] = {}
        self._tiers: dict[str, tuple[MarginTier, ...]] = {}
        listed: list[Instrument] = []
        for b, base in enumerate(spec.bases):
            for v, venue in enumerate(spec.venues):
                item = instrument(venue, base.base)
                listed.append(item)
                self._at[item.id] = (b, v)
                self._tiers[item.id] = tiers(venue, base.base)
        self.instruments: tuple[Instrument, ...] = tuple(listed)
        self._ids = {at: key for key, at in self._at.items()}
        lots = {item.id: item.lot * item.quantity_factor for item in listed}
        self._keepers = {key: HistoryKeeper(lot) for key, lot in lots.items()}
        self._events: list[AgentEvent] = []
        self._prints: dict[str, list[Prints]] = {key: [] for key in self._at}
        self._long_share = dict.fromkeys(self._at, 0.5)
        self._cascades: dict[str, CascadeLog] = {}
        for item in listed:
            base = spec.bases[self._at[item.id][0]]
            least = 0.03 * base.depth_10bp_usd / base.price
            self._cascades[item.id] = CascadeLog(item.id, least)

    @property
    def now_ns(self) -> int:
        """The market's clock."""
        return int(self._states[0].clock[1])

    def tiers(self, instrument_id: str) -> tuple[MarginTier, ...]:
        """The margin tiers of an instrument, ascending."""
        return self._tiers[instrument_id]

    def _warm(self, b: int, state: State, until_ns: int) -> None:
        step_ns = round(self.spec.coarse_step_s * 1e9)
        if MINUTE_NS % step_ns:
            raise ValueError(f"coarse_step_s {self.spec.coarse_step_s} does not divide a minute")
        rows: list[FloatArray] = []
        begin = int(state.clock[1])
        while state.clock[1] < until_ns:
            steps = min(COARSE_ROWS, (until_ns - int(state.clock[1])) // step_ns)
            done = run(*state, steps, step_ns, False, self.seed)
            rows.append(np.stack([state.tape(v, done) for v in range(len(self.spec.venues))]))
            for v in range(len(self.spec.venues)):
                key = self._ids[(b, v)]
                self._prints[key].append(take_prints(state, v))
        if not rows:
            return
        tape = np.concatenate(rows, axis=1)
        for v in range(len(self.spec.venues)):
            key = self._ids[(b, v)]
            self._long_share[key] = self._share_of_longs(state, v)
            self._keepers[key].add_minutes(tape[v], begin, step_ns, self._long_share[key])

    @staticmethod
    def _share_of_longs(state: State, v: int) -> float:
        is_open = state.column(v, ms.LOTS, ms.SLOTS) > 0
        longs = np.count_nonzero(is_open & (state.column(v, ms.SIGN, ms.SLOTS) > 0))
        return float(longs) / max(1, int(np.count_nonzero(is_open)))

    def advance(self, until_ns: int) -> dict[str, InstrumentStep]:
        """Run whole fine steps up to until_ns; report everything since the last call."""
        step_ns = self.spec.fine_step_ms * 1_000_000
        out: dict[str, InstrumentStep] = {}
        for b, state in enumerate(self._states):
            parts: list[list[InstrumentStep]] = [[] for _ in self.spec.venues]
            while True:
                steps = max(0, (until_ns - int(state.clock[1])) // step_ns)
                begin = int(state.clock[1])
                # At most 5 s at once: the change buffer must hold all that can differ.
                done = run(*state, min(steps, 50), step_ns, True, self.seed)
                for v in range(len(self.spec.venues)):
                    parts[v].append(self._drain(b, v, done, begin, step_ns))
                if steps - done <= 0:
                    break
            for v, steps_of in enumerate(parts):
                out[self._ids[(b, v)]] = steps_of[0] if len(steps_of) == 1 else join_steps(steps_of)
        return out

    @staticmethod
    def _take_trades(state: State, v: int, item: Instrument) -> Trades:
        n = int(state.xi[v, ms.TRADES])
        state.xi[v, ms.TRADES] = 0
        ticks = state.column(v, ms.T_TICK, n).copy()
        return Trades(
            event_ns=state.column(v, ms.T_NS, n).copy(),
            price_ticks=ticks,
            price=_prices(item, ticks),
            quantity=state.base_coins(v, ms.T_LOTS, n),
            is_buy=state.column(v, ms.T_BUY, n) == 1,
            trade_id=state.column(v, ms.T_ID, n).copy(),
            kind=state.column(v, ms.T_KIND, n).astype(np.int8),
            taker_effect=state.column(v, ms.T_TAKER, n).astype(np.int8),
            maker_effect=state.column(v, ms.T_MAKER, n).astype(np.int8),
        )

    def _drain(self, b: int, v: int, done: int, begin: int, step_ns: int) -> InstrumentStep:
        state, key = self._states[b], self._ids[(b, v)]
        f, n = state.xf[v], state.xi[v]
        count = int(n[ms.CHANGES])
        ticks = state.column(v, ms.CH_TICK, count)
        n[ms.CHANGES] = 0
        item = self.instruments[b * len(self.spec.venues) + v]
        trades, prints = self._take_trades(state, v, item), take_prints(state, v)
        if len(prints):
            self._prints[key].append(prints)
        rows = state.tape(v, done)
        settled: float | None = None
        for k in range(done):
            end = begin + (k + 1) * step_ns
            if end % (5 * MINUTE_NS) == 0:
                self._long_share[key] = self._share_of_longs(state, v)
            self._keepers[key].add_row(rows[k], end, self._long_share[key])
            if rows[k, _X_FUNDING] == rows[k, _X_FUNDING]:
                settled = float(rows[k, _X_FUNDING])
        if done:
            high, low = float(rows[:, _X_HIGH].max()), float(rows[:, _X_LOW].min())
            self._events += self._cascades[key].add(prints, high, low, int(state.clock[1]))
        self._note_agents(state, v, key)
        bid, ask = int(n[ms.BEST_BID]), int(n[ms.BEST_ASK])
        mask, lot = int(n[ms.WIDTH]) - 1, float(f[ms.LOT])
        return InstrumentStep(
            instrument_id=key,
            at_ns=int(state.clock[1]),
            trades=trades,
            book=BookChanges(
                price_ticks=np.abs(ticks),
                quantity=state.base_coins(v, ms.CH_LOTS, count),
                is_bid=ticks > 0,
            ),
            liquidations=prints,
            mark=float(f[ms.MARK]),
            index=math.exp(float(state.base[ms.B_INDEX])),
            last=float(f[ms.LAST]),
            bid_ticks=bid,
            bid_quantity=abs(int(n[ms.BOOK + (bid & mask)])) * lot,
            ask_ticks=ask,
            ask_quantity=abs(int(n[ms.BOOK + (ask & mask)])) * lot,
            funding_rate=float(f[ms.FUNDING]),
            next_funding_ns=int(n[ms.NEXT_FUNDING]),
            settled_funding_rate=settled,
            open_interest_base=self._oi_lots(state, v) * lot,
            insurance_fund_usd=fund_equity(f, n),
        )

    @staticmethod
    def _oi_lots(state: State, v: int) -> int:
        n = state.xi[v]
        return int(n[ms.SUM_LONG]) + max(int(n[ms.MM]), 0) + max(int(n[ms.FUND]), 0)

    def _note_agents(self, state: State, v: int, key: str) -> None:
        count = int(state.xi[v, ms.EVENTS])
        if not count:
            return
        state.xi[v, ms.EVENTS] = 0
        size, lot = float(state.xf[v, ms.TICK]), float(state.xf[v, ms.LOT])
        names = (ms.E_KIND, ms.E_START, ms.E_END, ms.E_TICK, ms.E_LOTS, ms.E_BID)
        columns = [state.column(v, name, count).tolist() for name in names]
        for kind, start, end, tick, lots, is_bid in zip(*columns, strict=True):
            price = tick * size
            self._events.append(
                AgentEvent(
                    kind=_EVENT_KINDS[kind],
                    instrument_id=key,
                    start_ns=start,
                    end_ns=end if kind != 1 else 0,
                    price_from=price,
                    price_to=price,
                    quantity=lots * lot,
                    is_bid=is_bid == 1,
                )
            )

    def book(self, instrument_id: str) -> Book:
        """The ladder as last reported, best first."""
        b, v = self._at[instrument_id]
        state = self._states[b]
        width, lot = int(state.xi[v, ms.WIDTH]), float(state.xf[v, ms.LOT])
        shown = state.column(v, ms.SHOWN, width)
        first = int(state.xi[v, ms.CENTRE]) - width // 2
        ticks = first + np.arange(width, dtype=np.int64)
        lots = shown[ticks & (width - 1)]
        bids, asks = np.flatnonzero(lots > 0)[::-1], np.flatnonzero(lots < 0)
        return Book(ticks[bids], lots[bids] * lot, ticks[asks], -lots[asks] * lot)

    def history(self, instrument_id: str) -> History:
        """Candles, open interest and funding since the simulation began."""
        return self._keepers[instrument_id].get()

    def prints(self, instrument_id: str) -> Prints:
        """Every forced order since the simulation began."""
        return join_prints(self._prints[instrument_id])

    def positions(self, instrument_id: str) -> npt.NDArray[Any]:
        """Every open position (POSITION_DTYPE); account -1 the makers' pool, -2 the fund."""
        b, v = self._at[instrument_id]
        return positions_of(self._states[b], v)

    def insurance_fund_usd(self, instrument_id: str) -> float:
        """USD, the fund's open position at mark included."""
        b, v = self._at[instrument_id]
        return fund_equity(self._states[b].xf[v], self._states[b].xi[v])

    def mark(self, instrument_id: str) -> float:
        """USD."""
        b, v = self._at[instrument_id]
        return float(self._states[b].xf[v, ms.MARK])

    def true_density(self, instrument_id: str, grid: PriceGrid) -> tuple[FloatArray, FloatArray]:
        """(float64[2, bins], float64[2]): USD at mark by liquidation price; beyond or without."""
        return density_of(self.positions(instrument_id), self.mark(instrument_id), grid)

    def agent_events(self) -> Sequence[AgentEvent]:
        """What agents did so far, in the order in which it ended (or was placed)."""
        return tuple(self._events)

    def shock(self, base: str, log_return: float, seconds: float) -> None:
        """Script a move of the index: for fault injection and demonstrations."""
        b = next(k for k, spec in enumerate(self.spec.bases) if spec.base == base)
        self._states[b].base[ms.B_SHOCK_LEFT] = seconds
        self._states[b].base[ms.B_SHOCK] = log_return / seconds

    def venue_state(self, instrument_id: str) -> tuple[FloatArray, IntArray]:
        """(floats, ints) of one venue as `market_state` lays them out: for `market_actors`."""
        b, v = self._at[instrument_id]
        return self._states[b].xf[v], self._states[b].xi[v]

    def digest(self) -> str:
        """SHA-256 over everything that decides the future."""
        sha = hashlib.sha256()
        for state in self._states:
            for array in state:
                sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()

    def to_bytes(self) -> bytes:
        """A checkpoint: restore with `from_bytes`; agent events and past prints are not in it."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "header": np.frombuffer(msgspec.json.encode((self.seed, self.spec)), np.uint8)
        }
        for b, state in enumerate(self._states):
            for name, array in state._asdict().items():
                arrays[f"state{b}.{name}"] = array
        for key, keeper in self._keepers.items():
            for name, array in msgspec.structs.asdict(keeper.get()).items():
                arrays[f"history.{key}.{name}"] = array
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, payload: bytes) -> LabMarket:
        """The market as it was; its clock stands where it stood."""
        market = cls.__new__(cls)
        with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
            seed, spec = msgspec.json.decode(
                arrays["header"].tobytes(), type=tuple[int, MarketSpec]
            )
            market._setup(spec, seed)
            for b in range(len(spec.bases)):
                fields = {name: arrays[f"state{b}.{name}"].copy() for name in State._fields}
                market._states.append(State(**fields))
            for key, keeper in market._keepers.items():
                names = History.__struct_fields__
                keeper.restore(History(**{k: arrays[f"history.{key}.{k}"] for k in names}))
        return market


def _prices(item: Instrument, ticks: npt.NDArray[np.int64]) -> FloatArray:
    """As Instrument.price_usd, for arrays: division keeps the decimal as printed."""
    prices: FloatArray = ticks * item.tick_mantissa / 10.0**item.tick_decimals * item.price_factor
    return prices


def join_steps(steps: Sequence[InstrumentStep]) -> InstrumentStep:
    """Several reports as one: lists are chained, the last state stands."""
    last = steps[-1]
    settled = [s.settled_funding_rate for s in steps if s.settled_funding_rate is not None]
    return msgspec.structs.replace(
        last,
        trades=Trades(
            *(
                np.concatenate([getattr(s.trades, name) for s in steps])
                for name in Trades.__struct_fields__
            )
        ),
        book=_join_changes([s.book for s in steps]),
        liquidations=join_prints([s.liquidations for s in steps]),
        settled_funding_rate=settled[-1] if settled else None,
    )


def _join_changes(parts: Sequence[BookChanges]) -> BookChanges:
    """Keep the last word on every level and side."""
    ticks = np.concatenate([part.price_ticks for part in parts])
    quantity = np.concatenate([part.quantity for part in parts])
    is_bid = np.concatenate([part.is_bid for part in parts])
    key = ticks * 2 + is_bid
    _, last = np.unique(key[::-1], return_index=True)
    keep = np.sort(key.size - 1 - last)
    return BookChanges(ticks[keep], quantity[keep], is_bid[keep])
