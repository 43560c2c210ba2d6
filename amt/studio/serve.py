"""Starts a server and stays until it is stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amt.studio.settings import ServerSettings


def serve(settings: ServerSettings, tell: Callable[[str], object] = print) -> None:
    """Listen until Ctrl-C.

    Args:
        tell: gets the address as soon as it answers.

    Raises:
        ImportError: the extra "studio" is not installed. ValueError, OSError: it cannot listen there.
    """
    try:
        import uvicorn

        from amt.studio.app import make_app
    except ImportError as error:
        raise ImportError(
            f'the server needs {error.name}; install it with pip install "amt-midi[studio]"', name=error.name
        ) from error

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                port = self.servers[0].sockets[0].getsockname()[1]
                host = f"[{settings.host}]" if ":" in settings.host else settings.host
                tell(f"http://{host}:{port}/")

    config = uvicorn.Config(
        make_app(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
        timeout_keep_alive=30,
        limit_concurrency=settings.max_running + settings.max_queue + 256,
    )
    Server(config).run()
