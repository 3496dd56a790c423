"""The session clock: who is awake, and when books are thin. All in UTC ns, no wall clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays
import msgspec

NS = 1_000_000_000


class Session(msgspec.Struct, frozen=True):
    """A named stretch of the trading day in its own time zone (daylight saving included)."""

    name: str
    zone: str
    opens: time
    closes: time


SESSIONS = (
    Session("Asia", "Asia/Tokyo", time(9, 0), time(17, 0)),
    Session("Europe", "Europe/London", time(8, 0), time(16, 30)),
    Session("US", "America/New_York", time(9, 30), time(16, 0)),
)
# Half an hour around the Asian open: the US has left, Asia has not arrived.
ASIAN_OPEN_THIN = timedelta(minutes=30)


class SessionClock(msgspec.Struct, frozen=True):
    """What the clock says at one instant. thin: reasons why books are likely thin, in words."""

    at_ns: int
    active: tuple[str, ...]
    thin: tuple[str, ...]
    next_open: str
    next_open_ns: int


def session_clock(at_ns: int) -> SessionClock:
    """Sessions under way, reasons for thin books, and the next open."""
    at = datetime.fromtimestamp(at_ns / NS, UTC)
    active = tuple(s.name for s in SESSIONS if _is_open(s, at))
    name, opens = min(((s.name, _next_open(s, at)) for s in SESSIONS), key=lambda pair: pair[1])
    return SessionClock(at_ns, active, thin_reasons(at_ns), name, int(opens.timestamp()) * NS)


def thin_reasons(at_ns: int) -> tuple[str, ...]:
    """Weekend, Sunday evening, US market holiday, Asian open: each that holds at the instant."""
    at = datetime.fromtimestamp(at_ns / NS, UTC)
    new_york = at.astimezone(ZoneInfo("America/New_York"))
    reasons = []
    if new_york.weekday() == 6 and new_york.hour >= 18:
        reasons.append("Sunday evening: futures reopen, books refill")
    elif (
        (new_york.weekday() == 4 and new_york.hour >= 17)
        or new_york.weekday() == 5
        or new_york.weekday() == 6
    ):
        reasons.append("weekend: CME and US banks are closed")
    holiday = _us_holidays(new_york.year).get(new_york.date())
    if holiday:
        reasons.append(f"US market holiday: {holiday}")
    asia = SESSIONS[0]
    local = at.astimezone(ZoneInfo(asia.zone))
    opens = datetime.combine(local.date(), asia.opens, local.tzinfo)
    if local.weekday() < 5 and abs(local - opens) <= ASIAN_OPEN_THIN:
        reasons.append("Asian open: the hand-over from the US")
    return tuple(reasons)


@lru_cache(maxsize=16)
def _us_holidays(year: int) -> dict[date, str]:
    return dict(holidays.financial_holidays("NYSE", years=year).items())


def _is_trading_day(session: Session, day: date) -> bool:
    return day.weekday() < 5 and not (session.name == "US" and day in _us_holidays(day.year))


def _is_open(session: Session, at: datetime) -> bool:
    local = at.astimezone(ZoneInfo(session.zone))
    return _is_trading_day(session, local.date()) and session.opens <= local.time() < session.closes


def _next_open(session: Session, at: datetime) -> datetime:
    local = at.astimezone(ZoneInfo(session.zone))
    for ahead in range(12):  # no market rests longer
        day = local.date() + timedelta(days=ahead)
        opens = datetime.combine(day, session.opens, ZoneInfo(session.zone))
        if _is_trading_day(session, day) and opens > at:
            return opens
    raise AssertionError("no open within twelve days")
