"""A server that listens."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

from amt.studio.settings import ServerSettings


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there, so that nobody else takes the port.

    Raises:
        ValueError: it cannot listen there.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # "localhost" is the address of both versions; the first listens to the one that all know.
        family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=family)  # a host and a port
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            reason = "it is in use; name another port, or 0 for any that is free"
        raise ValueError(f"the server cannot have port {port} of {host}: {reason}") from error


def make_server(settings: ServerSettings, tell: Callable[[str], object] = print) -> Any:
    """A server that has its port, its history and its model, and answers when it is `run`, until Ctrl-C.

    Args:
        tell: gets the address as soon as it answers.

    Returns:
        a `uvicorn.Server`; its application is `config.app`.

    Raises:
        ImportError: the extra "studio" is not installed. ValueError: the port is in use, or the history cannot be kept
            there; this is said before the model is opened. CheckpointError: the model is missing or damaged.
    """
    try:
        import uvicorn

        from amt.studio.app import make_app
    except ImportError as error:
        raise ImportError(
            f'the server needs {error.name}; install it with pip install "amt-midi[studio]"', name=error.name
        ) from error

    listening = listen(settings.host, settings.port)
    try:
        app = make_app(settings)
    except BaseException:
        listening.close()
        raise

    class Server(uvicorn.Server):
        def run(self, sockets: Any = None) -> None:
            super().run([listening])

        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            tell(f"http://{host}:{listening.getsockname()[1]}/")

        async def shutdown(self, sockets: Any = None) -> None:
            app.state.stop()  # first: what runs would be waited for
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
        timeout_keep_alive=30,
        limit_concurrency=settings.max_running + settings.max_queue + 256,
    )
    return Server(config)
