"""Self-exciting fit of liquidation prints: how much forced notional each forced dollar brings.

  lambda(t) = mu + sum over earlier prints i of  n w_i beta exp(-beta (t - t_i))

with w_i the print's notional over the mean of the window (capped), so that n is the branching
ratio of notional: n -> 1 is critical. Fitted by expectation-maximisation over a bounded window of
prints with gamma priors, which keep it finite with few prints; each round is O(prints) because the
exponential kernel allows a recursion. The window's own start and end are accounted for.
"""

from __future__ import annotations

import msgspec
import numpy as np

from liqfield.model.events import FloatArray
from liqfield.model.jit import kernel

CAP = 10.0  # one giant print must not be the whole mean


class ExcitationSettings(msgspec.Struct, frozen=True):
    """The priors say: one third of prints are answers, half of these within 4 s; they weigh as
    much as `prior_prints` prints. window_s: older prints are forgotten."""

    window_s: float = 1800.0
    capacity: int = 512
    rounds: int = 25
    prior_branching: float = 0.33
    prior_decay_s: float = 6.0
    prior_prints: float = 6.0
    least_prints: int = 8


class ExcitationFit(msgspec.Struct, frozen=True):
    """mu_per_s: prints a second that come of themselves; decay_s: 1 / beta; n prints used."""

    branching: float
    mu_per_s: float
    decay_s: float
    prints: int


@kernel
def fit_window(
    at_s: FloatArray,
    weight: FloatArray,
    end_s: float,
    rounds: int,
    prior_branching: float,
    prior_decay_s: float,
    prior_prints: float,
) -> tuple[float, float, float]:
    """(branching, mu, beta). at_s ascending from 0 (the window's start); weight mean one."""
    n = at_s.size
    span = max(end_s, 1e-3)
    beta = 1.0 / prior_decay_s
    branching = prior_branching
    mu = max((1.0 - branching) * n / span, 1e-9)
    for _ in range(rounds):
        own, born, waited = 0.0, 0.0, 0.0
        stirred, delayed = 0.0, 0.0  # sums of w exp(-beta dt) and of w dt exp(-beta dt)
        for i in range(n):
            if i > 0:
                gap = at_s[i] - at_s[i - 1]
                decay = np.exp(-beta * gap)
                delayed = decay * (delayed + gap * (stirred + weight[i - 1]))
                stirred = decay * (stirred + weight[i - 1])
            excited = branching * beta * stirred
            rate = mu + excited
            own += mu / rate
            born += excited / rate
            waited += branching * beta * delayed / rate
        # Offspring that would come after the window's end are not missing, only not seen yet.
        seen = 0.0
        for i in range(n):
            seen += weight[i] * (1.0 - np.exp(-beta * (end_s - at_s[i])))
        branching = (born + prior_prints * prior_branching) / (seen + prior_prints)
        mu = max((own + 1e-3) / span, 1e-9)
        beta = (born + prior_prints) / (waited + prior_prints * prior_decay_s)
        beta = min(max(beta, 1.0 / 300.0), 5.0)
    return branching, mu, beta


class Excitation:
    """Prints of one side over all venues; `add` in the order in which they are folded."""

    def __init__(self, settings: ExcitationSettings | None = None) -> None:
        self.settings = settings or ExcitationSettings()
        self._at_ns = np.zeros(self.settings.capacity, np.int64)
        self._usd = np.zeros(self.settings.capacity)
        self._count = 0

    def __len__(self) -> int:
        return min(self._count, len(self._at_ns))

    def add(self, at_ns: int, notional_usd: float) -> None:
        """One print; the oldest is overwritten when memory is full."""
        i = self._count % len(self._at_ns)
        self._at_ns[i], self._usd[i] = at_ns, notional_usd
        self._count += 1

    def window(self, now_ns: int) -> tuple[FloatArray, FloatArray, float]:
        """(seconds since the window began, notional USD, the window's length in s), by time.

        Full memory shortens the window: it begins with the oldest print that is still known.
        """
        n = len(self)
        at_ns, usd = self._at_ns[:n], self._usd[:n]
        begin_ns = now_ns - int(self.settings.window_s * 1e9)
        if n == len(self._at_ns):
            begin_ns = max(begin_ns, int(at_ns.min()) - 1)
        inside = (at_ns > begin_ns) & (at_ns <= now_ns)
        order = np.lexsort((usd[inside], at_ns[inside]))
        span_s = (now_ns - begin_ns) / 1e9
        return (at_ns[inside][order] - begin_ns) / 1e9, usd[inside][order], span_s

    def fit(self, now_ns: int) -> ExcitationFit | None:
        """None with fewer prints than `least_prints` in the window."""
        s = self.settings
        at_s, usd, span_s = self.window(now_ns)
        if len(at_s) < s.least_prints:
            return None
        branching, mu, beta = fit_window(
            at_s,
            normalised(usd),
            span_s,
            s.rounds,
            s.prior_branching,
            s.prior_decay_s,
            s.prior_prints,
        )
        return ExcitationFit(branching, mu, 1.0 / beta, len(at_s))


def normalised(usd: FloatArray) -> FloatArray:
    """Notional over its mean, capped; mean one."""
    capped = np.minimum(usd / max(float(usd.mean()), 1e-300), CAP)
    weight: FloatArray = capped / max(float(capped.mean()), 1e-300)
    return weight
