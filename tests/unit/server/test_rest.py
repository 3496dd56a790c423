"""REST over a real server: tiles, values, candles, refusals, the web app's files."""

from __future__ import annotations

import asyncio
import gzip
import math
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest
import zstandard

from liqfield.app.truth import truth_message
from liqfield.model.errors import SettingError
from liqfield.model.events import Candle
from liqfield.model.sides import CandleOf
from liqfield.model.tiles import BIN_WIDTH, QUANTISATION_ERROR, decode_tile, dequantise
from liqfield.server import wire
from liqfield.server.serve import bind, serving
from tests.unit.server.support import SECOND, T0, Running, density, running

PRICE_INDEX = math.floor(math.log(85_000) / BIN_WIDTH) // 256
TILE = f"api/v1/tiles/BTC/all/10/0/{T0 // 640}/{PRICE_INDEX}"


def fill(server: Running, columns: int) -> None:
    for i in range(columns):
        map_ = density(T0 + 10 * (i + 1), seed=i)
        server.maps.append("BTC", "all", map_.at_ns, map_)
    server.sources.maps[("BTC", "all")] = density(T0 + 10 * columns + 3, seed=999)


def candle(minute: int, close: float, *, closed: bool = True) -> Candle:
    end = (minute + 1) * 60 * SECOND
    prices = (close - 1, close + 5, close - 5, close)
    return Candle("x", end, end, CandleOf.LAST, 60 * SECOND, *prices, 2.0, is_closed=closed)


def test_tiles_by_encoding_with_etag_and_caching() -> None:
    async def scenario() -> None:
        async with running() as server, server.client() as client:
            fill(server, 70)
            bodies = []
            for encoding in ("gzip", "zstd", "identity"):
                request = client.build_request("GET", TILE, headers={"accept-encoding": encoding})
                reply = await client.send(request, stream=True)
                raw = b"".join([part async for part in reply.aiter_raw()])
                assert reply.status_code == 200
                assert reply.headers.get("content-encoding", "identity") == encoding
                assert reply.headers["cache-control"] == "no-cache"
                if encoding == "gzip":
                    raw = gzip.decompress(raw)
                elif encoding == "zstd":
                    raw = zstandard.ZstdDecompressor().decompress(raw)
                bodies.append(raw)
                again = await client.get(
                    TILE,
                    headers={
                        "accept-encoding": encoding,
                        "if-none-match": f'"other", {reply.headers["etag"]}',
                    },
                )
                assert (again.status_code, again.content) == (304, b"")
                assert again.headers["etag"] == reply.headers["etag"]
            assert bodies[0] == bodies[1] == bodies[2]
            head, cells = decode_tile(bodies[0])
            assert head.is_complete
            assert head.filled_columns == 64
            for i in (0, 31, 63):
                want = density(0, seed=i)
                k = want.grid.bin_of(85_000)
                at = want.grid.first_bin + k - head.first_bin
                assert dequantise(cells[:, i, at]) == pytest.approx(
                    want.notional_usd.reshape(6, -1)[:, k], rel=QUANTISATION_ERROR * (1 + 1e-9)
                )
            kept = await client.get(TILE, params={"dataset": server.maps.dataset_id})
            assert "immutable" in kept.headers["cache-control"]
            stale = await client.get(TILE, params={"dataset": "another"})
            assert stale.headers["cache-control"] == "no-cache"

    asyncio.run(scenario())


def test_an_unfinished_tile_changes_its_etag() -> None:
    async def scenario() -> None:
        async with running() as server, server.client() as client:
            fill(server, 5)
            first = await client.get(TILE)
            fill(server, 6)
            reply = await client.get(TILE, headers={"if-none-match": first.headers["etag"]})
            assert reply.status_code == 200
            assert decode_tile(reply.content)[0].filled_columns == 6
            assert reply.headers["cache-control"] == "no-cache"

    asyncio.run(scenario())


def test_the_crosshair_reads_what_the_tile_shows_and_what_the_map_says() -> None:
    async def scenario() -> None:
        async with running() as server, server.client() as client:
            fill(server, 10)
            tile = decode_tile((await client.get(TILE)).content)
            at_ms = (T0 + 34.0) * 1e3
            reply = await client.get(
                "api/v1/value/BTC", params={"at_ms": at_ms, "price": 85_010, "column_s": 10}
            )
            value = msgspec.json.decode(reply.content, type=wire.Value)
            k = math.floor(math.log(85_010) / BIN_WIDTH) - tile[0].first_bin
            assert np.array(value.usd).ravel() == pytest.approx(dequantise(tile[1][:, 3, k]))
            assert (value.column_start_ms, value.as_of_ms) == ((T0 + 30) * 1e3, (T0 + 40) * 1e3)
            assert value.low <= 85_010 < value.high
            newest = density(0, seed=999)
            for level, width in ((0, 1), (1, 4)):
                reply = await client.get(
                    "api/v1/value/BTC", params={"price": 85_010, "bin_level": level}
                )
                live = msgspec.json.decode(reply.content, type=wire.Value)
                low = round(math.log(live.low) / BIN_WIDTH) - newest.grid.first_bin
                want = newest.notional_usd[:, :, low : low + width].sum(axis=2)
                assert np.array(live.usd) == pytest.approx(want)
                assert live.quantisation_error == 0.0
                assert live.p10 == pytest.approx(newest.p10[:, low : low + width].sum(axis=1))

    asyncio.run(scenario())


def test_density_now_and_as_it_was_known() -> None:
    async def scenario() -> None:
        async with running() as server, server.client() as client:
            fill(server, 10)
            now = msgspec.json.decode(
                (await client.get("api/v1/density/BTC")).content, type=wire.Density
            )
            assert np.array_equal(now.notional_usd, density(0, seed=999).notional_usd)
            assert now.p10 is not None
            sums = np.array(now.notional_usd).sum(axis=(1, 2)) + now.outside_usd
            assert sums[0] == pytest.approx(now.open_interest_usd)
            reply = await client.get("api/v1/density/BTC", params={"at_ms": (T0 + 39.9) * 1e3})
            then = msgspec.json.decode(reply.content, type=wire.Density)
            # The column that ended at T0 + 30: nothing from the future.
            assert then.at_ms == (T0 + 30) * 1e3
            assert np.array(then.notional_usd) == pytest.approx(
                density(0, seed=2).notional_usd, rel=QUANTISATION_ERROR * (1 + 1e-9)
            )

    asyncio.run(scenario())


def test_candles_are_aggregated_and_bounded() -> None:
    async def scenario() -> None:
        async with running() as server, server.client() as client:
            minute = T0 // 300 * 5
            for i in range(11):
                server.candles.append("BTC", candle(minute + i, 100.0 + i, closed=i < 10))
            reply = await client.get(
                "api/v1/candles/BTC",
                params={"interval_s": 300, "from_ms": 0, "to_ms": 1.5e12},
            )
            assert reply.status_code == 400
            reply = await client.get(
                "api/v1/candles/BTC",
                params={
                    "interval_s": 300,
                    "from_ms": minute * 6e4,
                    "to_ms": (minute + 15) * 6e4,
                },
            )
            rows = msgspec.json.decode(reply.content, type=wire.Candles).rows
            assert rows == (
                (minute * 6e4, 99.0, 109.0, 95.0, 104.0, 10.0),
                ((minute + 5) * 6e4, 104.0, 114.0, 100.0, 109.0, 10.0),
                ((minute + 10) * 6e4, 109.0, 115.0, 105.0, 110.0, 2.0),
            )

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("api/v1/nothing", 404, "nothing at /api/v1/nothing"),
        ("api/v1/tiles/BTC/all/10/0/1/-3", 404, "no map of BTC all"),
        ("api/v1/tiles/BTC/all/10/9/1/1", 400, "bin_level"),
        ("api/v1/tiles/BTC/all/x/0/1/1", 404, ""),
        ("api/v1/tiles/..%2F..%2Fetc/all/10/0/1/1", 404, ""),
        ("api/v1/value/BTC", 400, "price"),
        ("api/v1/value/BTC?price=-4", 400, "price"),
        ("api/v1/value/BTC?price=nan", 400, "price"),
        ("api/v1/value/BTC?price=1&column_s=11", 404, "10, 60, 300"),
        ("api/v1/density/BTC?at_ms=1e99", 400, "at_ms"),
        ("api/v1/density/BTC", 404, "no map of BTC"),
        ("api/v1/candles/BTC?from_ms=0&to_ms=1&interval_s=7", 400, "interval_s"),
        ("api/v1/candles/DOGE?from_ms=0&to_ms=1", 404, "BTC, ETH"),
        ("api/v1/clusters/BTC", 404, "still being built"),
        ("api/v1/clusters/BTC?at_ms=1", 404, "no map of BTC was known then"),
        ("api/v1/health", 404, "still starting"),
        ("secret.txt", 404, "nothing at"),
    ],
)
def test_refusals_are_problems_in_words(path: str, status: int, words: str) -> None:
    async def scenario() -> httpx.Response:
        async with running() as server, server.client() as client:
            return await client.get(path)

    reply = asyncio.run(scenario())
    assert reply.status_code == status
    assert reply.headers["content-type"].startswith("application/problem+json")
    assert words in msgspec.json.decode(reply.content, type=wire.Problem).message


def test_what_the_hub_knows_is_served() -> None:
    async def scenario() -> None:
        async with running() as server, server.client() as client:
            health = wire.Health(1.0, (), {"x": 2}, 0, 0, 1.5, ())
            clusters = wire.Clusters("BTC", 1000.0, 2.0, (), 50e6, 0.15)
            then = wire.Clusters("BTC", 900.0, 2.1, ())
            known = {("BTC", 999 * SECOND // 1000): then}
            server.sources.past = lambda base, at_ns, least: known.get((base, at_ns))
            server.hub.publish("health", health)
            server.hub.publish("clusters:BTC", clusters)
            rows = [
                wire.TapeRow(float(i), "okx", "short", 1.0, 2.0, "fill", "complete")
                for i in range(5)
            ]
            server.hub.publish_tape("BTC", rows)
            paths = {
                "api/v1/health": health,
                "api/v1/clusters/BTC": clusters,
                "api/v1/clusters/BTC?at_ms=1000": clusters,
                "api/v1/clusters/BTC?at_ms=999": then,
                "api/v1/tape/BTC?from_ms=3": wire.Tape("BTC", tuple(rows[3:])),
                "api/v1/tape/ETH": wire.Tape("ETH", ()),
                "api/v1/markets": tuple(server.sources.markets()),
            }
            for path, want in paths.items():
                reply = await client.get(path)
                assert reply.json() == msgspec.json.decode(msgspec.json.encode(want))
            meta = msgspec.json.decode((await client.get("api/v1/meta")).content, type=wire.Meta)
            assert (meta.version, meta.source) == ("1.2.3", "demo")
            schema = (await client.get("api/v1/openapi.json")).json()
            assert "/api/v1/value/{base}" in schema["paths"]
            parameters = schema["paths"]["/api/v1/value/{base}"]["get"]["parameters"]
            assert "services" not in {p["name"] for p in parameters}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:8765"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "localhost:1", "origin": "http://localhost:2"}, 403),
        ({"host": "localhost:1", "origin": "http://localhost:1"}, 200),
        ({"host": "[::1]:1"}, 200),
        ({"origin": "http://dev.example:5173"}, 200),
        ({}, 200),
    ],
)
def test_only_our_own_pages_under_a_loopback_name(headers: dict[str, str], status: int) -> None:
    async def scenario() -> httpx.Response:
        origins = ("http://dev.example:5173",)
        async with running(origins=origins) as server, server.client() as client:
            return await client.get("api/v1/meta", headers=headers)

    reply = asyncio.run(scenario())
    assert reply.status_code == status
    if status == 403:
        assert reply.json()["t"] == "problem"
    else:
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.com", ""])
def test_other_addresses_are_refused_with_the_reason(host: str) -> None:
    with pytest.raises(SettingError, match="pairing and tokens"):
        bind(host, 0)


def test_a_port_in_use_is_named() -> None:
    async def scenario() -> None:
        async with running() as server:
            with pytest.raises(SettingError, match=f"port {server.address.port}"):
                async with serving(server.app, "127.0.0.1", server.address.port):
                    pass

    asyncio.run(scenario())


def test_the_web_app_is_served_precompressed_with_its_types(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    files = {
        "index.html": "<title>app</title>",
        "manifest.webmanifest": "{}",
        "assets/app-AbCd1234.js": "export {}",
        "icon.svg": "<svg/>",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "assets/app-AbCd1234.js.br").write_bytes(b"not really brotli")
    (tmp_path / "assets/app-AbCd1234.js.gz").write_bytes(gzip.compress(b"export {}"))

    async def scenario() -> None:
        async with running(static=tmp_path) as server, server.client() as client:
            script = await client.get(
                "assets/app-AbCd1234.js", headers={"accept-encoding": "gzip, br;q=0"}
            )
            assert script.text == "export {}"
            assert script.headers["content-encoding"] == "gzip"
            assert script.headers["content-type"].startswith("text/javascript")
            assert "immutable" in script.headers["cache-control"]
            head = await client.head("assets/app-AbCd1234.js", headers={"accept-encoding": "br"})
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-encoding"] == "br"
            manifest = await client.get("manifest.webmanifest")
            assert manifest.headers["content-type"] == "application/manifest+json"
            for path in ("", "index.html", "map/BTC"):
                page = await client.get(path)
                assert page.text == "<title>app</title>"
                assert page.headers["cache-control"] == "no-cache"
                again = await client.get(path, headers={"if-none-match": page.headers["etag"]})
                assert again.status_code == 304
            for path in ("missing.js", "api/x", "..%2fsecret", "assets/app-AbCd1234.js.br"):
                assert (await client.get(path)).status_code == 404

    asyncio.run(scenario())


def test_without_a_built_app_the_page_says_what_to_do() -> None:
    async def scenario() -> httpx.Response:
        async with running() as server, server.client() as client:
            return await client.get("")

    page = asyncio.run(scenario())
    assert page.status_code == 200
    assert "npm run build" in page.text


def test_a_projection_starts_at_the_mark_unless_told_and_is_absent_without_a_book() -> None:
    async def scenario() -> None:
        async with running() as server, server.client() as client:
            server.sources.maps[("BTC", "all")] = density(T0)
            assert (await client.get("api/v1/projection/BTC?side=long")).status_code == 404
            assert (await client.get("api/v1/projection/BTC?side=up")).status_code == 400
            server.sources.reply = wire.ProjectionReply(
                "BTC", 1.0, "short", 5.0, 10.0, 11.0, 10.5, 12.0, 1.0, 0.5, 2.0, 0.1,
                (10.0, 11.0), (1.0,), (2.0,),
            )  # fmt: skip
            reply = await client.get("api/v1/projection/BTC?side=short&price=90000&push_usd=5")
            assert reply.json()["stopPriceFar"] == 12.0
            prices = [price for _, price, _, _ in server.sources.asked]
            assert prices == [85_000.0, 90_000.0]

    asyncio.run(scenario())


def test_readings_are_absent_in_words_until_something_is_published() -> None:
    async def scenario() -> None:
        async with running() as server, server.client() as client:
            for name in ("flow", "context", "truth"):
                reply = await client.get(f"api/v1/{name}/BTC")
                assert reply.status_code == 404
                assert "BTC" in reply.json()["message"]
            server.hub.publish("truth:BTC", truth_message("BTC", T0 * SECOND, None))
            body = (await client.get("api/v1/truth/BTC")).json()
            assert (body["hours"], body["totalRatio"]) == ([], [None, None])

    asyncio.run(scenario())
