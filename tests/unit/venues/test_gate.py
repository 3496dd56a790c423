"""Gate says a liquidation twice: both ways must be the same facts."""

from __future__ import annotations

import msgspec
import pytest

from liqfield.model.events import Frame, Liquidation
from liqfield.model.sides import PositionSide, PriceKind
from liqfield.venues.gate import Gate
from tests.support import INSTRUMENTS

# Six longs that others saw by stream and in the list, BTC_USDT on 2026-08-11: size and price of the
# stream, then size, order price and fill of the list.
PAIRS = [
    (-77, "63527.5", 77, "63527.5", "63713.4"),
    (-2, "63525.5", 2, "63525.5", "63713.4"),
    (-8, "63522.6", 8, "63522.6", "63710.2"),
    (-677, "63515.5", 677, "63515.5", "63693.8"),
    (-299, "63507.9", 299, "63507.9", "63692.6"),
    (-8, "63502.9", 8, "63502.9", "63691.2"),
]


def _one(source: str, message: object) -> Liquidation:
    frame = Frame("gate", source, 1, msgspec.json.encode(message))
    (event,) = Gate().decode(frame, INSTRUMENTS)
    assert isinstance(event, Liquidation)
    return event


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("pair", PAIRS)
def test_stream_and_list_close_the_same_position(
    pair: tuple[int, str, int, str, str], sign: int
) -> None:
    size, price, held, order_price, fill = pair
    row = {"contract": "BTC_USDT", "size": str(sign * size), "price": price, "time_ms": 5_000}
    streamed = _one(
        "ws:/v4/ws/usdt#flow",
        {"channel": "futures.public_liquidates", "event": "update", "result": [row]},
    )
    kept = {"contract": "BTC_USDT", "size": sign * held, "time": 5}
    listed = _one(
        "rest:/api/v4/futures/usdt/liq_orders?limit=200",
        [kept | {"order_price": order_price, "fill_price": fill}],
    )
    unfilled = _one(
        "rest:/api/v4/futures/usdt/liq_orders?limit=200",
        [kept | {"order_price": order_price, "fill_price": "0"}],
    )
    assert streamed == unfilled, "the stream shows the order as it was placed"
    assert streamed.position_side is (PositionSide.LONG if sign > 0 else PositionSide.SHORT)
    assert (listed.position_side, listed.quantity) == (streamed.position_side, streamed.quantity)
    assert (streamed.price_kind, listed.price_kind) == (PriceKind.LIMIT, PriceKind.FILL)


def test_the_live_feed_takes_each_liquidation_from_one_place() -> None:
    venue, mine = Gate(), [of for of in INSTRUMENTS.values() if of.venue == "gate"]
    assert not any("liq_orders" in poll.request.path for poll in venue.polls(mine))
    asked = b"".join(message for c in venue.connections(mine) for message in c.send)
    assert asked.count(b"public_liquidates") == 1
