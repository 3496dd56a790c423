"""The page carries the market and names tiles that exist; the kept shell carries neither."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import msgspec

from liqfield.server.first_paint import LARGER, PHONE
from liqfield.server.wire import First, Market
from tests.unit.server.support import T0, density, running

MARKET = Market("BTC", T0 * 1e3, 85_010.0, 85_000.0, None, 1e9, None, "live", "</script><b>")
PAGE = "<html><head><title>app</title></head><body></body></html>"


def test_the_page_names_the_tiles_of_the_first_view(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(PAGE)

    async def scenario() -> None:
        async with running(static=tmp_path) as server, server.client() as client:
            assert (await client.get("")).text == PAGE, "nothing to show yet"
            for i in range(40):
                made = density(T0 - (40 - i) * 1800)
                server.maps.append("BTC", "all", made.at_ns, made, 1800)
            server.hub.publish("market:BTC", MARKET)
            page = await client.get("", headers={"accept-encoding": "gzip"})
            assert page.headers["cache-control"] == "no-store"
            assert (await client.get("index.html")).text == PAGE, "the kept shell has no moment"

            # Text of the market cannot end the element: there is one </script> in all.
            [text] = re.findall(
                r'<script type="application/json" id="first">(.*?)</script>', page.text
            )
            first = msgspec.json.decode(text.encode(), type=First)
            assert first.market == MARKET
            assert first.hello.dataset == server.maps.dataset_id

            links = re.findall(r'media="([^"]+)" href="/([^"]+)"', page.text)
            assert {media for media, _ in links} <= {PHONE, LARGER}
            phone = [path for media, path in links if media == PHONE]
            assert phone
            for path in phone:
                reply = await client.get(path)
                assert reply.status_code == 200
                assert "/1800/0/" in path

    asyncio.run(scenario())
