"""The benchmark of the server: what fails is counted, and is no part of the figures."""

import contextlib
import http.server
import importlib.util
import json
import threading

import pytest
from studio_servers import ROOT


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_server", ROOT / "benchmarks" / "bench_server.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def answering(fails):
    """A server that fails for some seeds; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.answer(200, b"amt_resident_bytes 1048576\namt_cpu_seconds_total 1.5\n")

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if asked.get("stream"):
                end = b"event: error\ndata: {}\n\n" if fails(asked["seed"]) else b"event: result\ndata: {}\n\n"
                self.answer(200, b"event: notes\ndata: {}\n\n" + end)
            elif fails(asked["seed"]):
                self.answer(429, b'{"error": "too many"}')
            else:
                self.answer(200, b'{"pieces": [1]}')

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 128  # all clients may come at once

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_failures_are_counted(bench, capsys):
    with answering(lambda seed: seed % 4 == 0) as port:
        assert bench.post(port, bench.body_of(1)) and not bench.post(port, bench.body_of(4))
        assert bench.first_event(port, 1) > 0 and bench.first_event(port, 4) is None
        bench.latency(port, 4)
        idle, busy, _ = capsys.readouterr().out.splitlines()
        assert idle.endswith("; FAILED: 2 of 8") and busy.endswith("; FAILED: 8 of 32")
        bench.throughput(port, 1)
        assert [line.rpartition("; ")[2] for line in capsys.readouterr().out.splitlines()] == [
            "FAILED: 2 of 8", "FAILED: 6 of 24", "FAILED: 16 of 64",
        ]  # fmt: skip
        bench.memory(port, 20)
        assert capsys.readouterr().out.splitlines()[-1].endswith("s; FAILED: 4 of 20")
    assert not bench.post(port, bench.body_of(1)) and bench.first_event(port, 1) is None


def test_what_does_not_fail_is_not_mentioned(bench, capsys):
    with answering(lambda seed: False) as port:
        bench.latency(port, 2)
        assert "FAILED" not in capsys.readouterr().out
    with answering(lambda seed: True) as port:
        bench.latency(port, 2)
        assert (
            capsys.readouterr().out
            == "first notes, idle:     ; FAILED: 4 of 4\nfirst notes, 8 clients:; FAILED: 16 of 16\n"
        )
