"""The endpoints of the service, and with the page those of the studio."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from time import process_time
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from amt.studio.answers import Answers, Work
from amt.studio.bodies import DescribeBody, EditBody, GenerateBody, OpenBody, ReadBody, SearchBody, SoundBody
from amt.studio.errors import add_error_handlers
from amt.studio.guard import COOKIE, Guard, cookie_value
from amt.studio.history import History
from amt.studio.jobs import Jobs
from amt.studio.metrics import Metrics
from amt.studio.music import Music
from amt.studio.settings import ServerSettings
from amt.version import __version__
from amt.views.player import synth_script

STATIC = Path(__file__).with_name("static")
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def make_app(settings: ServerSettings) -> FastAPI:
    """The service; the history and the model are opened here, in this order.

    Raises:
        ValueError: the history cannot be kept there. CheckpointError: the model is missing or damaged.
    """
    history = None if settings.history is None else History(settings.history)
    metrics = Metrics()
    music = Music(settings, metrics, history)
    music.warm()
    jobs = Jobs(settings.max_running, settings.max_queue)
    renderings = Jobs(settings.max_renderings, settings.max_queue)  # each takes a core and much memory
    answers = Answers(metrics, settings.timeout_s)

    def stop() -> None:
        """Let the requests that are there end with an error."""
        jobs.stop()
        renderings.stop()

    def close() -> None:
        """End everything, what uses something before what it uses."""
        stop()
        jobs.close()
        renderings.close()
        music.close()
        if history is not None:
            history.close()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(close)

    app = FastAPI(
        title="AMT", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.music, app.state.jobs, app.state.renderings, app.state.metrics = music, jobs, renderings, metrics
    app.state.stop = stop
    add_error_handlers(app)

    def post(path: str, body_type: Any, work: Work, jobs: Jobs = jobs) -> None:
        """An endpoint for work, whose docstring is the endpoint's, too."""

        async def endpoint(request: Request, body: Any) -> Response:
            return await answers.answer(jobs, request, body, work)

        endpoint.__annotations__ = {"request": Request, "body": body_type}
        app.post(path, name=work.__name__, description=work.__doc__)(endpoint)

    post("/v1/generate", GenerateBody, music.generate)
    post("/v1/edit", EditBody, music.edit)
    post("/v1/describe", DescribeBody, music.describe)
    post("/v1/search", SearchBody, music.search)
    post("/v1/read", ReadBody, music.read)
    if settings.has_page:
        add_page(app, settings)
        post("/v1/open", OpenBody, music.open)
        post("/v1/sound", SoundBody, music.sound, renderings)
    if history is not None:
        add_history(app, music, history)

    @app.get("/healthz")
    async def healthz() -> Response:
        """Whether it is alive."""
        if music.batch.is_alive:
            return JSONResponse({"status": "ok", "version": __version__})
        return JSONResponse({"error": "what writes music has ended; start the server again"}, 503)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics_page() -> str:
        """Counts and times, for Prometheus."""
        num_running, num_waiting = (
            sum(each) for each in zip(*((j.num_running, j.num_waiting) for j in (jobs, renderings)), strict=True)
        )
        return metrics.text(
            {
                "amt_requests_running": (num_running, "Requests that are worked on."),
                "amt_requests_waiting": (num_waiting, "Requests that wait for a thread."),
                "amt_rows_running": (music.batch.num_rows, "Sequences in the running batch."),
                "amt_rows_waiting": (music.batch.num_waiting, "Sequences that wait for the batch."),
                "amt_resident_bytes": (_resident_bytes(), "Memory of the process."),
            },
            {
                "amt_tokens_total": (music.batch.num_tokens, "Tokens that were written."),
                "amt_cpu_seconds_total": (process_time(), "Processor time of the process."),
            },
        )

    app.add_middleware(Guard, settings=settings)
    return app


def add_history(app: FastAPI, music: Music, history: History) -> None:
    """The endpoints of the history."""

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

    def response_of(name: str) -> Response:
        return Response(parts[name], media_type=KINDS[Path(name).suffix], headers={"Cache-Control": "no-cache"})

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        response = response_of("index.html")
        if settings.token is not None:
            response.set_cookie(COOKIE, cookie_value(settings.token), httponly=True, samesite="strict")
        return response

    @app.get("/static/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        return response_of(name) if name in parts else JSONResponse({"error": "there is no such file"}, 404)


def _resident_bytes() -> int:
    """The memory of this process; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
