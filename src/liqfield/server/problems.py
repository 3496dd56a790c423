"""Errors as JSON in words: {"t": "problem", "code": ..., "message": ...}, for people to read."""

from __future__ import annotations

from typing import TypeAlias

import structlog
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, NotFoundException, ValidationException

from liqfield.model.errors import LiqfieldError, ModelError, SettingError, StoreError
from liqfield.server.wire import Problem

MEDIA_TYPE = "application/problem+json"
AnyRequest: TypeAlias = Request[object, object, State]
_log = structlog.get_logger()
_CODES = {400: "request", 403: "forbidden", 404: "not_found", 405: "method", 413: "too_large"}


def problem(status: int, message: str) -> Response[Problem]:
    return Response(
        Problem(_CODES.get(status, "server"), message),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store"},
    )


def on_http_error(request: AnyRequest, error: HTTPException) -> Response[Problem]:
    """What the framework refuses: unknown paths, parameters out of bounds."""
    message = error.detail
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        parts = [f"{item.get('key', '')}: {item.get('message', '')}" for item in error.extra]
        message = "; ".join(parts) or message
    elif type(error) is NotFoundException and message == "Not Found":
        message = f"nothing at {request.url.path}"
    return problem(error.status_code, message)


def on_our_error(request: AnyRequest, error: LiqfieldError) -> Response[Problem]:
    """What we raise on purpose."""
    asked_wrongly = isinstance(error, (ModelError, SettingError))
    if isinstance(error, StoreError):
        _log.warning("store", path=request.url.path, error=str(error))
    return problem(400 if asked_wrongly else 503, str(error))


def on_surprise(request: AnyRequest, error: Exception) -> Response[Problem]:
    """A bug: logged with its trace, not shown."""
    _log.error("request failed", path=request.url.path, exc_info=error)
    return problem(500, "the server failed on this request; its log says more")
