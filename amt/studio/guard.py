"""What stands before every request: who may ask, from where, how much. Plain ASGI, so that streams stay streams.

Against DNS rebinding: without a token only the names of this machine are answered. Against posts by other pages: an
Origin must be the page's own, a post must be JSON, and no answer allows another origin to read it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from amt.studio.settings import ServerSettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
COOKIE = "amt_token"
OPEN_PATHS = ("/healthz",)
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
        b" base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)


class Guard:
    """Lets through what may pass.

    Args:
        app: what is behind it.
        settings: token, host and limits.
    """

    def __init__(self, app: App, settings: ServerSettings):
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        body = _Body(receive, self._settings)
        has_answered = False

        async def guarded(message: Message) -> None:
            nonlocal has_answered
            if body.refusal is not None:  # whatever the app makes of half a body
                if not has_answered:
                    has_answered = True
                    await _answer(send, *body.refusal)
                return
            has_answered = True
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        await self._app(scope, body.receive, guarded)
        if body.refusal is not None and not has_answered:
            await _answer(send, *body.refusal)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Status and reason, or None."""
        settings, host = self._settings, headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if settings.token is None and name.lower() not in (*LOOPBACK_NAMES, settings.host.lower()):
            return 403, "this host name is not the server's; open it as http://127.0.0.1 or http://localhost"
        origin = headers.get("origin")
        if origin is not None and _place(origin) != host.lower():
            return 403, "requests of other pages are not answered"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and scope["path"] != "/":
            return 403, "requests of other pages are not answered"
        if settings.token is not None and scope["path"] not in OPEN_PATHS and not self._has_token(scope, headers):
            return 401, "a token is needed: Authorization: Bearer TOKEN"
        if scope["method"] in ("POST", "PUT", "PATCH"):
            if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                return 415, "the body must be JSON, with Content-Type: application/json"
            length = headers.get("content-length", "0")
            if not (length.isdecimal() and len(length) < 19 and int(length) <= settings.max_body_bytes):
                return 413, f"the request has more than {settings.max_body_bytes} bytes"
        return None

    def _has_token(self, scope: Scope, headers: dict[str, str]) -> bool:
        token = self._settings.token
        assert token is not None, "without a token everybody may ask"
        scheme, _, given = headers.get("authorization", "").partition(" ")
        shown = [given] if scheme.lower() == "bearer" else []
        cookies = [each.strip().partition("=") for each in headers.get("cookie", "").split(";")]
        shown += [unquote(value) for name, _, value in cookies if name == COOKIE]
        if scope["path"] == "/" and scope["method"] == "GET":  # the page is opened once with it, then there is a cookie
            shown += parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [])
        return any(hmac.compare_digest(each.encode("utf-8", "replace"), token.encode()) for each in shown)


class _Body:
    """The body of a request, as far as it may come.

    Attributes:
        refusal: status and reason, once it is too long or too slow. The app is told that the client has gone.
    """

    def __init__(self, receive: Receive, settings: ServerSettings):
        self._receive, self._settings = receive, settings
        self._num_bytes = 0
        self._end_s = monotonic() + settings.body_s
        self._has_come = False
        self.refusal: tuple[int, str] | None = None

    async def receive(self) -> Message:
        """The next part of it; behind the last one what the server says of the client."""
        if self._has_come:
            return await self._receive()
        most, gone = self._settings.max_body_bytes, {"type": "http.disconnect"}
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._end_s - monotonic()))
        except asyncio.TimeoutError:
            self.refusal = 408, f"the body was not there after {self._settings.body_s:g} s"
            return gone
        self._num_bytes += len(message.get("body", b""))
        if self._num_bytes > most:
            self.refusal = 413, f"the request has more than {most} bytes"  # the rest is not read
            return gone
        self._has_come = not message.get("more_body", False)
        return message


def _place(origin: str) -> str | None:
    """Host and port of an Origin; None where it has none, or is none."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def cookie_value(token: str) -> str:
    """A token without the characters that end or quote a cookie."""
    return quote(token, safe="")


async def _answer(send: Send, status: int, message: str) -> None:
    body = json.dumps({"error": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
    headers += [(b"www-authenticate", b"Bearer")] if status == 401 else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
