"""What prints say: the forced share by side, the size of positions, and evidence for the law.

Level: gamma-Poisson with forgetting. Evidence: intervals in which the mark swept something:
what each class gave and what was printed. Bins never traversed never enter: they are no evidence.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, NamedTuple

import numpy as np

from liqfield.density.law import CLASSES
from liqfield.model.events import FloatArray, Liquidation
from liqfield.model.sides import Coverage, PositionSide

KEEP = 1500
SEEN = 1024


class Shown(NamedTuple):
    """Of a feed of one print a second: the weight of one print in the share of prints that have a
    follower, and the power by which that tells the notional shown."""

    blend: float
    power: float


# `liqfield study constants` scans them on full tapes. Those of the largest show half too much in
# cascades, and are kept: what would be right there makes the map's total worse (docs/ledger.md).
LARGEST, LATEST = Shown(0.01, 0.6), Shown(0.1, 1.5)


class Evidence(NamedTuple):
    """One side of one interval.

    swept: USD [classes] per unit of each class's share of openings; standing: share of the side's
    open interest [classes] that stood, per unit of the same; exposure: exits that this mass
    has lived through [classes], age x exit rate; kappa: the churn factor it lived under; seen: USD
    of forced orders that the prints stand for.
    """

    side: int
    swept: FloatArray
    standing: FloatArray
    exposure: FloatArray
    kappa: float
    seen: float


class Level:
    """Forced share by side, the granularity of prints, and the evidence for the law."""

    def __init__(
        self,
        prior_share: float,
        half_life_h: float,
        most: float = 1.0,
        sampled_share: float = 0.35,
        largest: Shown = LARGEST,
        latest: Shown = LATEST,
    ) -> None:
        self._sampled_share, self._largest, self._latest = sampled_share, largest, latest
        self._prior: FloatArray = np.full(2, prior_share)
        self._half_life_h, self._most = half_life_h, most
        # USD by side, forgetting: printed, what that stands for, swept by the mark
        self.shown, self.seen, self.swept = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]
        self.prints = 0
        self._last_second = 0
        self._follow = 0.1  # share of printed seconds that are followed by another
        self.is_sampled = False  # the feed shows a share that nobody knows
        # Forgetting sums over prints: USD, USD squared, USD x ln USD, USD x (ln USD) squared
        self.size_1 = self.size_2 = self.size_ln = self.size_ln2 = 0.0
        # USD [2, classes] swept in the open interval, and USD x birth hour, to be added to; who
        # does so tells the sums to `swept_usd`
        self._open = np.zeros((2, 2, CLASSES))
        self.open_swept, self.open_born = self._open
        self._is_open = False  # something was
        self._open_seen = np.zeros(2)
        self.evidence: deque[Evidence] = deque(maxlen=KEEP)
        self._known: dict[tuple[int, str, float, float], None] = {}

    def print(self, event: Liquidation, notional_usd: float) -> bool:
        """Take one print in; False for a repeated one."""
        key = (event.event_ns, str(event.position_side), event.price, event.quantity)
        if key in self._known:
            return False
        self._known[key] = None
        if len(self._known) > SEEN:
            self._known.pop(next(iter(self._known)))
        side = 0 if event.position_side is PositionSide.LONG else 1
        usd = notional_usd / self._visible(event)
        self._open_seen[side] += usd
        self.seen[side] += usd
        self.shown[side] += notional_usd
        self.prints += 1
        self.size_1 = 0.999 * self.size_1 + notional_usd
        self.size_2 = 0.999 * self.size_2 + notional_usd * notional_usd
        log = math.log(notional_usd)
        self.size_ln = 0.999 * self.size_ln + notional_usd * log
        self.size_ln2 = 0.999 * self.size_ln2 + notional_usd * log * log
        return True

    def _visible(self, event: Liquidation) -> float:
        """Share of the forced notional that the feed shows now.

        One print a second: with a Poisson number of orders of mean mu a second, the next second
        prints with 1 - exp(-mu), so the share of prints with a follower tells mu, and shown is
        (1 - exp(-mu)) / mu of their number. Of the notional the largest is more than its share;
        the latest is less, because mu is far from even and most orders come in the fullest seconds.
        """
        if event.coverage is Coverage.COMPLETE:
            return 1.0
        self.is_sampled = event.coverage is Coverage.SAMPLED
        if self.is_sampled:
            return self._sampled_share
        of = self._latest if event.coverage is Coverage.LATEST_PER_SECOND else self._largest
        second = event.event_ns // 1_000_000_000
        gap = second - self._last_second
        self._last_second = second
        if gap > 0:
            self._follow += of.blend * ((1.0 if gap == 1 else 0.0) - self._follow)
        mu = -math.log(1.0 - min(self._follow, 0.98))
        return float(((1.0 - math.exp(-mu)) / mu) ** of.power) if mu > 1e-6 else 1.0

    def swept_usd(self, longs: float, shorts: float) -> None:
        """Sums by side of what was added to `open_swept`, USD."""
        self.swept[0] += longs
        self.swept[1] += shorts
        self._is_open = True

    def sweep(self, longs: float, shorts: float, shares: FloatArray, born_h: float) -> None:
        """Mass swept by the mark, USD, born at one hour, spread over classes by shares[classes]."""
        spread = np.multiply.outer((longs, shorts), shares)
        self.open_swept += spread
        spread *= born_h
        self.open_born += spread
        self.swept_usd(longs, shorts)

    @property
    def has_news(self) -> bool:
        """Whether the open interval can say anything of the law: sweeps, and a feed that prints."""
        return self.prints > 0 and self._is_open

    def witness(
        self, now_h: float, shares: FloatArray, masses: FloatArray, rates: FloatArray, kappa: float
    ) -> None:
        """What the open interval swept and what was printed become evidence.

        shares: the class shares of openings in force [classes]; masses: what stands [2, classes],
        in any unit; rates: exits an hour [classes].
        """
        unit = 1.0 / np.maximum(shares, 1e-9)
        for side in range(2):
            swept = self.open_swept[side]
            if swept.sum() > 0.0:
                with np.errstate(divide="ignore", invalid="ignore"):
                    age = np.where(swept > 0.0, now_h - self.open_born[side] / swept, 0.0)
                exposure = np.clip(age, 0.0, 1e3) * rates
                stands = masses[side] / max(float(masses[side].sum()), 1e-300)
                seen = float(self._open_seen[side])
                self.evidence.append(
                    Evidence(side, swept * unit, stands * unit, exposure, kappa, seen)
                )

    def forget(self, dt_h: float) -> None:
        """Another scoring interval begins: the running sums fade by the one that ended, hours."""
        keep = 0.5 ** (dt_h / self._half_life_h)
        for sums in (self.shown, self.seen, self.swept):
            sums[0] *= keep
            sums[1] *= keep
        if self._is_open:
            self._open.fill(0.0)
            self._is_open = False
        if self.prints:
            self._open_seen.fill(0.0)

    def rebase(self, forced: tuple[float, float]) -> None:
        """A new law is in force: what was swept under the old one would have been other."""
        self._prior[:] = forced
        for side in range(2):
            if self.seen[side] > 0.0:
                self.swept[side] = self.seen[side] / forced[side]

    def visible(self) -> FloatArray:
        """Share of the forced notional that the feed prints, float64[2]; 1 before any print."""
        seen = np.array(self.seen)
        return np.where(seen > 0.0, self.shown / np.maximum(seen, 1e-300), 1.0)

    def share(self, prior_usd: float) -> FloatArray:
        """Forced share by side, float64[2], positive and at most what the settings allow."""
        if self.prints == 0:
            return self._prior.copy()
        shares = (prior_usd * self._prior + self.seen) / (prior_usd + np.array(self.swept))
        return np.clip(shares, 1e-4, self._most)

    def lump_usd(self, prior_usd: float) -> float:
        """Notional-weighted mean size of a print, shrunk to the prior."""
        strength = 30.0 * prior_usd
        value = (strength * prior_usd + self.size_2) / (strength + self.size_1)
        return min(max(value, 0.05 * prior_usd), 50.0 * prior_usd)

    def size_law(self, median_usd: float, sigma: float, worth: float) -> tuple[float, float]:
        """(median USD, sigma) of the log-normal law of size, weighted by notional: of prints and
        the assumed law, which is worth so many prints, together."""
        if self.size_1 <= 0.0:
            return median_usd, sigma
        count = self.size_1**2 / self.size_2  # prints in effect
        mean = self.size_ln / self.size_1
        variance = max(self.size_ln2 / self.size_1 - mean * mean, 0.0)
        prior, weight = math.log(median_usd), count / (count + worth)
        both = weight * mean + (1.0 - weight) * prior
        spread = weight * variance + (1.0 - weight) * sigma**2
        spread += weight * (1.0 - weight) * (mean - prior) ** 2
        return math.exp(both), math.sqrt(spread)

    def dump(self) -> dict[str, object]:
        """Everything as plain data."""
        return {
            "prior": self._prior.tolist(),
            "seen": self.seen,
            "shown": self.shown,
            "swept": self.swept,
            "prints": self.prints,
            "sizes": [self.size_1, self.size_2, self.size_ln, self.size_ln2],
            "pace": [self._last_second, self._follow, self.is_sampled],
            "open_swept": self.open_swept.tobytes(),
            "open_born": self.open_born.tobytes(),
            "open_seen": self._open_seen.tolist(),
            "evidence": [
                [
                    e.side,
                    e.swept.tobytes(),
                    e.standing.tobytes(),
                    e.exposure.tobytes(),
                    e.kappa,
                    e.seen,
                ]
                for e in self.evidence
            ],
            "known": [list(key) for key in self._known],
        }

    def load(self, data: dict[str, object]) -> None:
        """The inverse of `dump`."""
        self._prior = np.array(data["prior"])
        self.seen[:], self.shown[:], self.swept[:] = data["seen"], data["shown"], data["swept"]  # type: ignore[call-overload]
        self.prints = int(data["prints"])  # type: ignore[call-overload]
        sizes = data["sizes"]
        if len(sizes) == 4:  # type: ignore[arg-type]  # a level kept before had two
            self.size_1, self.size_2, self.size_ln, self.size_ln2 = sizes  # type: ignore[misc]
        pace: list[Any] = list(data["pace"])  # type: ignore[call-overload]
        self._last_second, self._follow = pace[:2]
        self.is_sampled = pace[2:] == [True]
        self.open_swept[:] = np.frombuffer(data["open_swept"]).reshape(2, CLASSES)  # type: ignore[call-overload]
        self.open_born[:] = np.frombuffer(data["open_born"]).reshape(2, CLASSES)  # type: ignore[call-overload]
        self._open_seen = np.array(data["open_seen"])
        self._is_open = bool(self.open_swept.any())
        self.evidence.clear()
        for side, *parts, kappa, seen in data["evidence"]:  # type: ignore[attr-defined]
            swept, standing, exposure = (np.frombuffer(part).copy() for part in parts)
            self.evidence.append(Evidence(side, swept, standing, exposure, kappa, seen))
        self._known = {
            (int(a), str(b), float(c), float(d)): None
            for a, b, c, d in data["known"]  # type: ignore[attr-defined]
        }


def is_finite_positive(*values: float) -> bool:
    """All values are ordinary positive numbers."""
    for value in values:  # noqa: SIM110 - a generator costs four times as much
        if not 0.0 < value < math.inf:
            return False
    return True
