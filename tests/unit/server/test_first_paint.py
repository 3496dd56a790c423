"""The page carries the market and names tiles that exist; the kept shell carries neither."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import math
import re
import zlib
from pathlib import Path

import msgspec
import numpy as np

from liqfield.model.tiles import BIN_WIDTH, decode_tile, dequantise
from liqfield.server.first_paint import LARGER, PHONE, REACH
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

            # The picture is what the tiles hold, cut to the view: 24 h and 4.9 % each way.
            header, cells = decode_tile(zlib.decompress(base64.b64decode(first.tile)))
            assert header.columns == 49
            assert header.column_ms == 1_800_000.0
            assert header.first_bin * BIN_WIDTH <= math.log(MARKET.mark) - REACH
            assert (header.first_bin + header.bins) * BIN_WIDTH > math.log(MARKET.mark) + REACH
            for at_ms in (MARKET.at_ms - 3_600_000.0, MARKET.at_ms - 40_000_000.0):
                column = server.maps.column("BTC", "all", int(at_ms * 1e6), 1800)
                assert column is not None
                mine = dequantise(cells[:, int((at_ms - header.start_ms) // header.column_ms)])
                low = header.first_bin - column.grid.first_bin
                held = column.notional_usd.reshape(6, -1)[:, low : low + header.bins]
                assert mine.any()
                np.testing.assert_allclose(mine, held)

            links = re.findall(r'media="([^"]+)" href="/([^"]+)"', page.text)
            assert {media for media, _ in links} <= {PHONE, LARGER}
            phone = [path for media, path in links if media == PHONE]
            assert phone
            for path in phone:
                reply = await client.get(path)
                assert reply.status_code == 200
                assert "/1800/0/" in path

    asyncio.run(scenario())


def test_the_policy_lets_the_page_run_its_own_script_and_no_other(tmp_path: Path) -> None:
    text = "performance.mark('map')"
    (tmp_path / "index.html").write_text(PAGE.replace("</body>", f"<script>{text}</script></body>"))
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    async def scenario() -> None:
        async with running(static=tmp_path) as server, server.client() as client:
            for path in ("", "index.html", "api/v1/meta"):
                policy = (await client.get(path)).headers["content-security-policy"]
                assert f"script-src 'self' 'sha256-{digest}';" in policy
                assert "'unsafe-inline'" not in policy.split("style-src")[0]

    asyncio.run(scenario())
