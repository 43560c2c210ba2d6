"""The server with real clients on loopback: pieces a second, time to the first event, memory over many requests.

python benchmarks/bench_server.py
python benchmarks/bench_server.py --requests 5000 --only memory
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import http.client
import json
import re
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from time import perf_counter, sleep
from typing import Any

TEXTS = (
    "a slow waltz for piano",
    "a rock song with electric guitar, bass and drums",
    "a jig for fiddle and guitar",
    "a bossa nova with nylon guitar, bass, flute and drums",
)
BARS = 8


@contextlib.contextmanager
def server(*arguments: str) -> Iterator[int]:
    """`amt serve` in a process of its own; its port."""
    command = [sys.executable, "-m", "amt", "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                    threading.Thread(target=process.stderr.read, daemon=True).start()
                    yield int(found[1])
                    return
            raise SystemExit("the server did not start")
        finally:
            process.kill()


def body_of(number: int, **more: Any) -> bytes:
    """A request that no other one is equal to."""
    asked = {"text": TEXTS[number % len(TEXTS)], "bars": BARS, "seed": number, "rerank": 1, **more}
    return json.dumps(asked).encode()


def post(port: int, body: bytes) -> bytes:
    """The answer to a request for music."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request("POST", "/v1/generate", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    if response.status != 200:
        raise SystemExit(f"status {response.status}: {answer[:200]!r}")
    return answer


def first_event(port: int, number: int) -> float:
    """Seconds to the first note of a stream, which is read to its end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    began = perf_counter()
    body = body_of(number, stream=True)
    connection.request("POST", "/v1/generate", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    seconds = 0.0
    for line in response:
        if line == b"event: notes\n" and not seconds:
            seconds = perf_counter() - began
    connection.close()
    return seconds


def metric(port: int, name: str) -> float:
    """A number of the server's own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])  # type: ignore[index]


def resident_mib(port: int) -> float:
    """Memory of the server."""
    return metric(port, "amt_resident_bytes") / 2**20


def pieces_per_s(port: int, num_clients: int, num_pieces: int, first: int) -> float:
    """So many pieces by so many clients, each of whom asks again when it has its answer."""
    began = perf_counter()
    with concurrent.futures.ThreadPoolExecutor(num_clients) as pool:
        list(pool.map(lambda number: post(port, body_of(number)), range(first, first + num_pieces)))
    return num_pieces / (perf_counter() - began)


def throughput(port: int, rounds: int) -> None:
    """One client, 8 and 32 in turns. Where the machine has other work, processor time says more than wall time."""
    rows: dict[int, list[float]] = {1: [], 8: [], 32: []}
    cpu_s: dict[int, list[float]] = {1: [], 8: [], 32: []}
    first = 1000
    pieces_per_s(port, 8, 8, 0)
    for _ in range(rounds):
        for num_clients, num_pieces in ((1, 8), (8, 24), (32, 64)):
            before = metric(port, "amt_cpu_seconds_total")
            rows[num_clients].append(pieces_per_s(port, num_clients, num_pieces, first))
            cpu_s[num_clients].append((metric(port, "amt_cpu_seconds_total") - before) / num_pieces)
            first += num_pieces
    for num_clients, rates in rows.items():
        by_one = [rate / one for rate, one in zip(rates, rows[1], strict=True)]
        print(
            f"{num_clients:3} clients: {statistics.median(rates):6.2f} pieces/s, {statistics.median(by_one):.2f} x one"
            f" ({', '.join(f'{each:.2f}' for each in by_one)}),"
            f" {statistics.median(cpu_s[num_clients]):.3f} s of processor time a piece",
            flush=True,
        )


def latency(port: int, num: int) -> None:
    """The time to the first notes: alone, and while seven others stream."""
    idle = [first_event(port, 5000 + number) for number in range(num)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        busy = list(pool.map(lambda number: first_event(port, number), range(6000, 6000 + 8 * num)))

    def p95(values: list[float]) -> float:
        return statistics.quantiles(values, n=20)[-1]

    print(f"first notes, idle:      median {statistics.median(idle):.3f} s, p95 {p95(idle):.3f} s")
    print(f"first notes, 8 clients: median {statistics.median(busy):.3f} s, p95 {p95(busy):.3f} s")
    print(f"p95 by p95 of idle: {p95(busy) / p95(idle):.2f}", flush=True)


def memory(port: int, num_requests: int) -> None:
    """Memory while many small requests come; a fifth of them are broken off."""
    began = perf_counter()

    def one(number: int) -> None:
        body = body_of(number, bars=1, max_new_tokens=24)
        if number % 5:
            post(port, body)
            return
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/v1/generate", body, {"Content-Type": "application/json"})
        sleep(0.01)
        connection.close()

    step = max(1, num_requests // 10)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for first in range(0, num_requests, step):
            list(pool.map(one, range(first, min(first + step, num_requests))))
            done = min(first + step, num_requests)
            print(f"{done:6} requests: {resident_mib(port):7.1f} MiB, {perf_counter() - began:.0f} s", flush=True)


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("throughput", "latency", "memory"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", default=None)
    given = parser.parse_args()
    arguments = [
        "--timeout",
        "600",
        "--dtype",
        given.dtype,
        *(() if given.threads is None else ("--threads", given.threads)),
    ]
    with server(*arguments) as port:
        print(f"server: {' '.join(arguments)}; {resident_mib(port):.1f} MiB")
        if given.only in (None, "throughput"):
            throughput(port, given.rounds)
        if given.only in (None, "latency"):
            latency(port, 20)
        if given.only in (None, "memory"):
            memory(port, given.requests)


if __name__ == "__main__":
    main()
