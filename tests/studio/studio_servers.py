"""Real servers on loopback: in a thread of the tests, or in a process of their own."""

import base64
import contextlib
import dataclasses
import http.client
import inspect
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHORT = {"text": "a jig for fiddle", "bars": 4, "seed": 7, "rerank": 1}
LONG = {"text": "a calm piano piece", "duration": 500, "seed": 1, "rerank": 1}


def midi_of(piece):
    """A piece as it travels."""
    return base64.b64encode(piece.to_bytes()).decode()


def wait_until(condition, seconds=30):
    """Wait for something of another thread."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not after {seconds} s: {inspect.getsource(condition).strip()}"
        time.sleep(0.02)


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]

    @property
    def events(self):
        found = []
        for block in self.body.decode().split("\n\n")[:-1]:
            name, data = block.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
        return found


@dataclasses.dataclass
class Client:
    port: int
    server: object = None
    headers: dict = dataclasses.field(default_factory=dict)

    @property
    def state(self):
        """The parts of a server in a thread."""
        return self.server.config.app.state

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        sent = {**self.headers, **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            body, sent = json.dumps(body).encode(), {"Content-Type": "application/json", **sent}
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, headers=headers)

    def post(self, path, body, **headers):
        return self.ask("POST", path, body, headers)


@contextlib.contextmanager
def running(settings):
    """A server in a thread."""
    pytest.importorskip("uvicorn", reason="needs the extra studio")
    pytest.importorskip("fastapi", reason="needs the extra studio")
    from amt.studio.serve import make_server

    addresses = []
    server = make_server(dataclasses.replace(settings, port=0), addresses.append)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not addresses:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.02)
    try:
        yield Client(int(addresses[0].rstrip("/").rpartition(":")[2]), server)
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def process(*arguments):
    """`amt` with these arguments, as (process, client)."""
    pytest.importorskip("uvicorn", reason="needs the extra studio")
    pytest.importorskip("fastapi", reason="needs the extra studio")
    command = [sys.executable, "-m", "amt", *arguments, "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        try:
            lines = []
            for line in server.stderr:
                lines.append(line)
                if found := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                    yield server, Client(int(found[1]))
                    return
            raise AssertionError(f"the server did not start: {''.join(lines)}")
        finally:
            server.kill()
