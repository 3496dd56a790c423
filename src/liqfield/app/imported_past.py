"""What the live estimators begin with where there are imports: the days before the back-fill.

They go through the intake as frames, so that they are recorded and a replay begins alike (see
docs/decisions/0003). Their columns of the map are drawn by `archive_maps`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from liqfield.model.durations import DAY_NS
from liqfield.model.events import Frame
from liqfield.model.instrument import Instrument
from liqfield.store.history import HistoryStore
from liqfield.store.past_frames import past_frame
from liqfield.store.upkeep import HISTORY

STEP_NS = 300_000_000_000
# Half of the open interest or more changes hands in a day: two weeks forget how they began.
WARM_DAYS = 14
# Vendors publish a day some hours after its end. A longer hole says too little of what stands now.
MOST_MISSING_NS = DAY_NS


async def hand_over(
    folder: Path,
    instruments: Iterable[Instrument],
    until_ns: Mapping[str, int],
    days: float,
    now_ns: Callable[[], int],
    sink: Callable[[Frame], None],
) -> int:
    """Put the last imported `days` of instruments into `sink`; returns how many frames.

    folder: the program's data. until_ns: where the venue's back-fill begins, by instrument id.
    Raises StoreError.
    """
    if not (folder / HISTORY).is_dir():
        return 0
    store = HistoryStore(folder / HISTORY)
    known = set(store.instruments())
    sent = 0
    for of in instruments:
        if of.id not in known:
            continue
        end_ns = until_ns[of.id]
        for day in unbroken_days(store, of.id, end_ns, min(days, WARM_DAYS)):
            events = await asyncio.to_thread(store.past_day, of.id, day, STEP_NS)
            sink(past_frame(of.id, min((day + 1) * DAY_NS, end_ns), now_ns(), events))
            sent += 1
    return sent


def unbroken_days(store: HistoryStore, instrument_id: str, until_ns: int, days: float) -> list[int]:
    """Days since epoch without a hole that end at most MOST_MISSING_NS before `until_ns`.

    Each has a price and open interest. Empty where the imports end earlier.
    """
    last = (until_ns - 1) // DAY_NS
    priced = set(store.days("candles", instrument_id)) | set(store.days("trades", instrument_id))
    there = priced & set(store.days("open_interest", instrument_id))
    day = max((d for d in there if d <= last), default=-1)
    if (day + 1) * DAY_NS < until_ns - MOST_MISSING_NS:
        return []
    found: list[int] = []
    while day in there and (last - day) < days:
        found.append(day)
        day -= 1
    return found[::-1]
