"""How a request gets its answer: whole, or as a stream of events. Whatever goes wrong is told in one line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from amt.studio.errors import CLIENT_GONE, error_response, explained
from amt.studio.jobs import Job, Jobs
from amt.studio.metrics import Metrics

Work = Callable[[Job, Any], Any]


class Answers:
    """Answers requests with what their work comes to.

    Args:
        metrics: what is counted.
        timeout_s: what a request may take; it may ask for less.
    """

    def __init__(self, metrics: Metrics, timeout_s: float):
        self._metrics, self._timeout_s = metrics, timeout_s

    async def answer(self, jobs: Jobs, request: Request, body: Any, work: Work) -> Response:
        """The answer to a request, or the error."""
        job = Job(min(body.timeout_s or self._timeout_s, self._timeout_s))
        answered = self._events if getattr(body, "stream", False) else self._whole
        try:
            return await answered(jobs, job, request, lambda job: work(job, body))
        except Exception as error:  # the door of the server: a client gets a line, the log the traceback
            response = error_response(error)
            self._count(request, response.status_code, job)
            return response

    async def _whole(self, jobs: Jobs, job: Job, request: Request, work: Callable[[Job], Any]) -> Response:
        value = await jobs.result(job, work, request.is_disconnected)
        response = Response(value, media_type="audio/wav") if isinstance(value, bytes) else JSONResponse(value)
        self._count(request, 200, job)
        return response

    async def _events(self, jobs: Jobs, job: Job, request: Request, work: Callable[[Job], Any]) -> Response:
        """The events of the work; what goes wrong before the first one is an ordinary answer."""
        events = jobs.events(job, work, request.is_disconnected)
        first = await anext(events)
        self._metrics.first_event(request.url.path, monotonic() - job.began)
        status = CLIENT_GONE

        async def lines() -> AsyncIterator[bytes]:
            nonlocal status
            try:
                yield sse(*first)
                async for event in events:
                    yield sse(*event)
                status = 200
            except Exception as error:  # as in `answer`
                status, message = explained(error)
                yield sse("error", {"error": message})

        def ended() -> None:
            job.cancel()
            self._count(request, status, job)

        return EventStream(lines(), ended)

    def _count(self, request: Request, status: int, job: Job) -> None:
        self._metrics.finished(request.url.path, status, monotonic() - job.began)


class EventStream(StreamingResponse):
    """Server-sent events.

    Args:
        lines: the events.
        ended: called once, also where the client has gone before the first line was asked for.
    """

    def __init__(self, lines: AsyncIterator[bytes], ended: Callable[[], None]):
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(lines, media_type="text/event-stream", headers=headers)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


def sse(name: str, value: Any) -> bytes:
    """A server-sent event. JSON has no line breaks but those that are escaped, so a value is one line of data."""
    return f"event: {name}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n".encode()
