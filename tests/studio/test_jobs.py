"""Work in threads: how a server ends, who goes before his turn, and what is never forgotten."""

import asyncio
import concurrent.futures
import dataclasses
import http.client
import json
import threading

import pytest
from studio_servers import LONG, running, wait_until

from amt.ops import native

pytest.importorskip("fastapi", reason="needs the extra studio")
pytestmark = pytest.mark.skipif(not native.is_available(), reason="needs the compiled engine")


def test_a_server_that_stops_tells_it_and_ends_things_in_their_order(settings, tmp_path, monkeypatch):
    ended = []
    with running(dataclasses.replace(settings, history=tmp_path / "x.sqlite", max_running=2)) as client:
        jobs, music = client.state.jobs, client.state.music
        for name, part in (("jobs", jobs), ("batch", music.batch), ("history", music._history)):
            close = part.close
            monkeypatch.setattr(part, "close", lambda name=name, close=close: (close(), ended.append(name)))
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            plain = pool.submit(client.post, "/v1/generate", LONG)
            stream = pool.submit(client.post, "/v1/generate", {**LONG, "rerank": None, "stream": True})
            wait_until(lambda: music.batch.num_rows == 2)
            waiting = pool.submit(client.post, "/v1/read", {"text": "a waltz"})
            wait_until(lambda: jobs.num_waiting == 1)
            client.server.should_exit = True
            for answer in (plain.result(), waiting.result()):
                assert answer.status == 503 and answer.error == "the server is being stopped; ask again when it runs"
            events = stream.result().events
        assert events[0][0] == "started"
        assert events[-1] == ("error", {"error": "the server is being stopped; ask again when it runs"})
        assert [name for name, _ in events].count("error") == 1
    assert ended == ["jobs", "batch", "history"]
    assert not music.batch.is_alive
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("amt-job")]


@pytest.mark.parametrize("is_stream", [False, True])
def test_who_goes_before_his_turn_leaves_the_queue(client, is_stream):
    jobs, batch = client.state.jobs, client.state.music.batch
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        begun = [pool.submit(client.post, "/v1/generate", {**LONG, "seed": n, "timeout_s": 8}) for n in range(4)]
        wait_until(lambda: jobs.num_running == 4)
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
        body = json.dumps({**LONG, "rerank": None, "stream": is_stream})
        connection.request("POST", "/v1/generate", body, {"Content-Type": "application/json"})
        wait_until(lambda: jobs.num_waiting == 1)
        connection.close()
        wait_until(lambda: jobs.num_waiting == 0, seconds=4)
        assert not any(each.done() for each in begun), "it did not wait for one of them"
        assert {each.result().status for each in begun} <= {200, 504}
    wait_until(lambda: jobs.num_running == 0 and batch.num_rows == 0)


def test_a_stream_that_nobody_reads_is_ended():
    from amt.studio.answers import EventStream

    ended = []

    async def lines():
        yield b"never asked for"

    async def receive():
        return {"type": "http.disconnect"}

    async def send(_):
        await asyncio.sleep(60)

    stream = EventStream(lines(), lambda: ended.append(True))
    asyncio.run(stream({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send))
    assert ended == [True]


def test_work_after_the_end_is_refused():
    from amt.studio.jobs import Job, Jobs, Stopping

    jobs, began = Jobs(1, 0), threading.Event()

    def work(job):
        began.set()
        while True:
            job.check()

    future = jobs.submit(Job(60), work)
    assert began.wait(30)
    jobs.close()
    assert type(future.exception()).__name__ == "Cancelled" and jobs.num_running == 0
    with pytest.raises(Stopping):
        jobs.submit(Job(60), work)
