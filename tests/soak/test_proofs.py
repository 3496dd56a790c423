"""The two proofs with their figures; thresholds are what has been reached, not what is hoped."""

from __future__ import annotations

from pathlib import Path

import pytest

from liqfield.app.study.history import study_history
from liqfield.app.study.worlds import study_worlds

HISTORY = Path(__file__).parents[3] / "shared" / "data" / "history"


@pytest.mark.soak
def test_known_truth(tmp_path: Path) -> None:
    for report in study_worlds(2027, tmp_path):
        print(
            f"{report.name:10} corr {report.ours.correlation:.3f}"
            f" of {report.ceiling.correlation:.3f}"
            f" W1 {report.ours.wasserstein_bp:.1f} of {report.ceiling.wasserstein_bp:.1f} bp"
            f" mass {report.ours.mass_ratio:.2f} coverage {report.ours.coverage:.2f}"
        )
        assert report.ours.correlation > report.naive.correlation + 0.2, report.name
        assert report.ours.wasserstein_bp < report.naive.wasserstein_bp, report.name


@pytest.mark.soak
@pytest.mark.skipif(not HISTORY.exists(), reason="shared history data is not here")
def test_real_market() -> None:
    report = study_history(HISTORY)
    for side in (report.wicks.long, report.wicks.short):
        ours = side.maps[0]
        print(f"R2 {side.range_r2.value:.3f} -> {ours.r2:.3f}, total x{ours.total_ratio.value:.2f}")
        assert ours.gain.low > 0.02
        assert 0.6 < ours.total_ratio.value < 1.6
        assert all(ours.gain.value > other.gain.value for other in side.maps[1:])
