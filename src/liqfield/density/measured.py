"""The measured layer: what public accounts really hold, at the liquidation prices the venue states.

A layer of its own. It covers the accounts that were asked, it is never added to the modelled map,
and where it covers enough it tells the model's prior how levered cross positions are.
"""

from __future__ import annotations

import hashlib
import math

import msgspec
import numpy as np

from liqfield.density import law as laws
from liqfield.model.estimates import MeasuredLayer
from liqfield.model.events import FloatArray, MeasuredPosition, PositionSnapshot
from liqfield.model.grid import PriceGrid
from liqfield.model.sides import PositionSide

STALE_NS = 3 * 3_600_000_000_000  # the scan asks a holder every minute where it keeps up
ACCOUNTS_MAX = 50_000
# The law is learnt from no fewer positions than this in effect, (sum w)^2 / sum w^2, and counts for
# at most half: scanned accounts are the active ones, not a fair sample.
LEAST_POSITIONS = 30.0
LEAST_COVERAGE, FULL_COVERAGE, MOST_WEIGHT = 0.05, 0.5, 0.5


class CrossLaw(msgspec.Struct, frozen=True, eq=False):
    """standing: float64[20], shares of cross notional by interval of effective leverage, sums to 1;
    weight: 0..MOST_WEIGHT, how far a prior may follow it."""

    standing: FloatArray
    weight: float


class MeasuredBook:
    """The newest snapshot of each account on one instrument; bounded, event time only."""

    def __init__(self, instrument_id: str, stale_ns: int = STALE_NS) -> None:
        self.instrument_id = instrument_id
        self._stale_ns = stale_ns
        self._held: dict[str, tuple[int, MeasuredPosition | None]] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def fold(self, snapshot: PositionSnapshot) -> None:
        """Replace what is known of the account; older snapshots than the known one say nothing."""
        known = self._held.get(snapshot.account)
        if known is not None and known[0] > snapshot.event_ns:
            return
        mine = [p for p in snapshot.positions if p.instrument_id == self.instrument_id]
        if known is None and not mine:
            return
        self._held.pop(snapshot.account, None)
        self._held[snapshot.account] = (snapshot.event_ns, mine[0] if mine else None)
        if len(self._held) > ACCOUNTS_MAX:
            self._held.pop(next(iter(self._held)))

    def layer(
        self, mark: float, open_interest: float, now_ns: int, width: float, count: int
    ) -> MeasuredLayer | None:
        """Around a mark (USD); open_interest: base coins, each contract once (0: unknown).

        None while no account that was seen in time holds anything, or without a mark.
        """
        rows = self._fresh(now_ns)
        if not rows or not mark > 0.0:
            return None
        grid = PriceGrid.around(mark, width, count)
        at_mark = grid.bin_of(mark)
        usd = np.zeros((2, 2, count))
        beyond, without, passed = np.zeros(2), np.zeros(2), 0
        held = np.zeros(2)
        oldest = now_ns
        for seen_ns, p in rows:
            side = 0 if p.position_side is PositionSide.LONG else 1
            value = p.quantity * mark
            oldest = min(oldest, seen_ns)
            price = p.liquidation_price
            if price > 0.0 and (price >= mark if side == 0 else price <= mark):
                passed += 1  # the mark has been there since: liquidated, or its margin has changed
                continue
            held[side] += p.quantity
            k = grid.bin_of(price) if price > 0.0 else -1
            if price <= 0.0:
                without[side] += value
            elif 0 <= k < count and (k <= at_mark if side == 0 else k >= at_mark):
                usd[side, int(p.is_cross), k] += value
            else:
                beyond[side] += value
        coverage = held / open_interest if open_interest > 0.0 else np.zeros(2)
        return MeasuredLayer(
            instrument_id=self.instrument_id,
            at_ns=now_ns,
            mark_price=mark,
            grid=grid,
            notional_usd=usd,
            beyond_usd=beyond,
            without_level_usd=without,
            coverage=(float(coverage[0]), float(coverage[1])),
            accounts=len(rows),
            stale_accounts=sum(p is not None for _, p in self._held.values()) - len(rows),
            passed_accounts=passed,
            oldest_ns=oldest,
        )

    def cross_law(self, open_interest: float, now_ns: int) -> CrossLaw | None:
        """How levered the cross positions are that stand; None where too little is covered.

        Leverage is what the distance from entry to the stated level implies, not the setting.
        """
        rows = [p for _, p in self._fresh(now_ns) if p.is_cross and p.entry_price > 0.0]
        if not rows or not open_interest > 0.0:
            return None
        coins = np.array([p.quantity for p in rows])
        coverage = float(coins.sum()) / (2.0 * open_interest)
        # A few accounts hold most: by the root of size no single one decides.
        weight = np.sqrt(coins)
        effective = float(weight.sum()) ** 2 / float(np.square(weight).sum())
        if coverage < LEAST_COVERAGE or effective < LEAST_POSITIONS:
            return None
        where = np.array([implied_leverage(p) for p in rows])
        index = np.clip(np.searchsorted(laws.EDGES, where, side="right") - 1, 0, laws.LEVERAGES - 1)
        standing = np.bincount(index, weight, laws.LEVERAGES) / weight.sum()
        ramp = (coverage - LEAST_COVERAGE) / (FULL_COVERAGE - LEAST_COVERAGE)
        return CrossLaw(standing, MOST_WEIGHT * min(ramp, 1.0))

    def _fresh(self, now_ns: int) -> list[tuple[int, MeasuredPosition]]:
        """(snapshot time, position) of accounts seen lately, in order of account."""
        return [
            (seen_ns, p)
            for _, (seen_ns, p) in sorted(self._held.items())
            if p is not None and now_ns - seen_ns <= self._stale_ns
        ]

    def digest(self) -> bytes:
        """A hash of everything held."""
        return hashlib.blake2b(repr(sorted(self._held.items())).encode(), digest_size=16).digest()


def implied_leverage(position: MeasuredPosition) -> float:
    """Effective leverage at entry of a position that is liquidated where the venue says; 1 without
    a level. Maintenance margin is left out: it makes distances shorter by about a tenth at 10x."""
    if position.liquidation_price <= 0.0:
        return 1.0
    away = abs(1.0 - position.liquidation_price / position.entry_price)
    return min(1.0 / max(away, 1e-3), 1e3) if math.isfinite(away) else 1.0
