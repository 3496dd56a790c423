"""CFTC Commitments of Traders (financial futures, futures only): slow context, joined on release.

Two real forms are read: the weekly headerless file (87 fields) and the public API's JSON rows
whose field names differ (no `_all` on some). Counts become base coins, so that contracts of
different size add up. A report is as of Tuesday and usable only once published: Friday 15:30
New York, later around holidays; `usable_from_ns` says Saturday 00:00
UTC, which is safe in an ordinary week.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec

from liqfield.model.errors import DecodeError

# contract code -> (base asset, base coins per contract)
CONTRACTS: Mapping[str, tuple[str, float]] = {
    "133741": ("BTC", 5.0),
    "133742": ("BTC", 0.1),
    "146021": ("ETH", 50.0),
}
GROUPS = ("dealer", "asset_mgr", "lev_money", "other_rept")
_FIELDS = 87
_API_NAMES = {  # the public API drops `_all` on some columns only
    "dealer": "dealer_positions_{}_all",
    "asset_mgr": "asset_mgr_positions_{}",
    "lev_money": "lev_money_positions_{}",
    "other_rept": "other_rept_positions_{}",
}


class GroupPosition(msgspec.Struct, frozen=True):
    """Base coins; `spread` counts on both sides. None = suppressed by the agency."""

    long: float | None
    short: float | None
    spread: float | None

    @property
    def net(self) -> float | None:
        if self.long is None or self.short is None:
            return None
        return self.long - self.short


class CotReport(msgspec.Struct, frozen=True):
    """One contract's report, in base coins."""

    code: str
    base: str
    as_of: date
    usable_from_ns: int
    open_interest: float
    groups: dict[str, GroupPosition]
    non_reportable_long: float | None
    non_reportable_short: float | None

    def imbalance(self) -> float:
        """Largest miss of the identity groups + spreads + non-reportable = open interest."""
        worst = 0.0
        for side, rest in (
            ("long", self.non_reportable_long),
            ("short", self.non_reportable_short),
        ):
            parts = [rest or 0.0]
            for group in self.groups.values():
                parts += [getattr(group, side) or 0.0, group.spread or 0.0]
            worst = max(worst, abs(sum(parts) - self.open_interest))
        return worst


def usable_from_ns(as_of: date) -> int:
    """Saturday 00:00 UTC after the report's Tuesday, ns since epoch."""
    saturday = as_of + timedelta(days=(5 - as_of.weekday()) % 7)
    at = datetime(saturday.year, saturday.month, saturday.day, tzinfo=UTC)
    return int(at.timestamp()) * 1_000_000_000


def read_any(text: str) -> list[CotReport]:
    """A dropped file of either form: the API's JSON rows, or the weekly file without header."""
    if text.lstrip()[:1] in ("[", "{"):
        try:
            rows = msgspec.json.decode(text.encode())
        except msgspec.DecodeError as error:
            raise DecodeError("cftc", "api", text[:200].encode(), str(error)) from error
        rows = rows if isinstance(rows, list) else [rows]
        if not all(isinstance(row, dict) for row in rows):
            raise DecodeError("cftc", "api", text[:200].encode(), "rows are no objects")
        return read_api(rows)
    return read_weekly(text)


def read_weekly(text: str) -> list[CotReport]:
    """The weekly file without header; rows of other contracts are skipped."""
    reports = []
    for row in csv.reader(io.StringIO(text)):
        if not row:
            continue
        if len(row) != _FIELDS:
            why = f"{len(row)} fields instead of {_FIELDS}"
            raise DecodeError("cftc", "FinFutWk", ",".join(row).encode(), why)
        code = row[3].strip()
        if code not in CONTRACTS:
            continue
        numbers = [_number(cell) for cell in row[7:24]]
        groups = {
            name: (numbers[1 + 3 * i], numbers[2 + 3 * i], numbers[3 + 3 * i])
            for i, name in enumerate(GROUPS)
        }
        reports.append(
            _report(code, row[2].strip(), numbers[0], groups, (numbers[15], numbers[16]))
        )
    return reports


def read_api(rows: Sequence[Mapping[str, object]]) -> list[CotReport]:
    """Rows of the public API (strings; dates like 2026-07-28T00:00:00.000)."""
    reports = []
    for row in rows:
        code = str(row.get("cftc_contract_market_code", "")).strip()
        if code not in CONTRACTS:
            continue
        try:
            as_of = str(row["report_date_as_yyyy_mm_dd"])[:10]
            open_interest = _number(row["open_interest_all"])
        except KeyError as error:
            raise DecodeError("cftc", "api", repr(row).encode(), f"no field {error}") from error
        groups = {}
        for name, form in _API_NAMES.items():
            spread = "dealer_positions_spread_all" if name == "dealer" else form.format("spread")
            groups[name] = (
                _number(row.get(form.format("long"))),
                _number(row.get(form.format("short"))),
                _number(row.get(spread)),
            )
        rest = (
            _number(row.get("nonrept_positions_long_all")),
            _number(row.get("nonrept_positions_short_all")),
        )
        reports.append(_report(code, as_of, open_interest, groups, rest))
    return reports


def usable_at(reports: Sequence[CotReport], base: str, at_ns: int) -> list[CotReport]:
    """The newest report of each contract of `base` that was public at `at_ns`: never the future."""
    newest: dict[str, CotReport] = {}
    for report in reports:
        if report.base != base or report.usable_from_ns > at_ns:
            continue
        if report.code not in newest or newest[report.code].as_of < report.as_of:
            newest[report.code] = report
    return [newest[code] for code in sorted(newest)]


def net_base(reports: Sequence[CotReport], group: str) -> float | None:
    """Net position of a group over contracts, base coins; None if any part is suppressed."""
    nets = [report.groups[group].net for report in reports]
    if not nets or any(net is None for net in nets):
        return None
    return sum(net for net in nets if net is not None)


def _report(
    code: str,
    as_of_text: str,
    open_interest: float | None,
    groups: Mapping[str, tuple[float | None, float | None, float | None]],
    rest: tuple[float | None, float | None],
) -> CotReport:
    base, per_contract = CONTRACTS[code]
    try:
        as_of = date.fromisoformat(as_of_text)
    except ValueError as error:
        raise DecodeError("cftc", code, as_of_text.encode(), "not a date") from error
    if open_interest is None:
        raise DecodeError("cftc", code, as_of_text.encode(), "no open interest")

    def coins(contracts: float | None) -> float | None:
        return None if contracts is None else contracts * per_contract

    return CotReport(
        code=code,
        base=base,
        as_of=as_of,
        usable_from_ns=usable_from_ns(as_of),
        open_interest=open_interest * per_contract,
        groups={
            name: GroupPosition(coins(long), coins(short), coins(spread))
            for name, (long, short, spread) in groups.items()
        },
        non_reportable_long=coins(rest[0]),
        non_reportable_short=coins(rest[1]),
    )


def _number(cell: object) -> float | None:
    """None where the agency suppressed the figure: "." is not zero."""
    text = str(cell).strip() if cell is not None else "."
    if text in (".", ""):
        return None
    try:
        return float(text)
    except ValueError as error:
        raise DecodeError("cftc", "number", text.encode(), "not a number") from error
