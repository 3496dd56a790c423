"""COT: both real forms, suppressed cells, integrity, and no look into the future."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from liqfield.context.cot import CONTRACTS, net_base, read_api, read_weekly, usable_at
from liqfield.model.errors import DecodeError


def _row(code: str = "133741", oi: str = "100", long: str = "60", short: str = "30") -> str:
    # dealer long/short/spread, three further groups, totals, then non-reportable
    numbers = [oi, long, short, "10", "0", "0", "0", "0", "0", "0", "0", "0", "0"]
    numbers += ["70", "40", "30", "60"]
    cells = ['"NAME"', "260915", "2026-09-15", code, "CME ", "00", "133 ", *numbers]
    return ",".join(cells + ["."] * (87 - len(cells)))


def test_contracts_become_coins_and_sum_to_open_interest() -> None:
    (report,) = read_weekly(_row() + "\r\n")
    assert report.open_interest == 500.0  # 100 contracts of 5 coins
    assert report.groups["dealer"].net == 150.0
    assert report.imbalance() == 0.0


def test_suppressed_is_not_zero() -> None:
    (report,) = read_weekly(_row(long="."))
    assert report.groups["dealer"].long is None
    assert net_base([report], "dealer") is None


def test_other_contracts_are_skipped_and_wrong_width_is_refused() -> None:
    assert read_weekly(_row(code="099741")) == []
    with pytest.raises(DecodeError, match="fields"):
        read_weekly("1,2,3")


def test_report_is_unusable_before_its_release() -> None:
    reports = read_weekly(_row())
    friday = int(datetime(2026, 9, 18, 23, 59, tzinfo=UTC).timestamp()) * 10**9
    saturday = int(datetime(2026, 9, 19, tzinfo=UTC).timestamp()) * 10**9
    assert usable_at(reports, "BTC", friday) == []
    assert usable_at(reports, "BTC", saturday) == reports
    assert usable_at(reports, "ETH", saturday) == []


def test_api_rows_with_their_uneven_names() -> None:
    row = {
        "cftc_contract_market_code": "146021",
        "report_date_as_yyyy_mm_dd": "2026-09-15T00:00:00.000",
        "open_interest_all": "10",
        "dealer_positions_long_all": "6",
        "dealer_positions_short_all": "2",
        "dealer_positions_spread_all": "1",
        "asset_mgr_positions_long": "1",
        "asset_mgr_positions_short": "4",
        "lev_money_positions_long": "0",
        "nonrept_positions_long_all": "2",
        "nonrept_positions_short_all": "3",
    }
    (report,) = read_api([row])
    assert report.base == "ETH"
    assert report.as_of == date(2026, 9, 15)
    assert report.groups["asset_mgr"].net == -150.0
    assert report.imbalance() == 0.0
    with pytest.raises(DecodeError):
        read_api([{"cftc_contract_market_code": "146021"}])


def test_the_real_weekly_file(shared_data: Path) -> None:
    folder = shared_data / "reference" / "cot"
    text = next(folder.glob("FinFutWk*.txt")).read_text()
    reports = read_weekly(text)
    assert {r.code for r in reports} == set(CONTRACTS)
    for report in reports:
        assert report.imbalance() == pytest.approx(0.0, abs=1e-6)
    bitcoin = next(r for r in reports if r.code == "133741")
    assert bitcoin.groups["lev_money"].net == -31_770.0
    rows = json.loads(next(folder.glob("*.json")).read_text())
    assert len(rows) >= 3
