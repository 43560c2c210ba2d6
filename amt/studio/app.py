"""The endpoints of the service, and with the page those of the studio."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import monotonic, process_time
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse

from amt.errors import AmtError, MidiError
from amt.studio.bodies import DescribeBody, EditBody, GenerateBody, OpenBody, ReadBody, SearchBody, SoundBody
from amt.studio.guard import COOKIE, Guard
from amt.studio.jobs import Busy, ClientGone, Job, Jobs, TimeOver
from amt.studio.metrics import Metrics
from amt.studio.music import Music
from amt.studio.settings import ServerSettings
from amt.version import __version__
from amt.views.player import synth_script

CLIENT_GONE = 499
STATIC = Path(__file__).with_name("static")
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def make_app(settings: ServerSettings) -> FastAPI:
    """The service; the model is opened here."""
    metrics = Metrics()
    music = Music(settings, metrics)
    jobs = Jobs(settings.max_running, settings.max_queue)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(music.warm)
        yield
        music.close()
        jobs.close()

    app = FastAPI(
        title="AMT", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/openapi.json"
    )
    app.state.music, app.state.jobs, app.state.metrics = music, jobs, metrics

    def job_of(body: Any) -> Job:
        return Job(min(body.timeout_s or settings.timeout_s, settings.timeout_s))

    async def answer(request: Request, body: Any, work: Callable[[Job, Any], Any]) -> Any:
        """What the work comes to, or the error in one line."""
        endpoint, job = request.url.path, job_of(body)
        status = 200
        try:
            value = await jobs.result(job, lambda job: work(job, body), request.is_disconnected)
            if isinstance(value, bytes):
                return Response(value, media_type="audio/wav")
            return JSONResponse(value)
        except Exception as error:
            response = error_response(error)
            if response is None:
                status = 500
                raise
            status = response.status_code
            return response
        finally:
            metrics.finished(endpoint, status, monotonic() - job.began)

    async def streamed(request: Request, body: Any, work: Callable[[Job, Any], Any]) -> Any:
        """The events of the work; what goes wrong before the first one is an ordinary answer."""
        endpoint, job = request.url.path, job_of(body)
        events = jobs.events(job, lambda job: work(job, body))
        try:
            first = await anext(events)
        except Exception as error:
            response = error_response(error)
            metrics.finished(endpoint, 500 if response is None else response.status_code, monotonic() - job.began)
            if response is None:
                raise
            return response
        metrics.first_event(endpoint, monotonic() - job.began)

        async def lines() -> AsyncIterator[bytes]:
            status = CLIENT_GONE
            try:
                yield sse(*first)
                async for event in events:
                    yield sse(*event)
                status = 200
            except (TimeOver, ValueError, AmtError) as error:
                response = error_response(error)
                status = 500 if response is None else response.status_code
                yield sse("error", {"error": message_of(error)})
            finally:
                job.cancel()
                await events.aclose()
                metrics.finished(endpoint, status, monotonic() - job.began)

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(lines(), media_type="text/event-stream", headers=headers)

    @app.exception_handler(RequestValidationError)
    async def wrong_body(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return JSONResponse({"error": f"{place or 'the body'}: {first['msg']}"}, 400)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether it is alive."""
        return {"status": "ok", "version": __version__}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics_page() -> str:
        """Counts and times, for Prometheus."""
        return metrics.text(
            {
                "amt_requests_running": (jobs.num_running, "Requests that are worked on."),
                "amt_requests_waiting": (jobs.num_waiting, "Requests that wait for a thread."),
                "amt_rows_running": (music.batch.num_rows, "Sequences in the running batch."),
                "amt_rows_waiting": (music.batch.num_waiting, "Sequences that wait for the batch."),
                "amt_resident_bytes": (_resident_bytes(), "Memory of the process."),
            },
            {
                "amt_tokens_total": (music.batch.num_tokens, "Tokens that were written."),
                "amt_cpu_seconds_total": (process_time(), "Processor time of the process."),
            },
        )

    @app.post("/v1/generate")
    async def generate(request: Request, body: GenerateBody) -> Any:
        """Music that fits a text; with `stream` as server-sent events: started, notes, result, error."""
        return await (streamed if body.stream else answer)(request, body, music.generate)

    @app.post("/v1/edit")
    async def edit(request: Request, body: EditBody) -> Any:
        """Some bars or parts of a piece anew; with `stream` as events: started, progress, result, error."""
        return await (streamed if body.stream else answer)(request, body, music.edit)

    @app.post("/v1/describe")
    async def describe(request: Request, body: DescribeBody) -> Any:
        """What a piece is, in facts and in words."""
        return await answer(request, body, music.describe)

    @app.post("/v1/search")
    async def search(request: Request, body: SearchBody) -> Any:
        """The files of the server's folder that fit."""
        return await answer(request, body, music.search)

    @app.post("/v1/read")
    async def read(request: Request, body: ReadBody) -> Any:
        """What a text is understood to ask for."""
        return await answer(request, body, music.read)

    if settings.history is not None:
        add_history(app, music, settings)
    if settings.has_page:
        add_page(app, settings)

        @app.post("/v1/open")
        async def open_midi(request: Request, body: OpenBody) -> Any:
            """A MIDI file as the page draws it."""
            return await answer(request, body, music.open)

        @app.post("/v1/sound")
        async def sound(request: Request, body: SoundBody) -> Any:
            """A WAV file of a piece."""
            return await answer(request, body, music.sound)

    app.add_middleware(Guard, settings=settings)
    return app


def add_history(app: FastAPI, music: Music, settings: ServerSettings) -> None:
    """The endpoints of the history."""
    history = music.history
    assert history is not None, "there is a file for it"

    @app.get("/v1/history")
    def listed() -> dict[str, Any]:
        """The last pieces, the newest first."""
        return {"pieces": history.recent()}

    @app.get("/v1/history/{number}")
    def kept(number: str) -> Any:
        """A piece."""
        found = history.get(number)
        return JSONResponse({"error": "there is no such piece"}, 404) if found is None else music.kept(found)

    @app.delete("/v1/history/{number}")
    def removed(number: str) -> Any:
        """Forget a piece."""
        return {"removed": history.remove(number)}


def add_page(app: FastAPI, settings: ServerSettings) -> None:
    """The page and its parts: a fixed list, read once."""
    parts = {path.name: path.read_bytes() for path in sorted(STATIC.iterdir()) if path.suffix in KINDS}
    parts["synth.js"] = synth_script().encode()

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        response = Response(parts["index.html"], media_type="text/html", headers={"Cache-Control": "no-cache"})
        if settings.token is not None:
            response.set_cookie(COOKIE, settings.token, httponly=True, samesite="strict")
        return response

    @app.get("/static/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        if name not in parts:
            return JSONResponse({"error": "there is no such file"}, 404)
        return Response(parts[name], media_type=KINDS[Path(name).suffix], headers={"Cache-Control": "no-cache"})


def sse(name: str, value: Any) -> bytes:
    """A server-sent event."""
    return f"event: {name}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n".encode()


def message_of(error: Exception) -> str:
    """What was wrong, in one line."""
    return "the time is over; ask for less music, or for more time" if isinstance(error, TimeOver) else str(error)


def error_response(error: Exception) -> Response | None:
    """The answer for an error; None for one that is our own mistake."""
    if isinstance(error, Busy):
        return JSONResponse({"error": str(error)}, 429, {"Retry-After": str(error.retry_after_s)})
    if isinstance(error, TimeOver):
        return JSONResponse({"error": message_of(error)}, 504)
    if isinstance(error, ClientGone):
        return Response(status_code=CLIENT_GONE)
    if isinstance(error, (ValueError, MidiError)):
        return JSONResponse({"error": message_of(error)}, 400)
    return JSONResponse({"error": str(error)}, 500) if isinstance(error, AmtError) else None


def _resident_bytes() -> int:
    """The memory of this process; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * 4096
