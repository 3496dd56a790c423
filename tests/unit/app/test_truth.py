"""The score on the wire: nothing is claimed before it can be."""

from __future__ import annotations

import numpy as np

from liqfield.app.truth import LEAST_ROWS, truth_message
from liqfield.model.estimates import TruthRow
from liqfield.verify.truth import truth_report

HOUR = 3_600_000_000_000
T0 = 1_800_000_000 // 86_400 * 86_400_000_000_000


def rows(n: int, seed: int = 1) -> list[TruthRow]:
    """Hours whose prints follow the map and not the flat baseline, on the long side only."""
    random = np.random.default_rng(seed)
    made = []
    for i in range(n):
        ours = float(random.lognormal(13, 1.0))
        seen = ours * float(random.lognormal(0, 0.2))
        made.append(
            TruthRow(
                T0 + i * HOUR, 3600.0, 100.0, 99.0, 101.0,
                (ours, 5.0), (ours / 2, 1.0), (ours * 2, 9.0), (seen, 0.0), (1e6, 1.0),
            )
        )  # fmt: skip
    return made


def test_before_an_hour_it_says_when() -> None:
    message = truth_message("BTC", T0 + HOUR // 2, None)
    assert message.hours == ()
    assert message.next_ms == (T0 + HOUR) / 1e6


def test_few_hours_claim_no_skill() -> None:
    kept = rows(LEAST_ROWS - 1)
    message = truth_message("BTC", T0, truth_report("BTC", T0, ["okx"], True, kept))
    assert all(row.value is None for row in message.skill)
    assert any("too few" in note for note in message.notes)


def test_skill_comes_with_an_interval_by_days_and_an_unprinted_side_is_unknown() -> None:
    report = truth_report("BTC", T0, ["okx"], False, rows(72))
    message = truth_message("BTC", T0, report)
    long, short = (
        next(r for r in message.skill if r.side == side and r.baseline)
        for side in ("long", "short")
    )
    assert long.value is not None
    assert long.low is not None
    assert long.high is not None
    assert 0.5 < long.low <= long.value <= long.high < 1.0
    assert long.value == report.skill[0]
    assert short.value is None
    assert message.total_ratio[1] is None
    assert any("sample" in note for note in message.notes)
    assert len(message.hours) == 72
