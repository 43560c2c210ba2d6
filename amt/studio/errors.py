"""What went wrong, as a client is told: a status, and one line in JSON."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from amt.errors import AmtError, MidiError
from amt.studio.guard import HEADERS
from amt.studio.jobs import Busy, ClientGone, Stopping, TimeOver

CLIENT_GONE = 499
BROKEN = "something broke inside the server; its log says what"
MAX_MESSAGE_LEN = 400

# What the Python API calls differently than a request.
NAMES = {
    " or num_beams": "",
    "(5, 8)": "[[5, 8]]",
    "amt.generate(prompt_midi=...)": "prompt_midi of /v1/generate",
    "amt.generate": "/v1/generate",
    "bars=(5, 8)": "bars [[5, 8]]",
    "num_return_sequences": "num_pieces",
    'tracks=["bass"]': 'tracks ["bass"]',
}
_NAMES = re.compile("|".join(re.escape(name) for name in sorted(NAMES, key=len, reverse=True)))
# What a type of Python is called in JSON, by pydantic's names of errors.
KINDS = {
    "dict_type": "an object",
    "is_instance_of": "an array",
    "list_type": "an array",
    "model_attributes_type": "an object",
    "tuple_type": "an array",
}

logger = logging.getLogger(__name__)


def one_line(message: str) -> str:
    """A message without control characters, and not too long, whatever names and values it holds."""
    text = " ".join("".join(each if each.isprintable() else " " for each in message).split())
    return text if len(text) <= MAX_MESSAGE_LEN else f"{text[:MAX_MESSAGE_LEN]}... ({len(text)} characters)"


def explained(error: Exception) -> tuple[int, str]:
    """The status and the line for an error. One of the server's own is written to its log."""
    if isinstance(error, Busy):
        return 429, str(error)
    if isinstance(error, TimeOver):
        return 504, "the time is over; ask for less music, or for more time"
    if isinstance(error, Stopping):
        return 503, "the server is being stopped; ask again when it runs"
    if isinstance(error, ClientGone):
        return CLIENT_GONE, "nobody waits for the answer"
    is_ours = isinstance(error, AmtError) and not isinstance(error, MidiError)
    if isinstance(error, ValueError) and not is_ours:
        return 400, one_line(_NAMES.sub(lambda match: NAMES[match[0]], str(error)))
    logger.error("a request could not be answered", exc_info=error)
    return 500, one_line(str(error)) if is_ours else BROKEN


def error_response(error: Exception) -> Response:
    """The answer for an error."""
    status, message = explained(error)
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, Busy) else None
    return JSONResponse({"error": message}, status, headers)


def add_error_handlers(app: FastAPI) -> None:
    """Give what goes wrong outside of the endpoints the same form as everything else."""

    @app.exception_handler(RequestValidationError)
    async def wrong_body(_: Request, error: RequestValidationError) -> Response:
        return JSONResponse({"error": wrong_field(error.errors())}, 400)

    @app.exception_handler(HTTPException)
    async def no_such_thing(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        message = {
            400: "the body is no JSON that can be read",
            404: "there is no such address; /openapi.json has them all",
            405: f"{one_line(request.method)} is not answered here; /openapi.json says what is",
        }.get(error.status_code, one_line(str(error.detail)))
        return JSONResponse({"error": message}, error.status_code, headers)

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> Response:
        # It is raised again behind this, and uvicorn writes it to the log. The guard is not passed any more.
        headers = {name.decode(): value.decode() for name, value in HEADERS}
        return JSONResponse({"error": BROKEN}, 500, headers)


def wrong_field(errors: Sequence[Any]) -> str:
    """What is wrong with the first field that pydantic complains of: with its innermost part that is wrong.

    Of several kinds that it could be, pydantic has an error for each.
    """
    first = errors[0]
    if first["type"] == "json_invalid":
        place = first["loc"][-1]
        return one_line(f"the body: JSON decode error at character {place}: {first.get('ctx', {}).get('error', '')}")
    name, _ = _field(first)
    fields = [(_field(error), error) for error in errors]
    members = max((field[1] for field, _ in fields if field[0] == name), key=len)
    wrongs = dict.fromkeys(_wrong(error) for field, error in fields if field == (name, members))
    place = name + "".join(f"[{member}]" for member in members)
    return one_line(f"{place or 'the body'}: {'; or: '.join(wrongs)}")


def _field(error: Any) -> tuple[str, tuple[int, ...]]:
    """The name of a field, and the numbers of its members; between them pydantic names types of a union."""
    _, *loc = error["loc"]
    name = error.get("ctx", {}).get("field") or (str(loc[0]) if loc else "")
    return name, tuple(part for part in loc[1:] if isinstance(part, int))


def _wrong(error: Any) -> str:
    if (kind := KINDS.get(error["type"])) is not None:
        return f"Input should be {kind}"
    kind, _, rest = error["msg"].partition(" ")
    return f"Input {rest}" if kind in ("Dictionary", "List", "Tuple") else error["msg"]
