"""Outlook: how far a cascade that runs may still go, from how far earlier moves went.

What drives a cascade is mostly a flow that no book shows. But moves have a size: of those of this
market that came as far as this one, so many went on for so long. With `whole` the way of a move
from its start to its extreme and `done` the part that lies behind,

  P(rest > x) = (1 - over) P(whole > done + x) / P(whole > done)

The law of `whole` is a mixture of log-normal kernels around the moves that were seen and a wide
prior; `over` is the chance that the move has ended already, learnt apart for moves that stall and
moves that go on. What is forced on the way is the map's forced notional times a level, learnt from
what was printed against what the map said. Ways are log prices > 0.
"""

from __future__ import annotations

import functools
import math
from collections import deque
from statistics import NormalDist

import msgspec
import numpy as np

from liqfield.cascade.tracker import CascadeTracker
from liqfield.model.analytics import CascadeOutlook, CascadeState
from liqfield.model.events import FloatArray

_GRID: FloatArray = np.append(0.0, np.geomspace(1e-4, 1.0, 160))
_erf = np.vectorize(math.erf, otypes=[float])
ACTIVE = (CascadeState.RUNNING, CascadeState.ABSORBING)


class OutlookSettings(msgspec.Struct, frozen=True):
    """Where each comes from stands in docs/cascade.md.

    memory                  moves that are remembered
    prior_*                 median and log-sd of whole moves before any was seen, worth so many
    kernel                  log-sd around one seen move
    stalled                 a move stalls when ten seconds bring less than this share of its way
    over_going, _stalled    prior chances that such a move is over, worth `over_moves` moves
    over_below              a rest below this is none
    level, level_moves      prior of ln(forced / what the map says), worth so many moves;
    level_keep              older moves count less by this factor a move
    level_sd                log-sd of one move around the level
    least_rest              a shorter rest says nothing about the level
    """

    memory: int = 64
    prior_median: float = 0.03
    prior_log_sd: float = 0.5
    prior_moves: float = 2.0
    kernel: float = 0.15
    stalled: float = 0.1
    over_going: float = 0.05
    over_stalled: float = 0.5
    over_moves: float = 8.0
    over_below: float = 0.001
    level: float = 1.0
    level_moves: float = 2.0
    level_keep: float = 0.8
    level_sd: float = 1.0
    least_rest: float = 0.005
    draws: int = 256


class ForcedPath(msgspec.Struct, frozen=True, eq=False):
    """What the map says is forced: way float64[n] ascending, usd float64[n] cumulative."""

    way: FloatArray
    usd: FloatArray

    def within(self, way: FloatArray) -> FloatArray:
        """USD forced on the first `way`."""
        found: FloatArray = np.interp(way, self.way, self.usd, left=0.0)
        return found

    def until(self, way: float) -> float:
        """The same for one."""
        return float(np.interp(way, self.way, self.usd, left=0.0))


class Moves:
    """The laws of one market, learnt from its own moves; both sides together."""

    def __init__(self, settings: OutlookSettings | None = None) -> None:
        self.settings = s = settings or OutlookSettings()
        self._whole: deque[float] = deque(maxlen=s.memory)
        self._over = [s.over_going * s.over_moves, s.over_stalled * s.over_moves]
        self._ended = [s.over_moves, s.over_moves]
        self._level, self._level_moves = s.level * s.level_moves, s.level_moves
        self._told = 0.0  # the part of `_level` that was seen, without the prior

    def __len__(self) -> int:
        return len(self._whole)

    def learn(self, done: float, recent: float, rest: float) -> None:
        """A move is over that had come `done` (`recent` in the last ten seconds) when it was seen
        to force orders, and then went on for `rest`."""
        kind = self._kind(done, recent)
        self._whole.append(max(done + rest, 1e-4))
        self._ended[kind] += 1.0
        self._over[kind] += rest < self.settings.over_below

    def learn_level(self, rest: float, printed_usd: float, mapped_usd: float) -> None:
        """What was printed on the rest of a move against what the map had there."""
        s = self.settings
        if rest < s.least_rest or printed_usd <= 0.0:
            return
        ratio = math.log(printed_usd / max(mapped_usd, 0.02 * printed_usd))
        self._level = s.level_keep * self._level + ratio
        self._told = s.level_keep * self._told + ratio
        self._level_moves = s.level_keep * self._level_moves + 1.0

    def map_factor(self) -> float:
        """Printed over mapped on earlier moves, drawn to 1 by the prior's weight: a market that has
        shown nothing yet is told as its map has it."""
        return math.exp(self._told / self._level_moves)

    def rest(self, done: float, recent: float, shares: FloatArray) -> FloatArray:
        """Quantiles of the way still to go."""
        kind = self._kind(done, recent)
        going = 1.0 - self._over[kind] / self._ended[kind]
        beyond = self._beyond(max(done, 1e-4) + _GRID)
        reached = 1.0 - going * beyond / max(float(beyond[0]), 1e-300)
        quantiles: FloatArray = np.interp(shares, reached, _GRID)
        return quantiles

    def forced(self, rests: FloatArray, path: ForcedPath) -> FloatArray:
        """USD forced on draws of the rest, each with a draw of the level: of this move around the
        market's level, and of that level, which few moves tell of."""
        told = self._level_moves
        sd = self.settings.level_sd * math.sqrt(1.0 + 1.0 / told)
        level = self._level / told + sd * _spread(len(rests))
        usd: FloatArray = path.within(rests) * np.exp(level)
        return usd

    def _kind(self, done: float, recent: float) -> int:
        return int(recent < self.settings.stalled * done)

    def _beyond(self, way: FloatArray) -> FloatArray:
        """P(whole > way)."""
        s, count = self.settings, len(self._whole)
        centre = np.log(np.array([s.prior_median, *self._whole]))
        sd = np.array([s.prior_log_sd, *[s.kernel] * count])
        weight = np.array([s.prior_moves, *[1.0] * count])
        z = (np.log(way)[:, None] - centre) / sd
        tail: FloatArray = 0.5 * (1.0 - _erf(z / math.sqrt(2.0))) @ weight / weight.sum()
        return tail

    def digest(self) -> bytes:
        """All that decides what it says."""
        laws = list(self._whole), self._over, self._ended, self._level, self._told
        return repr(laws).encode()


class _Seen(msgspec.Struct, frozen=True):
    """A cascade at the moment it was seen."""

    side: int
    begun_ns: int
    price: float
    done: float
    recent: float
    forced_usd: float
    path: ForcedPath | None


class Outlook:
    """Follows the tracker of one market, learns from each cascade, and tells of the one that runs.

    `second` after each of the tracker's seconds, with what the map has ahead when `is_due` asks.
    """

    def __init__(self, settings: OutlookSettings | None = None) -> None:
        self.moves = Moves(settings)
        self._seen: _Seen | None = None

    def is_wanted(self, tracker: CascadeTracker) -> bool:
        """Whether `second` has anything to do: forced orders run, or did."""
        return self._seen is not None or tracker.state in ACTIVE

    def is_due(self, tracker: CascadeTracker) -> bool:
        """A cascade was entered that is not followed yet."""
        seen = self._seen
        is_known = seen is not None and (seen.side, seen.begun_ns) == (
            tracker.side,
            tracker.begun_ns,
        )
        return tracker.state in ACTIVE and not is_known

    def second(self, tracker: CascadeTracker, price: float, path: ForcedPath | None = None) -> None:
        """path: of the side that is hit, from the price outwards; only read when `is_due`."""
        if self.is_due(tracker):
            self._learn(tracker)
            assert tracker.side is not None
            self._seen = _Seen(
                tracker.side,
                tracker.begun_ns,
                price,
                tracker.way_done(),
                tracker.way_recent(),
                tracker.forced_usd,
                path,
            )
        elif self._seen is not None and tracker.state in (
            CascadeState.CALM,
            CascadeState.APPROACHING,
        ):
            self._learn(tracker)

    def view(self, tracker: CascadeTracker, price: float) -> CascadeOutlook | None:
        """From now on; None unless forced orders run."""
        seen = self._seen
        if seen is None or tracker.state not in ACTIVE or price <= 0.0:
            return None
        shares = _shares(self.moves.settings.draws)
        rests = self.moves.rest(tracker.way_done(), tracker.way_recent(), shares)
        near, middle, far = (float(x) for x in np.quantile(rests, (0.1, 0.5, 0.9)))
        sign = -1.0 if seen.side == 0 else 1.0
        forced: tuple[float, float, float] | None = None
        if seen.path is not None:
            gone = max(sign * math.log(price / seen.price), 0.0)
            from_now = ForcedPath(
                seen.path.way - gone, np.maximum(seen.path.usd - seen.path.until(gone), 0.0)
            )
            low, mid, high = np.quantile(self.moves.forced(rests, from_now), (0.1, 0.5, 0.9))
            forced = float(low), float(mid), float(high)
        return CascadeOutlook(
            stop_price=price * math.exp(sign * middle),
            stop_price_near=price * math.exp(sign * near),
            stop_price_far=price * math.exp(sign * far),
            forced_usd=forced,
            moves=len(self.moves),
        )

    def _learn(self, tracker: CascadeTracker) -> None:
        """The cascade that was followed is over."""
        seen, self._seen = self._seen, None
        ended = tracker.last
        if seen is None or ended is None or ended.begun_ns != seen.begun_ns:
            return
        sign = -1.0 if seen.side == 0 else 1.0
        rest = max(sign * math.log(ended.extreme / seen.price), 0.0)
        self.moves.learn(seen.done, seen.recent, rest)
        if seen.path is not None:
            printed = ended.forced_usd - seen.forced_usd
            self.moves.learn_level(rest, printed, seen.path.until(rest))

    def digest(self) -> bytes:
        """All that decides what it says."""
        seen = self._seen
        path = seen.path.usd.tobytes() if seen is not None and seen.path is not None else b""
        facts = (seen.side, seen.begun_ns, seen.price, seen.done, seen.recent) if seen else ()
        return self.moves.digest() + repr(facts).encode() + path


@functools.cache
def _shares(draws: int) -> FloatArray:
    """Evenly spread over (0, 1)."""
    shares: FloatArray = (np.arange(draws) + 0.5) / draws
    return shares


@functools.cache
def _spread(draws: int) -> FloatArray:
    """Normal variables, evenly spread and unrelated to `_shares` (a lattice, no chance)."""
    law = NormalDist()
    step = 0.7548776662466927
    return np.array([law.inv_cdf((0.5 + (k + 1) * step) % 1.0) for k in range(draws)])
