"""The measured layer: what public accounts really hold, at the liquidation prices the venue states.

A layer of its own. It covers the accounts that were asked, it is never added to the modelled map,
and where it covers enough it tells the model's prior how levered cross positions are.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import msgspec
import numpy as np

from liqfield.density import law as laws
from liqfield.density.counted import CountedOpenings
from liqfield.density.settings import PRIOR_TIERS
from liqfield.model.estimates import MeasuredLayer
from liqfield.model.events import FloatArray, MeasuredPosition, PositionSnapshot
from liqfield.model.grid import PriceGrid
from liqfield.model.margin import MarginTier, tier_of
from liqfield.model.sides import PositionSide

STALE_NS = 3 * 3_600_000_000_000  # the scan asks a holder every minute where it keeps up
ACCOUNTS_MAX = 50_000
# The law is learnt from no fewer positions than this in effect, (sum w)^2 / sum w^2, and counts for
# at most half: scanned accounts are the active ones, not a fair sample.
LEAST_POSITIONS = 30.0
LEAST_COVERAGE, FULL_COVERAGE, MOST_WEIGHT = 0.05, 0.5, 0.5
# Openings are counted between two looks that are no further apart, and forgotten by half in so
# long; fewer accounts in effect are no law; less than so much opened is forgotten altogether.
LOOKED_NS = 3_600_000_000_000
HALF_LIFE_NS = 3 * 24 * 3_600_000_000_000
LEAST_OPENINGS = 100.0
LEAST_USD = 1.0


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
        self._most: dict[str, float] = {}  # coins at most since a position was opened, if more
        # USD opened by account and by class, forgetting; and when they were last made to forget
        self._opened: dict[str, float] = {}
        self._by_class: FloatArray = np.zeros(laws.CLASSES)
        self._faded_ns = 0

    def __bool__(self) -> bool:
        return bool(self._held)

    def fold(
        self, snapshot: PositionSnapshot, tiers: Sequence[MarginTier] = PRIOR_TIERS
    ) -> None:
        """Replace what is known of the account, count what it has opened since it was last seen;
        older snapshots than the known one say nothing. tiers: of the instrument, ascending."""
        account = snapshot.account
        known = self._held.get(account)
        if known is not None and known[0] > snapshot.event_ns:
            return
        now = next((p for p in snapshot.positions if p.instrument_id == self.instrument_id), None)
        most = self._most.pop(account, 0.0)
        if now is not None and known is not None:
            before = known[1]
            if before is None or before.position_side is not now.position_side:
                before, most = None, 0.0
            else:
                most = max(most, before.quantity)
            # What was held before the first look, or opened long before this one, is what has
            # survived: no sample of openings.
            if snapshot.event_ns - known[0] <= LOOKED_NS and now.quantity > most:
                self._count(account, now, before, now.quantity - most, tiers)
            if most > now.quantity:
                self._most[account] = most
        self._held.pop(account, None)
        self._held[account] = (snapshot.event_ns, now)
        if len(self._held) > ACCOUNTS_MAX:
            oldest = next(iter(self._held))
            self._held.pop(oldest)
            self._most.pop(oldest, None)

    def _count(
        self,
        account: str,
        now: MeasuredPosition,
        before: MeasuredPosition | None,
        opened: float,
        tiers: Sequence[MarginTier],
    ) -> None:
        """`opened` coins more than the account ever held of this position."""
        entry = now.entry_price
        if before is not None:
            # Average entries tell at which price the added coins came.
            cost = now.quantity * entry - before.quantity * before.entry_price
            added = cost / max(now.quantity - before.quantity, 1e-300)
            entry = added if 0.5 * entry < added < 2.0 * entry else entry
        if not (entry > 0.0 and math.isfinite(opened * entry)):
            return
        self._by_class[class_of(now, entry, tiers)] += opened * entry
        self._opened[account] = self._opened.get(account, 0.0) + opened * entry

    def openings(self, now_ns: int, tiers: Sequence[MarginTier]) -> CountedOpenings | None:
        """What accounts have opened as of late; None before enough of them have.

        An account is one observation, however often it opens: effective = (sum of accounts'
        USD)^2 / sum of squares. By USD, because that is what shares are of.
        """
        if self._faded_ns and now_ns > self._faded_ns:
            keep = 0.5 ** ((now_ns - self._faded_ns) / HALF_LIFE_NS)
            self._by_class *= keep
            self._opened = {k: v * keep for k, v in self._opened.items() if v * keep > LEAST_USD}
        self._faded_ns = max(now_ns, self._faded_ns)
        usd = np.array(list(self._opened.values()))
        total = float(self._by_class.sum())
        if not len(usd) or not total > 0.0:
            return None
        effective = float(usd.sum()) ** 2 / float(np.square(usd).sum())
        if effective < LEAST_OPENINGS:
            return None
        venue = self.instrument_id.partition(":")[0]
        top = laws.top_leverage(tiers)
        return CountedOpenings(self._by_class / total, effective, top, venue)

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


def class_of(position: MeasuredPosition, entry: float, tiers: Sequence[MarginTier]) -> int:
    """The class of what was opened at a price (USD): of the leverage that puts the level where the
    venue states it, with the maintenance margin of the tier of the whole position.

    The setting says less: the margin behind a position may be more than it asks for.
    """
    leverage = opening_leverage(position, entry, tiers)
    if position.is_cross:
        index = int(np.searchsorted(laws.EDGES, leverage, side="right")) - 1
        return laws.LEVERAGES + min(max(index, 0), laws.LEVERAGES - 1)
    return int(np.abs(np.log(leverage / laws.CLASS_LEVERAGE[: laws.LEVERAGES])).argmin())


def opening_leverage(
    position: MeasuredPosition, entry: float, tiers: Sequence[MarginTier]
) -> float:
    """Effective leverage, x, by the margin equation of `model.margin` at the stated level; 1
    without a level."""
    level = position.liquidation_price
    if not level > 0.0:
        return 1.0
    sign = 1.0 if position.position_side is PositionSide.LONG else -1.0
    size = position.quantity if tiers[0].by_quantity else position.quantity * level
    tier = tier_of(tiers, size)
    needed = tier.maintenance_rate - tier.deduction / (position.quantity * level)
    margin = level / entry * needed + sign * (1.0 - level / entry)
    return 1.0 / min(max(margin, 1e-3), 1.0)


def implied_leverage(position: MeasuredPosition) -> float:
    """Effective leverage at entry of a position that is liquidated where the venue says; 1 without
    a level. Maintenance margin is left out: it makes distances shorter by about a tenth at 10x."""
    if position.liquidation_price <= 0.0:
        return 1.0
    away = abs(1.0 - position.liquidation_price / position.entry_price)
    return min(1.0 / max(away, 1e-3), 1e3) if math.isfinite(away) else 1.0
