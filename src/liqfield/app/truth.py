"""The live score as a message: what is not known yet is None, and skill carries its interval."""

from __future__ import annotations

import numpy as np

from liqfield.model.estimates import SIDES, TruthReport, TruthRow
from liqfield.model.events import FloatArray, IntArray
from liqfield.server.wire import CalibrationRow, SkillRow, Truth, TruthHour
from liqfield.verify import metrics

HOUR_MS = 3_600_000.0
LEAST_ROWS = 12  # as in verify.truth: fewer say nothing about skill
STATED = 0.8
DRAWS = 200
FLAT = "the hour's path without a map"


def truth_message(
    base: str,
    now_ns: int,
    report: TruthReport | None,
    running: TruthRow | None = None,
    venue: str = "all",
) -> Truth:
    """hours is empty until the first whole interval has ended."""
    now = None if running is None else _hour(running)
    now_ms = now_ns / 1e6
    next_ms = (now_ms // HOUR_MS + 1) * HOUR_MS
    if report is None or not report.rows:
        none = (None, None)
        return Truth(base, now_ms, next_ms, (), (), none, none, STATED, (), (), (), now, venue)
    n = len(report.rows)
    realised = np.array([row.realised_usd for row in report.rows])
    printed = realised.sum(axis=0) > 0.0
    ratio = [r if seen else None for r, seen in zip(report.total_ratio, printed, strict=True)]
    notes = []
    if not report.is_complete:
        notes.append(
            "Some venues print only a sample of their liquidations: the forecast is of prints, "
            "what was liquidated is more."
        )
    if n < LEAST_ROWS:
        notes.append(f"{n} hours are too few to judge skill: {LEAST_ROWS} are needed.")
    return Truth(
        base=base,
        at_ms=report.at_ns / 1e6,
        next_ms=next_ms,
        venues=report.venues,
        hours=tuple(_hour(row) for row in report.rows),
        total_ratio=(ratio[0], ratio[1]),
        coverage=(report.coverage[0], report.coverage[1]),
        coverage_stated=STATED,
        calibration=tuple(
            CalibrationRow(
                side.value,
                b.predicted_usd,
                b.realised_usd,
                b.realised_low,
                b.realised_high,
                b.n,
            )
            for side, bins in zip(SIDES, report.calibration, strict=True)
            for b in bins
        ),
        skill=tuple(row for side in range(2) for row in _skill(report, realised, side)),
        notes=tuple(notes),
        running=now,
        venue=venue,
    )


def _hour(row: TruthRow) -> TruthHour:
    return TruthHour(
        row.at_ns / 1e6,
        row.span_s,
        row.mark_open,
        row.mark_low,
        row.mark_high,
        row.predicted_usd,
        row.p10,
        row.p90,
        row.realised_usd,
        row.flat_usd,
    )


def _skill(report: TruthReport, realised: FloatArray, side: int) -> list[SkillRow]:
    n = len(report.rows)
    enough = n >= LEAST_ROWS and realised[:, side].sum() > 0.0
    name = SIDES[side].value
    low, high = _interval(report, side) if enough else (None, None)
    return [
        SkillRow(
            name,
            "squared log error saved",
            FLAT,
            report.skill[side] if enough else None,
            low,
            high,
            n,
        ),
        SkillRow(
            name, "rank correlation", "", report.rank[side] if enough else None, None, None, n
        ),
    ]


def _interval(report: TruthReport, side: int) -> tuple[float | None, float | None]:
    """80 % interval of the skill by resampling whole days; needs two of them."""
    at_ns: IntArray = np.array([row.at_ns for row in report.rows], dtype=np.int64)
    if len(metrics.day_blocks(at_ns)) < 2:
        return None, None
    y, ours, theirs = (
        np.array([getattr(row, field)[side] for row in report.rows])
        for field in ("realised_usd", "predicted_usd", "flat_usd")
    )
    floor = 0.01 * float(y.mean())
    wrong = [np.square(np.log((x + floor) / (y + floor))) for x in (ours, theirs)]

    def saved(ix: IntArray) -> float:
        base = float(wrong[1][ix].sum())
        return 1.0 - float(wrong[0][ix].sum()) / base if base > 0.0 else 0.0

    found = metrics.bootstrap_days(at_ns, saved, np.random.default_rng(0), DRAWS, 0.8)
    return found.low, found.high
