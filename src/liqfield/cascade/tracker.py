"""The cascade tracker: calm, approaching, running, absorbing, exhausted, each with its evidence.

Prints come as they are folded; once a second of the market's clock everything else is judged. A
state is entered on stricter terms than it is left on, so that it does not flicker. All money USD,
side 0 = longs are liquidated (price falls), 1 = shorts (price rises).
"""

from __future__ import annotations

import math

from liqfield.cascade.excitation import Excitation, ExcitationFit
from liqfield.cascade.facts import Burst, CascadeSettings, Ended, Fuel, S, Surroundings
from liqfield.cascade.recent import NOWHERE, RecentSeconds
from liqfield.model.analytics import CascadeState, CascadeView
from liqfield.model.estimates import SIDES
from liqfield.model.words import percent_words, usd_words

__all__ = ["CascadeSettings", "CascadeTracker", "Ended", "Fuel", "S", "Surroundings"]

QUIET = (CascadeState.CALM, CascadeState.APPROACHING)
MOVE_S = 120  # a move began where the price was farthest the other way within so long


class CascadeTracker:
    """One base asset over all venues. `print_` with every forced close, `second` once a second."""

    def __init__(self, settings: CascadeSettings | None = None) -> None:
        self.settings = s = settings or CascadeSettings()
        self.state = CascadeState.CALM
        self.side: int | None = None
        self.since_ns = 0  # of the state
        self._bursts = (Burst(s.burst_s, s.tau_s), Burst(s.burst_s, s.tau_s))
        self._excitation = (Excitation(), Excitation())
        self._fit: ExcitationFit | None = None
        self._fit_ns = 0
        self._around: Surroundings | None = None
        self._recent = RecentSeconds(s.drive_sigmas, s.at_extreme_sigmas)
        self._towards = NOWHERE  # the side that a strong move at its extreme forces
        self._learnt_ns = 0
        # A second keeps so much of the variance and, in calm, of the usual depth.
        self._keep = 0.5 ** (1.0 / s.variance_half_life_s)
        self._keep_depth = 0.5 ** (1.0 / s.depth_half_life_s)
        self.begun_ns = 0
        self.forced_usd = 0.0
        self._peak = 0.0
        self._extreme = 0.0
        self._extreme_ns = 0
        self._open_interest = 0.0
        self._start = 0.0  # log price where the move began
        self.last: Ended | None = None
        self._unmet = 0  # seconds for which an approach did not hold
        self._handlers = {
            CascadeState.CALM: self._calm,
            CascadeState.APPROACHING: self._approaching,
            CascadeState.RUNNING: self._active,
            CascadeState.ABSORBING: self._active,
            CascadeState.EXHAUSTED: self._exhausted,
        }

    # ---- facts --------------------------------------------------------------------------------

    def print_(self, at_ns: int, side: int, notional_usd: float) -> None:
        """One forced close of position side 0 long / 1 short."""
        self._bursts[side].add(at_ns, notional_usd)
        self._excitation[side].add(at_ns, notional_usd)
        if side == self.side and self.state not in QUIET:
            self.forced_usd += notional_usd

    def second(self, around: Surroundings) -> CascadeState | None:
        """Judge; returns the state that was entered, None when it stays."""
        if around.price <= 0.0:
            return None
        self._around = around
        self._learn(around)
        if self.state is CascadeState.CALM and self._towards == NOWHERE and not self._has_prints():
            return None
        before = self.state, self.side
        self._handlers[self.state](around)
        if self.state is not CascadeState.CALM:
            self._refit(around.now_ns)
        return self.state if (self.state, self.side) != before else None

    # ---- states -------------------------------------------------------------------------------

    def _calm(self, around: Surroundings) -> None:
        started = self._started(around)
        if started is not None:
            self._run(started, around)
        elif self._towards != NOWHERE:
            self._enter(CascadeState.APPROACHING, self._towards, around)
            self._unmet = 0

    def _approaching(self, around: Surroundings) -> None:
        started = self._started(around)
        if started is not None:
            self._run(started, around)
            return
        assert self.side is not None
        sigma = self.sigma()
        holds = sigma is not None and self._is_driven(self.side, sigma, self.settings.leave)
        self._unmet = 0 if holds else self._unmet + 1
        if self._unmet >= self.settings.stall_s:
            self._enter(CascadeState.CALM, None, around)

    def _active(self, around: Surroundings) -> None:
        s, side = self.settings, self.side
        assert side is not None
        intensity = self._bursts[side].usd_per_min(around.now_ns)
        self._peak = max(self._peak, intensity)
        started = self._started(around)
        if started is not None and started != side and intensity < s.fade * self._peak:
            self._run(started, around)
            return
        is_new = self._note_extreme(side, around)
        still_s = (around.now_ns - self._extreme_ns) / 1e9
        is_silent = not self._bursts[side].recent(around.now_ns)[0]
        if is_silent and still_s >= s.stall_s:
            self._enter(CascadeState.EXHAUSTED, side, around)
        elif self.state is CascadeState.RUNNING and still_s >= s.stall_s:
            self._enter(CascadeState.ABSORBING, side, around)
        elif self.state is CascadeState.ABSORBING and is_new:
            self._enter(CascadeState.RUNNING, side, around)

    def _exhausted(self, around: Surroundings) -> None:
        assert self.side is not None
        started = self._started(around)
        if started is not None:
            self._run(started, around)
            return
        past_s = (around.now_ns - self.since_ns) / 1e9
        if past_s >= self.settings.rest_s and self._towards != NOWHERE:
            self._unmet = 0
            self._close()
            self._enter(CascadeState.APPROACHING, self._towards, around)
            return
        if past_s >= self.settings.calm_s:
            self._close()
            self._enter(CascadeState.CALM, None, around)

    # ---- parts --------------------------------------------------------------------------------

    def _has_prints(self) -> bool:
        """Whether any print may lie in the burst window."""
        return bool(self._bursts[0] or self._bursts[1])

    def _started(self, around: Surroundings) -> int | None:
        """The side of a burst that is large enough, the larger one if both are."""
        s = self.settings
        found, most = None, 0.0
        for side in (0, 1):
            count, usd = self._bursts[side].recent(around.now_ns)
            depth = self._recent.usual_depth(side) or around.depth_usd[side]
            if count >= s.least_prints and usd >= s.depth_share * depth and usd > most:
                found, most = side, usd
        return found

    def _is_driven(self, side: int, sigma: float, share: float) -> bool:
        least = self.settings.drive_sigmas * sigma * math.sqrt(60.0)
        return self._drive(side) >= share * least

    def _drive(self, side: int) -> float:
        """Move over the last minute in the direction that forces this side, log price."""
        move = self.move(60)
        return -move if side == 0 else move

    def _run(self, side: int, around: Surroundings) -> None:
        is_again = (
            self.state is CascadeState.EXHAUSTED
            and self.side == side
            and around.now_ns - self.since_ns < 60 * S
        )
        if not is_again:
            self._close()
            sign = -1.0 if side == 0 else 1.0
            self._start = sign * float((sign * self._recent.newest(MOVE_S + 1)).min())
            _, usd = self._bursts[side].recent(around.now_ns)
            self.begun_ns = around.now_ns - int(self.settings.burst_s * S)
            self.forced_usd, self._peak = usd, 0.0
            self._open_interest = around.open_interest
            self._extreme = around.price
        self._peak = max(self._peak, self._bursts[side].usd_per_min(around.now_ns))
        sign = -1.0 if side == 0 else 1.0
        self._extreme = sign * max(sign * self._extreme, sign * around.price)
        self._extreme_ns = around.now_ns
        self._enter(CascadeState.RUNNING, side, around)

    def _close(self) -> None:
        """What the cascade came to, if there was one."""
        if self.begun_ns:
            self.last = Ended(self.begun_ns, self.forced_usd, self._extreme)

    def _note_extreme(self, side: int, around: Surroundings) -> bool:
        sign = -1.0 if side == 0 else 1.0
        beyond = sign * math.log(around.price / self._extreme)
        if beyond <= (self.sigma() or 0.0) * self.settings.extreme_sigmas:
            return False
        self._extreme, self._extreme_ns = around.price, around.now_ns
        return True

    def _enter(self, state: CascadeState, side: int | None, around: Surroundings) -> None:
        self.state, self.side, self.since_ns = state, side, around.now_ns
        self._fit_ns = 0

    def _learn(self, around: Surroundings) -> None:
        """Volatility always, usual depth only while nothing happens."""
        s, passed = self.settings, max(1, round((around.now_ns - self._learnt_ns) / S))
        self._learnt_ns = around.now_ns
        keep = self._keep if passed == 1 else 0.5 ** (passed / s.variance_half_life_s)
        is_quiet = self.state in QUIET
        self._towards = self._recent.add(
            around.price, around.net_flow, around.depth_usd, passed, keep,
            self._keep_depth if is_quiet else 1.0,
        )  # fmt: skip

    def _refit(self, now_ns: int) -> None:
        if self.side is not None and now_ns - self._fit_ns >= self.settings.refit_s * S:
            self._fit = self._excitation[self.side].fit(now_ns)
            self._fit_ns = now_ns

    # ---- readings -----------------------------------------------------------------------------

    def recent(self, side: int, now_ns: int) -> tuple[int, float]:
        """(prints, USD) of a side within the burst window."""
        return self._bursts[side].recent(now_ns)

    def last_print_ns(self, side: int) -> int:
        """Event time of the newest print of a side, 0 = none yet."""
        return self._bursts[side].last_ns

    def move(self, seconds: int) -> float:
        """Log price now against `seconds` (at most five minutes) ago."""
        recent = self._recent
        return recent.back(0) - recent.back(seconds) if len(recent) else 0.0

    def way_done(self) -> float:
        """Log way of the cascade's move so far, from where it began; 0 before any."""
        if self.side is None or not self.begun_ns:
            return 0.0
        sign = -1.0 if self.side == 0 else 1.0
        return max(sign * (self._recent.back(0) - self._start), 0.0)

    def way_recent(self) -> float:
        """The part of it that the last ten seconds brought; < 0 where it turned."""
        return -self.move(10) if self.side == 0 else self.move(10)

    def flow(self) -> float:
        """Net aggressive base coins of the last ten seconds."""
        return self._recent.flow()

    def sigma(self) -> float | None:
        """Standard deviation of log price over one second; None in the first minute."""
        return self._recent.sigma()

    def efficiency(self) -> float | None:
        """Move of the last ten seconds over what the impact expects of its net forced-way flow."""
        around, side = self._around, self.side
        if around is None or side is None or around.impact is None or len(self._recent) < 11:
            return None
        sign = -1.0 if side == 0 else 1.0
        flow = sign * self.flow()
        expected = around.impact * flow
        if expected <= 0.0:
            return None
        move = sign * (math.exp(self._recent.back(0)) - math.exp(self._recent.back(10)))
        return move / expected

    def refill(self) -> float | None:
        """Depth near the touch that the forced orders hit, over the usual."""
        if self._around is None or self.side is None:
            return None
        now, usual = self._around.depth_usd[self.side], self._recent.usual_depth(self.side)
        return now / usual if now > 0.0 and usual > 0.0 else None

    def view(self) -> CascadeView:
        """What readers see."""
        around, side = self._around, self.side
        if around is None or side is None:
            return _calm_view(self.since_ns)
        is_cascade = self.state not in QUIET
        change = None
        if is_cascade and self._open_interest > 0.0 and around.open_interest > 0.0:
            change = around.open_interest / self._open_interest - 1.0
        fuel = around.fuel[side]
        return CascadeView(
            state=self.state,
            position_side=SIDES[side],
            since_ns=self.since_ns,
            forced_usd=self.forced_usd if is_cascade else 0.0,
            intensity_usd_per_min=self._bursts[side].usd_per_min(around.now_ns),
            peak_usd_per_min=self._peak if is_cascade else 0.0,
            branching=self._fit.branching if self._fit is not None else None,
            open_interest_change=change,
            efficiency=self.efficiency(),
            refill=self.refill(),
            fuel_usd=fuel.notional_usd if fuel is not None else None,
            fuel_distance=fuel.distance if fuel is not None else None,
            evidence=tuple(self._evidence(side, around, change)),
        )

    def _evidence(self, side: int, around: Surroundings, change: float | None) -> list[str]:
        s = self.settings
        who = ("longs", "shorts")[side]
        fuel = around.fuel[side]
        lines: list[str] = []
        if self.state is CascadeState.APPROACHING:
            sigma = self.sigma() or 1.0
            lines.append(
                f"the last minute moved towards the levels of {who} by "
                f"{self._drive(side) / (sigma * math.sqrt(60.0)):.1f} deviations "
                f"(from {s.drive_sigmas:g})"
            )
            if fuel is not None:
                lines.append(
                    f"next: {usd_words(fuel.notional_usd)} of {who} "
                    f"{percent_words(fuel.distance)} away, "
                    f"{fuel.distance / (sigma * math.sqrt(300.0)):.1f} five-minute deviations"
                )
            return lines
        count, usd = self._bursts[side].recent(around.now_ns)
        depth = self._recent.usual_depth(side)
        share = f", {usd / depth:.0%} of the depth within 10 bp" if depth > 0.0 else ""
        lines.append(
            f"{count} prints of {who} worth {usd_words(usd)} in {s.burst_s:g} s{share} "
            f"(running from {s.least_prints} and {s.depth_share:.0%})"
        )
        intensity = self._bursts[side].usd_per_min(around.now_ns)
        if self._peak > 0.0:
            lines.append(
                f"{usd_words(intensity)} a minute, {intensity / self._peak:.0%} of the peak"
            )
        still_s = (around.now_ns - self._extreme_ns) / 1e9
        lines.append(
            f"last new extreme {still_s:.0f} s ago (absorbing from {s.stall_s:g} s, exhausted "
            f"when no print came for {s.burst_s:g} s either)"
        )
        if self._fit is not None:
            lines.append(f"each forced dollar brings {self._fit.branching:.2f} more")
        if change is not None:
            lines.append(f"open interest {change * 100:+.2f} % since it began")
        refill = self.refill()
        if refill is not None:
            lines.append(f"depth within 10 bp at {refill:.0%} of the usual")
        if fuel is not None:
            lines.append(
                f"next: {usd_words(fuel.notional_usd)} of {who} {percent_words(fuel.distance)} on"
            )
        return lines


def _calm_view(since_ns: int) -> CascadeView:
    return CascadeView(
        state=CascadeState.CALM,
        position_side=None,
        since_ns=since_ns,
        forced_usd=0.0,
        intensity_usd_per_min=0.0,
        peak_usd_per_min=0.0,
        branching=None,
        open_interest_change=None,
        efficiency=None,
        refill=None,
        fuel_usd=None,
        fuel_distance=None,
        evidence=("no burst of forced orders, no cluster close ahead",),
    )
