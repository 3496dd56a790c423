"""Serves the web app, or a page that says how to build it."""

from __future__ import annotations

import zlib

from litestar import Response, route
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from liqfield.server.assets import ENCODINGS
from liqfield.server.first_paint import with_first
from liqfield.server.negotiate import accepted, matches
from liqfield.server.services import AnyRequest, Given

_MISSING = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>liqfield</title>
<body style="font:16px/1.5 system-ui;max-width:40rem;margin:2rem auto;padding:0 1rem">
<h1>liqfield is running, its web app is not built</h1>
<p>This checkout has no built assets. Build them once and reload:</p>
<pre>cd web &amp;&amp; npm ci &amp;&amp; npm run build</pre>
<p>The data is there all the same: <a href="/api/v1/meta">/api/v1/meta</a>,
<a href="/api/v1/markets">/api/v1/markets</a>, <a href="/api/v1/health">/api/v1/health</a>,
<a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p></body></html>"""


@route(["/", "/{path:path}"], http_method=["GET", "HEAD"], include_in_schema=False)
async def get_asset(
    request: AnyRequest, services: Given, path: FromPath[str] = ""
) -> Response[bytes]:
    """A file of the web app; its page for every address that looks like a screen of it."""
    name = str(path).lstrip("/")
    asset = services.assets.find(name)
    if asset is None and not name.startswith(("api/", "..")) and "." not in name.rpartition("/")[2]:
        asset = services.assets.find("")
        if asset is None and not name:
            return Response(
                _MISSING.encode(),
                media_type="text/html; charset=utf-8",
                headers={"Cache-Control": "no-store"},
            )
    if asset is None:
        raise NotFoundException(f"nothing at /{name}")
    encodings = accepted(request.headers.get("accept-encoding", ""))
    # /index.html stays bare: the service worker keeps it, and must not keep a moment.
    if asset is services.assets.find("") and name != "index.html":
        filled = with_first(asset.variants["identity"], services)
        if filled is not None:
            return _moment(filled, asset.media_type, gzip="gzip" in encodings)
    encoding = next((e for e, _ in ENCODINGS if e in encodings and e in asset.variants), "identity")
    etag = f'"{asset.etag}-{encoding}"'
    headers = {"ETag": etag, "Vary": "Accept-Encoding", "Cache-Control": asset.cache_control}
    if matches(request.headers.get("if-none-match", ""), etag):
        return Response(b"", status_code=304, headers=headers)
    if encoding != "identity":
        headers["Content-Encoding"] = encoding
    return Response(asset.variants[encoding], media_type=asset.media_type, headers=headers)


def _moment(page: bytes, media_type: str, *, gzip: bool) -> Response[bytes]:
    headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
    if gzip:
        headers["Content-Encoding"] = "gzip"
        page = zlib.compress(page, 5, wbits=31)
    return Response(page, media_type=media_type, headers=headers)
