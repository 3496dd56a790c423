"""docs/venues/README.md: what is read of each venue and from where, cell by cell proven here.

A cell is what a handwritten case or a recorded message of that venue becomes; what the venue's own
plans promise (streams, polls) must be among it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from liqfield.venues import registry
from tests.conformance.expected import EXPECTED
from tests.conformance.handwritten import CASES as FIRST
from tests.conformance.handwritten_two import CASES as SECOND
from tests.conformance.test_requests import HOLE
from tests.conformance.wire import REQUESTS
from tests.support import INSTRUMENTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "venues" / "README.md"
STREAM, REPLY = "stream", "REST"
KINDS = (
    "Listing", "TierTable", "Turnover", "BookSnapshot", "BookDelta", "BestQuote", "Trade",
    "Liquidation", "MarkPrice", "IndexPrice", "OpenInterest", "FundingRate", "PositioningRatio",
    "InsuranceFund", "Candle",
)  # fmt: skip
# One class reads both markets of these: what the other one's messages prove holds for them.
SAME = {"binance-coinm": "binance", "bybit-inverse": "bybit"}
NO_FUND = {"binance-coinm", "bybit-inverse"}  # not asked there: one fund page is of USDT markets


def proofs(venue: str) -> Iterator[tuple[str, str]]:
    """(kind, way) that some message of the venue becomes."""
    for case in (*FIRST, *SECOND):
        if case.venue == venue:
            way = REPLY if case.frame.source.startswith("rest:") else STREAM
            yield from ((kind, way) for kind, _ in case.facts)
    for name, counts in EXPECTED.get(venue, {}).items():
        way = REPLY if name in REQUESTS.get(venue, {}) else STREAM
        yield from ((kind, way) for kind in re.findall(r"\d+ (\w+)", counts))


def proven(venue: str) -> dict[str, str]:
    """kind -> "stream", "REST", "stream, REST" or "-"."""
    found = set(proofs(venue))
    if venue in SAME:
        found |= {
            (kind, way)
            for kind, way in proofs(SAME[venue])
            if not (venue in NO_FUND and kind == "InsuranceFund")
        }
    return {kind: ", ".join(way for way in (STREAM, REPLY) if (kind, way) in found) or "-"
            for kind in KINDS}  # fmt: skip


def table() -> dict[str, dict[str, str]]:
    """venue -> kind -> cell, as the page says."""
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("|") and not line.startswith("|--")
    ]
    head, *body = rows
    return {venue: {row[0]: row[i] for row in body} for i, venue in enumerate(head) if i}


@pytest.mark.parametrize("venue", registry.VENUES)
def test_the_page_says_what_is_read(venue: str) -> None:
    assert table()[venue] == proven(venue)


@pytest.mark.parametrize("name", registry.VENUES)
def test_what_is_promised_is_read_from_there(name: str) -> None:
    """A stream or poll that is subscribed for a kind has a message that becomes this kind."""
    venue = registry.VENUES[name]()
    mine = [of for of in INSTRUMENTS.values() if of.venue == name and of.is_perpetual]
    promised = {
        (kind, STREAM) for c in venue.connections(mine) for spec in c.streams for kind in spec.kinds
    } | {(kind, REPLY) for poll in venue.polls(mine) for kind in poll.kinds}
    promised |= {("Listing", REPLY), ("Candle", REPLY)}  # by bootstrap and back-fill
    promised |= {("Turnover", REPLY)} if venue.ranking() else set()
    if mine and venue.missed_trades(mine[0], *HOLE, 0) is not None:
        promised.add(("Trade", REPLY))
    cells = proven(name)
    lacking = {(kind, way) for kind, way in promised if way not in cells.get(kind, way)}
    assert lacking == set()
