"""The server with real clients on loopback: pieces a second, time to the first event, memory over many requests.

python benchmarks/bench_server.py
python benchmarks/bench_server.py --only throughput --default-size
python benchmarks/bench_server.py --requests 5000 --only memory
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
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
WAIT_S = 300


def save_default_size(folder: str) -> None:
    """Random weights of the size that `MusicTransformer` has by default, with all else from the packaged model."""
    import torch

    from amt.models.checkpoint import save_checkpoint
    from amt.models.opened import load

    found = load("score-plan").checkpoint
    size = {"d_model": 512, "nhead": 8, "num_encoder_layers": 6, "num_decoder_layers": 6, "dim_feedforward": 2048}
    torch.manual_seed(0)
    config = dataclasses.replace(found.model.config, **size)
    model = type(found.model).from_config(config, tokenizer_config=found.tokenizer_config)
    save_checkpoint(folder, model, found.tokenizer_config, found.text_spec, found.generation_config)


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


def post(port: int, body: bytes) -> bool:
    """Ask for music; whether there is an answer with a piece."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)) as connection:
        try:
            connection.request("POST", "/v1/generate", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException):
            return False
        return response.status == 200 and bool(json.loads(answer)["pieces"])


def first_event(port: int, number: int) -> float | None:
    """Seconds to the first note of a stream, which is read to its end; None where notes or the result do not come."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)) as connection:
        began = perf_counter()
        body = body_of(number, stream=True)
        seconds, is_whole = None, False
        try:
            connection.request("POST", "/v1/generate", body, {"Content-Type": "application/json"})
            for line in connection.getresponse():
                if line == b"event: notes\n" and seconds is None:
                    seconds = perf_counter() - began
                is_whole |= line == b"event: result\n"
        except (OSError, http.client.HTTPException):
            return None
        return seconds if is_whole else None


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


def failed(num: int, of: int) -> str:
    """The end of a line: what failed is no part of its figures."""
    return f"; FAILED: {num} of {of}" if num else ""


def answered(port: int, num_clients: int, num_pieces: int, first: int, **more: Any) -> tuple[int, float]:
    """How many of so many pieces are written for so many clients, and the seconds.

    Each client asks again when it has its answer.
    """
    began = perf_counter()
    with concurrent.futures.ThreadPoolExecutor(num_clients) as pool:
        num = sum(pool.map(lambda number: post(port, body_of(number, **more)), range(first, first + num_pieces)))
    return num, perf_counter() - began


def throughput(port: int, rounds: int, **more: Any) -> None:
    """One client, 8 and 32 in turns. Where the machine has other work, processor time says more than wall time."""
    sizes = {1: 8, 8: 24, 32: 64}
    rates: dict[int, list[float]] = {num_clients: [] for num_clients in sizes}
    cpu_s: dict[int, list[float]] = {num_clients: [] for num_clients in sizes}
    lost = dict.fromkeys(sizes, 0)
    first = 1000
    answered(port, 8, 8, 0, **more)
    for _ in range(rounds):
        for num_clients, num_pieces in sizes.items():
            before = metric(port, "amt_cpu_seconds_total")
            num, seconds = answered(port, num_clients, num_pieces, first, **more)
            rates[num_clients].append(num / seconds)
            cpu_s[num_clients].append((metric(port, "amt_cpu_seconds_total") - before) / max(num, 1))
            lost[num_clients] += num_pieces - num
            first += num_pieces
    for num_clients, num_pieces in sizes.items():
        by_one = [rate / one if one else 0.0 for rate, one in zip(rates[num_clients], rates[1], strict=True)]
        print(
            f"{num_clients:3} clients: {statistics.median(rates[num_clients]):6.2f} pieces/s,"
            f" {statistics.median(by_one):.2f} x one ({', '.join(f'{each:.2f}' for each in by_one)}),"
            f" {statistics.median(cpu_s[num_clients]):.3f} s of processor time a piece"
            + failed(lost[num_clients], rounds * num_pieces),
            flush=True,
        )


def latency(port: int, num: int) -> None:
    """The time to the first notes: alone, before and afterwards, and while seven others stream."""
    idle = [first_event(port, 5000 + number) for number in range(num)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        busy = list(pool.map(lambda number: first_event(port, number), range(6000, 6000 + 8 * num)))
    idle += [first_event(port, 5000 + number) for number in range(num, 2 * num)]
    p95 = {}
    for name, times in (("idle", idle), ("8 clients", busy)):
        came = [seconds for seconds in times if seconds is not None]
        line = f"first notes, {name + ':':10}"
        if len(came) > 1:
            p95[name] = statistics.quantiles(came, n=20)[-1]
            line += f" median {statistics.median(came):.3f} s, p95 {p95[name]:.3f} s"
        print(line + failed(len(times) - len(came), len(times)))
    if len(p95) == 2:
        print(f"p95 by p95 of idle: {p95['8 clients'] / p95['idle']:.2f}", flush=True)


def memory(port: int, num_requests: int) -> None:
    """Memory while many small requests come; a fifth of them are broken off."""
    began = perf_counter()

    def one(number: int) -> bool:
        body = body_of(number, bars=1, max_new_tokens=24)
        if number % 5:
            return post(port, body)
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            try:
                connection.request("POST", "/v1/generate", body, {"Content-Type": "application/json"})
            except OSError:
                return False
            sleep(0.01)
        return True

    step = max(1, num_requests // 10)
    num_failed = 0
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for first in range(0, num_requests, step):
            done = min(first + step, num_requests)
            num_failed += sum(not each for each in pool.map(one, range(first, done)))
            print(
                f"{done:6} requests: {resident_mib(port):7.1f} MiB, {perf_counter() - began:.0f} s"
                + failed(num_failed, done),
                flush=True,
            )


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("throughput", "latency", "memory"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", default=None)
    parser.add_argument("--default-size", action="store_true", help="random weights of 82 MB and 200 tokens a piece")
    given = parser.parse_args()
    folder = tempfile.TemporaryDirectory() if given.default_size else None
    if folder is not None:
        save_default_size(folder.name + "/model")
    arguments = [
        *(() if folder is None else ("--model", folder.name + "/model")),
        "--timeout",
        "600",
        "--dtype",
        given.dtype,
        *(() if given.threads is None else ("--threads", given.threads)),
    ]
    with server(*arguments) as port:
        print(f"server: {' '.join(arguments)}; {resident_mib(port):.1f} MiB")
        if given.only in (None, "throughput"):
            throughput(port, given.rounds, **({} if folder is None else {"max_new_tokens": 200, "min_new_tokens": 200}))
        if given.only in (None, "latency"):
            latency(port, 20)
        if given.only in (None, "memory"):
            memory(port, given.requests)


if __name__ == "__main__":
    main()
