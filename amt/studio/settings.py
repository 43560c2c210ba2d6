"""What a server is started with, and its limits."""

from __future__ import annotations

import dataclasses
import ipaddress
import typing
from pathlib import Path

from amt.config import check_choice, check_range
from amt.models.opened import DEFAULT_MODEL, ModelSource
from amt.ops.decode import EngineDtype

DEFAULT_PORT = 8731
MIN_TOKEN_LEN = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """How a server runs.

    Attributes:
        host, port: where it listens. Another address than loopback needs a token.
        token: what every request has to show; None: none.
        model, dtype: what writes.
        reader: what describes and searches.
        search_folder: the MIDI files that are searched; None: there is no search.
        history: the file that keeps what was written; None: nothing is kept.
        has_page: whether there is the studio's page, too.
        num_threads: of the engine; None: torch's.
        max_running: requests that are worked on at once.
        max_queue: requests that wait; one more is told to come again.
        max_renderings: pieces that are rendered to sound at once, beside `max_running`; `max_queue` more may wait.
        max_rows: sequences in the running batch.
        max_body_bytes: of a request.
        body_s: seconds in which the body of a request must have come.
        max_new_tokens, max_seconds, max_bars, max_pieces: of one request for music.
        max_notes: of a MIDI file that is sent.
        timeout_s: what a request may take; one may ask for less.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str | None = None
    model: ModelSource = DEFAULT_MODEL
    dtype: EngineDtype = "float32"
    reader: ModelSource = None
    search_folder: Path | None = None
    history: Path | None = None
    has_page: bool = False
    num_threads: int | None = None
    max_running: int = 32
    max_queue: int = 64
    max_renderings: int = 2
    max_rows: int = 64
    max_body_bytes: int = 4 << 20
    body_s: float = 60.0
    max_new_tokens: int = 16_384
    max_seconds: float = 600.0
    max_bars: int = 512
    max_pieces: int = 8
    max_notes: int = 50_000
    timeout_s: float = 120.0

    def __post_init__(self) -> None:
        check_range("port", self.port, 0, 65_535)
        check_choice("dtype", self.dtype, typing.get_args(EngineDtype))
        for name, low in (
            ("max_running", 1), ("max_queue", 0), ("max_renderings", 1), ("max_rows", 2), ("timeout_s", 0.001),
        ):  # fmt: skip
            check_range(name, getattr(self, name), low, 1 << 20)
        token = self.token
        if token is not None and not (token.isascii() and token.isprintable() and len(token.strip()) >= MIN_TOKEN_LEN):
            raise ValueError(f"the token must have at least {MIN_TOKEN_LEN} characters, all of them printable ASCII")
        if token is not None and token != token.strip():
            raise ValueError("the token must not begin or end with a space, which a header does not keep")
        if not self.is_loopback and self.token is None:
            raise ValueError(
                f"{self.host} can be reached by others, so a token is needed: --token, or take the host 127.0.0.1"
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
