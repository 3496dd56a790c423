"""The measured layer: what public accounts really hold, at the liquidation prices the venue states.

A layer of its own. It covers the accounts that were asked and is never added to the modelled map.
What accounts open between two looks is counted by class: the law that the model cannot see.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np

from liqfield.density import law as laws
from liqfield.density.counted import CountedOpenings, Exits, count_exits
from liqfield.density.settings import PRIOR_TIERS
from liqfield.model.durations import HOUR_NS
from liqfield.model.estimates import MeasuredLayer
from liqfield.model.events import FloatArray, IntArray, MeasuredPosition, PositionSnapshot
from liqfield.model.grid import PriceGrid
from liqfield.model.margin import MarginTier, tier_of
from liqfield.model.sides import PositionSide

STALE_NS = 3 * 3_600_000_000_000  # the scan asks a holder every minute where it keeps up
ACCOUNTS_MAX = 50_000
# Openings are counted between two looks that are no further apart, and forgotten by half in so
# long; fewer accounts in effect are no law; less than so much opened is forgotten altogether.
LOOKED_NS = HOUR_NS
HALF_LIFE_NS = 3 * 24 * HOUR_NS
LEAST_OPENINGS = 100.0
LEAST_USD = 1.0


class MeasuredBook:
    """The newest snapshot of each account on one instrument; bounded, event time only."""

    def __init__(self, instrument_id: str, stale_ns: int = STALE_NS) -> None:
        self.instrument_id = instrument_id
        self._stale_ns = stale_ns
        self._held: dict[str, tuple[int, MeasuredPosition | None]] = {}
        self._most: dict[str, float] = {}  # coins at most since a position was opened, if more
        # USD opened by class and by account, forgetting; and when that was last done
        self.opened_usd: FloatArray = np.zeros(laws.CLASSES)
        self._opened: dict[str, float] = {}
        # Positions that were seen opening and still stand: class, USD, since when; and of those and
        # the ended ones, forgetting: USD x hours, USD ended, USD squared ended
        self._since: dict[str, tuple[int, float, int]] = {}
        self._stood: FloatArray = np.zeros(laws.CLASSES)
        self._ended: FloatArray = np.zeros(laws.CLASSES)
        self._ended_2 = 0.0
        self._forgot_ns = 0

    def __bool__(self) -> bool:
        return bool(self._held)

    def fold(self, snapshot: PositionSnapshot, tiers: Sequence[MarginTier] = PRIOR_TIERS) -> None:
        """Replace what is known of the account, count what it has opened since it was last seen;
        older snapshots than the known one say nothing. tiers: of the instrument, ascending."""
        account = snapshot.account
        known = self._held.get(account)
        if known is not None and known[0] > snapshot.event_ns:
            return
        now = next((p for p in snapshot.positions if p.instrument_id == self.instrument_id), None)
        self._forget(snapshot.event_ns)
        most = self._most.pop(account, 0.0)
        if known is not None and known[1] is not None:
            self._end(account, known[1], now, snapshot.event_ns)
        if now is not None and known is not None:
            before = known[1]
            is_same = before is not None and before.position_side is now.position_side
            most = max(most, before.quantity) if before is not None and is_same else 0.0
            # What was held before the first look, or opened long before this one, is what has
            # survived: no sample of openings.
            if snapshot.event_ns - known[0] <= LOOKED_NS and now.quantity > most:
                self._count(now, now.quantity - most, tiers)
            if most > now.quantity:
                self._most[account] = most
        self._held.pop(account, None)
        self._held[account] = (snapshot.event_ns, now)
        if len(self._held) > ACCOUNTS_MAX:
            oldest = next(iter(self._held))
            self._held.pop(oldest)
            self._most.pop(oldest, None)
            self._since.pop(oldest, None)

    def _forget(self, now_ns: int) -> None:
        """Half of everything counted in HALF_LIFE_NS, once an hour of event time."""
        if now_ns - self._forgot_ns < HOUR_NS:
            return
        if self._forgot_ns:
            keep = 0.5 ** ((now_ns - self._forgot_ns) / HALF_LIFE_NS)
            for sums in (self.opened_usd, self._stood, self._ended):
                np.multiply(sums, keep, out=sums)
            self._ended_2 *= keep * keep
            self._opened = {k: v * keep for k, v in self._opened.items() if v * keep > LEAST_USD}
        self._forgot_ns = now_ns

    def _count(self, now: MeasuredPosition, opened: float, tiers: Sequence[MarginTier]) -> None:
        """`opened` coins more than the account ever held of this position."""
        usd = opened * now.entry_price
        if 0.0 < usd < math.inf:
            index = class_of(now, tiers)
            self.opened_usd[index] += usd
            self._opened[now.account] = self._opened.get(now.account, 0.0) + usd
            if opened == now.quantity:
                self._since[now.account] = index, usd, now.event_ns

    def _end(
        self, account: str, before: MeasuredPosition, now: MeasuredPosition | None, at_ns: int
    ) -> None:
        """A position that was seen opening has lived until it is flat or on the other side."""
        if now is not None and now.position_side is before.position_side:
            return
        index, usd, since_ns = self._since.pop(account, (0, 0.0, at_ns))
        self._stood[index] += usd * float(remembered_h(at_ns - since_ns))
        self._ended[index] += usd
        self._ended_2 += usd * usd

    def openings(self, now_ns: int, tiers: Sequence[MarginTier]) -> CountedOpenings | None:
        """What accounts have opened as of late; None before enough of them have.

        An account is one observation, however often it opens: effective = (sum of accounts'
        USD)^2 / sum of squares. By USD, because that is what shares are of.
        """
        self._forget(now_ns)
        usd = np.array(list(self._opened.values()))
        total = float(self.opened_usd.sum())
        if not len(usd) or not total > 0.0:
            return None
        effective = float(usd.sum()) ** 2 / float(np.square(usd).sum())
        if effective < LEAST_OPENINGS:
            return None
        venue = self.instrument_id.partition(":")[0]
        top = laws.top_leverage(tiers)
        return CountedOpenings(self.opened_usd / total, effective, top, venue, self._exits())

    def _exits(self) -> Exits:
        stood = self._stood.copy()
        if self._since:
            index, usd, since_ns = zip(*self._since.values(), strict=True)
            last_ns = [self._held[account][0] for account in self._since]
            hours = remembered_h(np.subtract(last_ns, since_ns))
            stood += np.bincount(index, np.multiply(usd, hours), laws.CLASSES)
        effective = float(self._ended.sum()) ** 2 / max(self._ended_2, 1e-300)
        return count_exits(self._ended, stood, effective)

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

    def _fresh(self, now_ns: int) -> list[tuple[int, MeasuredPosition]]:
        """(snapshot time, position) of accounts seen lately, in order of account."""
        return [
            (seen_ns, p)
            for _, (seen_ns, p) in sorted(self._held.items())
            if p is not None and now_ns - seen_ns <= self._stale_ns
        ]

    def digest(self) -> bytes:
        """A hash of everything held and counted."""
        known = sorted(self._held.items()), sorted(self._most.items()), sorted(self._opened.items())
        sha = hashlib.blake2b(repr(known).encode(), digest_size=16)
        for sums in (self.opened_usd, self._stood, self._ended):
            sha.update(sums.tobytes())
        return sha.digest()


def remembered_h(life_ns: int | IntArray) -> FloatArray:
    """Hours of a life that ends now, its past forgotten as all that is counted is: else those who
    stand for long would seem to have stood longer than ends are remembered."""
    memory_h = HALF_LIFE_NS / HOUR_NS / math.log(2.0)
    return np.asarray(-memory_h * np.expm1(np.divide(life_ns, -memory_h * HOUR_NS)))


def class_of(position: MeasuredPosition, tiers: Sequence[MarginTier]) -> int:
    """The class of a position: of the leverage that puts its level where the venue states it.

    The setting says less: the margin behind a position may be more than it asks for.
    """
    leverage = opening_leverage(position, tiers)
    if position.is_cross:
        index = int(np.searchsorted(laws.EDGES, leverage, side="right")) - 1
        return laws.LEVERAGES + min(max(index, 0), laws.LEVERAGES - 1)
    return int(np.abs(np.log(leverage / laws.CLASS_LEVERAGE[: laws.LEVERAGES])).argmin())


def opening_leverage(position: MeasuredPosition, tiers: Sequence[MarginTier]) -> float:
    """Effective leverage at entry, x, by the margin equation of `model.margin` at the stated level
    and the tier of the size; 1 without a level, at most what the tiers allow."""
    level, entry = position.liquidation_price, position.entry_price
    if not (level > 0.0 and entry > 0.0):
        return 1.0
    sign = 1.0 if position.position_side is PositionSide.LONG else -1.0
    size = position.quantity if tiers[0].by_quantity else position.quantity * level
    tier = tier_of(tiers, size)
    needed = tier.maintenance_rate - tier.deduction / (position.quantity * level)
    margin = level / entry * needed + sign * (1.0 - level / entry)
    return 1.0 / min(max(margin, 1.0 / laws.top_leverage(tiers)), 1.0)
