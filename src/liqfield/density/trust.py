"""How far the map can be believed: a score with reasons, and how much wider intervals get."""

from __future__ import annotations

import math

import msgspec

from liqfield.model.durations import MINUTE_NS
from liqfield.model.estimates import Confidence
from liqfield.model.events import Gap

SILENCE_NS = 15 * MINUTE_NS
FADE_NS = 6 * 60 * MINUTE_NS  # an incident stops counting after some hours
VAGUE = 0.4  # log error of the total beyond which it is said
HEAVIER = 0.5  # what more could stand, as a share, beyond which it is said
DATA_KINDS = frozenset({"Trade", "MarkPrice", "OpenInterest"})


class Incident(msgspec.Struct):
    """One thing that went wrong: when, what, how much it costs (share of confidence)."""

    at_ns: int
    reason: str
    cost: float


class Trust:
    """Collects incidents; judges at read-out."""

    def __init__(self) -> None:
        self.oi_ns = 0
        self.has_tiers = False
        self.turned = 0.0  # OI replaced since the start
        self._begun_ns = 0
        self.borrowed_ns = 0  # when the mark was last taken from trades
        self._incidents: dict[str, Incident] = {}

    def begun(self, now_ns: int) -> None:
        self._begun_ns = now_ns

    def gap(self, now_ns: int, gap: Gap) -> None:
        if not gap.kinds or DATA_KINDS & set(gap.kinds):
            self._note("gap", now_ns, f"a stream was lost ({gap.reason})", 0.1)

    def silence(self, now_ns: int, length_ns: int) -> None:
        if length_ns > SILENCE_NS and self._begun_ns:
            minutes = length_ns / MINUTE_NS
            cost = min(0.15 + minutes / 1440.0, 0.7)
            self._note("silence", now_ns, f"no data for {minutes:.0f} minutes", cost)

    def outlier(self, now_ns: int, what: str) -> None:
        self._note("outlier", now_ns, f"implausible {what} ignored", 0.1)

    def no_outlier(self, now_ns: int) -> None:
        """What was ignored at this time has been believed after all."""
        if "outlier" in self._incidents and self._incidents["outlier"].at_ns == now_ns:
            del self._incidents["outlier"]

    def oi_jump(self, now_ns: int, ratio: float) -> None:
        cost = min(0.3 + 0.05 * abs(math.log(ratio)), 0.6)
        self._note("oi", now_ns, f"open interest jumped {ratio:.3g}-fold: rescaled", cost)

    def _note(self, key: str, now_ns: int, reason: str, cost: float) -> None:
        self._incidents[key] = Incident(now_ns, reason, cost)

    def judge(
        self,
        now_ns: int,
        prints: int,
        mark_ns: int,
        law_sd: float = 0.0,
        heavier: float = 0.0,
        law_from: str = "",
        *,
        in_words: bool = True,
    ) -> tuple[Confidence, float]:
        """(confidence, extra relative standard deviation of the map).

        law_sd: error of the log of all that stands near the mark; heavier: how much more of it
        would stand there were cross positions heavily levered. Both are in the map's intervals.
        law_from: where the law of openings was counted, said beside the score. in_words: whether
        the reasons are wanted.
        """
        score, widen = 1.0, 0.0
        told: list[tuple[str, float | str]] = []
        for incident in self._incidents.values():
            fade = math.exp(-(now_ns - incident.at_ns) / FADE_NS)
            if fade > 0.1:
                score *= 1.0 - incident.cost * fade
                told.append(("{}", incident.reason))
                widen += 1.5 * incident.cost * fade
        warm = 1.0 - math.exp(-1.5 * self.turned)
        if warm < 0.9:
            score *= 0.4 + 0.6 * warm
            widen += 0.6 * (1.0 - warm)
            told.append(("only {:.0f} % of positions seen opening", 100.0 * warm))
        for at_ns, silence, limit in (
            (mark_ns, "no mark price for {:.0f} minutes", 10),
            (self.oi_ns, "no open interest for {:.0f} minutes", 30),
        ):
            minutes = (now_ns - at_ns) / MINUTE_NS
            if at_ns and minutes > limit:
                score *= math.exp(-minutes / 360.0)
                widen += min(minutes / 360.0, 2.0)
                told.append((silence, minutes))
        if self.borrowed_ns and now_ns - self.borrowed_ns < FADE_NS // 6:
            score *= 0.9
            told.append(("mark price taken from trades", ""))
        if prints == 0:
            score *= 0.8
            told.append(("no liquidation print seen: level is the prior's", ""))
        if law_sd > VAGUE:
            score *= max(1.0 - 0.5 * (law_sd - VAGUE), 0.6)
            told.append(("total near the mark known within a factor of {:.1f}", math.exp(law_sd)))
        if heavier > HEAVIER:
            score *= max(1.0 - 0.1 * (heavier - HEAVIER), 0.8)
            more = "near the mark {:.1f} times as much if cross leverage is high"
            told.append((more, 1.0 + heavier))
        if law_from:
            told.append(("{}", law_from))
        if not self.has_tiers:
            score *= 0.95
            told.append(("margin tiers are the prior's", ""))
        reasons = tuple(text.format(value) for text, value in told) if in_words else ()
        return Confidence(max(min(score, 1.0), 0.0), reasons), widen

    def dump(self) -> dict[str, object]:
        """Everything as plain data."""
        return {
            "plain": [self.oi_ns, self.has_tiers, self.turned, self._begun_ns, self.borrowed_ns],
            "incidents": {k: [i.at_ns, i.reason, i.cost] for k, i in self._incidents.items()},
        }

    def load(self, data: dict[str, object]) -> None:
        """The inverse of `dump`."""
        plain, incidents = msgspec.convert(
            (data["plain"], data["incidents"]),
            tuple[tuple[int, bool, float, int, int], dict[str, tuple[int, str, float]]],
        )
        self.oi_ns, self.has_tiers, self.turned, self._begun_ns, self.borrowed_ns = plain
        self._incidents = {key: Incident(*value) for key, value in incidents.items()}
