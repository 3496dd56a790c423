"""Lots: what a venue lists as its smallest step of size is the step of the sizes it sends."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from liqfield.model.events import BookDelta, BookSnapshot, Listing, Trade
from tests.conformance.wire import catalogue, decode_all, fixture_files, frames_of


def test_a_listed_lot_of_hyperliquid_is_the_step_of_its_trades_and_levels(
    shared_data: Path,
) -> None:
    """Neither coarser (a size between two lots) nor finer (only every tenth lot ever occurs)."""
    files = {path.stem: path for path in fixture_files(shared_data, "hyperliquid")}
    listings = {
        event.instrument_id: event.instrument
        for event in decode_all(frames_of("hyperliquid", files["rest_meta"]), {})
        if isinstance(event, Listing)
    }
    sizes: dict[str, list[float]] = defaultdict(list)
    for name in ("trades", "trades_2025_12", "l2_book", "l2book_trades_sequence"):
        frames = frames_of("hyperliquid", files[name])
        for event in decode_all(frames, {**catalogue(frames), **listings}):
            if isinstance(event, Trade):
                sizes[event.instrument_id].append(event.quantity)
            elif isinstance(event, BookSnapshot | BookDelta):
                sizes[event.instrument_id] += event.levels.quantity.tolist()
    judged = 0
    for key, found in sizes.items():
        if key not in listings or len(found) < 30:
            continue
        lot = listings[key].lot * listings[key].quantity_factor
        lots = [size / lot for size in found]
        assert all(abs(count - round(count)) < 1e-6 * max(count, 1.0) for count in lots), key
        assert any(round(count) % 10 for count in lots), f"{key}: the lot is ten times too fine"
        judged += 1
    assert judged >= 1
