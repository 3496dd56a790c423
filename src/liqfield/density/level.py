"""Level and law from prints: what share of the swept mass was really seen as forced orders.

Level: gamma-Poisson with forgetting. Law: two numbers tilt the classes,
    ln g(L) = a z + b (z^2 - 1),  z = ln(L / 10),
by penalised quasi-likelihood over the intervals in which the mark swept something. Bins that the
mark never traversed never enter: they are no evidence.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from liqfield.density.law import CLASS_LEVERAGE, CLASSES
from liqfield.model.events import FloatArray, Liquidation
from liqfield.model.sides import Coverage, PositionSide

Z: FloatArray = np.log(CLASS_LEVERAGE / 10.0)
FEATURES: FloatArray = np.stack((Z, Z * Z - 1.0))
MAX_TILT = 1.5
KEEP = 4000
SEEN = 1024
# Share of the forced notional that a feed shows; fitted levels absorb what these miss.
VISIBLE = {
    Coverage.COMPLETE: 1.0,
    Coverage.LARGEST_PER_SECOND: 0.6,
    Coverage.LATEST_PER_SECOND: 0.4,
    Coverage.SAMPLED: 0.35,
}


def tilt_of(theta: FloatArray) -> FloatArray:
    """float64[classes] from theta[2]."""
    tilt: FloatArray = np.exp(np.clip(theta @ FEATURES, -4.0, 4.0))
    return tilt


def fit_tilt(swept: FloatArray, seen: FloatArray, penalty: float, start: FloatArray) -> FloatArray:
    """theta[2] that best explains seen[T] by swept[T, classes] under the untilted law.

    Gamma quasi-likelihood of the mean phi x (swept @ g) with the level phi profiled out: sums of
    liquidations scatter in proportion to their size, so a Poisson weight lets one crash decide.
    """
    theta = start.copy()
    floor = max(float(seen.mean()) * 0.05, 1e-12)
    y = seen + floor
    for _ in range(12):
        parts = swept * tilt_of(theta)
        mean = parts.sum(axis=1)
        ok = mean > 0.0
        if ok.sum() < 8:
            return start
        share = parts[ok] / mean[ok, None]
        slope = share @ FEATURES.T
        level = float(np.exp(np.mean(np.log(y[ok]) - np.log(mean[ok] + 1e-300))))
        residual = np.log(y[ok]) - np.log(level * mean[ok])
        centred = slope - slope.mean(axis=0)
        hessian = centred.T @ centred + penalty * np.eye(2)
        step = np.linalg.solve(hessian, centred.T @ residual - penalty * theta)
        theta = np.clip(theta + np.clip(step, -0.5, 0.5), -MAX_TILT, MAX_TILT)
        if float(np.abs(step).max()) < 1e-4:
            break
    return theta


class Level:
    """Forced share by side, the tilt of the law, and the granularity of prints."""

    def __init__(self, prior_share: float, half_life_h: float) -> None:
        self._prior = prior_share
        self._half_life_h = half_life_h
        self.seen = np.zeros(2)  # USD, forgetting
        self.swept = np.zeros(2)  # USD, forgetting
        self.theta: FloatArray = np.zeros(2)
        self.prints = 0
        self.size_1 = self.size_2 = 0.0  # forgetting sums of USD and USD squared
        self._open_swept = np.zeros((2, CLASSES))
        self._open_seen = np.zeros(2)
        self._records: deque[tuple[FloatArray, float]] = deque(maxlen=KEEP)
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
        usd = notional_usd / VISIBLE[event.coverage]
        self._open_seen[side] += usd
        self.seen[side] += usd
        self.prints += 1
        self.size_1 = 0.999 * self.size_1 + notional_usd
        self.size_2 = 0.999 * self.size_2 + notional_usd * notional_usd
        return True

    def sweep(self, swept_usd: FloatArray) -> None:
        """Mass swept by the mark, USD [2, classes]."""
        self._open_swept += swept_usd
        self.swept += swept_usd.sum(axis=1)

    def interval(self, dt_h: float) -> None:
        """End of a scoring interval."""
        keep = 0.5 ** (dt_h / self._half_life_h)
        self.seen *= keep
        self.swept *= keep
        if self.prints:
            tilt = tilt_of(self.theta)
            for side in range(2):
                if self._open_swept[side].sum() > 0.0:
                    self._records.append((self._open_swept[side] / tilt, self._open_seen[side]))
        self._open_swept[:] = 0.0
        self._open_seen[:] = 0.0

    def refit(self, penalty: float = 40.0) -> FloatArray | None:
        """New tilt / old tilt [classes] when there is evidence enough, else None."""
        if len(self._records) < 48:
            return None
        swept = np.array([record[0] for record in self._records])
        seen = np.array([record[1] for record in self._records])
        if np.count_nonzero(seen) < 24:
            return None
        old = tilt_of(self.theta)
        self.theta = fit_tilt(swept, seen, penalty, self.theta)
        ratio: FloatArray = tilt_of(self.theta) / old
        return ratio

    def share(self, prior_usd: float) -> FloatArray:
        """Forced share by side, float64[2], in (0, 1]."""
        if self.prints == 0:
            return np.full(2, self._prior)
        shares = (prior_usd * self._prior + self.seen) / (prior_usd + self.swept)
        return np.clip(shares, 1e-4, 1.0)

    def lump_usd(self, prior_usd: float) -> float:
        """Notional-weighted mean size of a print, shrunk to the prior."""
        strength = 30.0 * prior_usd
        value = (strength * prior_usd + self.size_2) / (strength + self.size_1)
        return min(max(value, 0.05 * prior_usd), 50.0 * prior_usd)

    def dump(self) -> dict[str, object]:
        """Everything as plain data."""
        return {
            "seen": self.seen.tolist(),
            "swept": self.swept.tolist(),
            "theta": self.theta.tolist(),
            "prints": self.prints,
            "sizes": [self.size_1, self.size_2],
            "open_swept": self._open_swept.tobytes(),
            "open_seen": self._open_seen.tolist(),
            "records": [(swept.tobytes(), seen) for swept, seen in self._records],
            "known": [list(key) for key in self._known],
        }

    def load(self, data: dict[str, object]) -> None:
        """The inverse of `dump`."""
        self.seen = np.array(data["seen"])
        self.swept = np.array(data["swept"])
        self.theta = np.array(data["theta"])
        self.prints = int(data["prints"])  # type: ignore[call-overload]
        self.size_1, self.size_2 = data["sizes"]  # type: ignore[misc]
        self._open_swept = np.frombuffer(data["open_swept"]).reshape(2, CLASSES).copy()  # type: ignore[call-overload]
        self._open_seen = np.array(data["open_seen"])
        self._records.clear()
        for swept, seen in data["records"]:  # type: ignore[attr-defined]
            self._records.append((np.frombuffer(swept).copy(), float(seen)))
        self._known = {
            (int(a), str(b), float(c), float(d)): None
            for a, b, c, d in data["known"]  # type: ignore[attr-defined]
        }


def trigger_price(price: float, side: PositionSide, rate: float) -> float:
    """Where the mark stood at the trigger of a bankruptcy-priced print: BP / (1 -+ m)."""
    return price / (1.0 - rate) if side is PositionSide.LONG else price / (1.0 + rate)


def is_finite_positive(*values: float) -> bool:
    """All values are ordinary positive numbers."""
    return all(math.isfinite(value) and value > 0.0 for value in values)
