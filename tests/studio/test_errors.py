"""What went wrong is always one line in JSON, and what is the server's own fault is in its log."""

import json

import pytest
from studio_servers import SHORT, midi_of

import amt
from amt.ops import native

pytest.importorskip("fastapi", reason="needs the extra studio")
pytestmark = pytest.mark.skipif(not native.is_available(), reason="needs the compiled engine")

BROKEN = "something broke inside the server; its log says what"


def count(client, endpoint, status):
    label = f'amt_requests_total{{endpoint="{endpoint}",status="{status}"}} '
    lines = client.get("/metrics").body.decode().splitlines()
    return sum(int(line.removeprefix(label)) for line in lines if line.startswith(label))


class BrokenStream:
    seed = 5

    def __iter__(self):
        raise KeyError("a secret of the server")


def test_our_own_mistake_is_told_and_logged(client, song, monkeypatch, caplog):
    before = count(client, "/v1/generate", 500), count(client, "/v1/edit", 500)

    def broken(*_, **__):
        raise KeyError("a secret of the server")

    monkeypatch.setattr("amt.api.generate", broken)
    monkeypatch.setattr("amt.api.edit", broken)
    monkeypatch.setattr("amt.api.stream", lambda *_, **__: BrokenStream())
    body = {"midi": midi_of(song), "bars": [[1, 2]]}
    for path, asked in (("/v1/generate", SHORT), ("/v1/edit", body)):
        answer = client.post(path, asked)
        assert answer.status == 500 and answer.json == {"error": BROKEN}
    answer = client.post("/v1/generate", {"text": "a waltz", "stream": True})
    assert answer.status == 200, "it had begun"
    assert answer.events == [("started", {"seed": "5"}), ("error", {"error": BROKEN})]
    assert caplog.text.count("KeyError: 'a secret of the server'") == 3
    assert (count(client, "/v1/generate", 500), count(client, "/v1/edit", 500)) == (before[0] + 2, before[1] + 1)


def test_a_mistake_before_the_first_event_is_an_answer(client, monkeypatch, caplog):
    def broken(*_, **__):
        raise KeyError("a secret of the server")

    monkeypatch.setattr("amt.api.stream", broken)
    answer = client.post("/v1/generate", {"text": "a waltz", "stream": True})
    assert answer.status == 500 and answer.json == {"error": BROKEN} and "a secret of the server" in caplog.text


def test_a_mistake_in_the_history_is_told_too(client, monkeypatch):
    def broken(*_):
        raise KeyError("a secret of the server")

    monkeypatch.setattr(client.state.music._history, "get", broken)
    answer = client.get("/v1/history/x")
    assert answer.status == 500 and answer.json == {"error": BROKEN}
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_what_the_server_lacks_is_no_mistake_of_the_client(client, monkeypatch, caplog):
    def damaged(*_, **__):
        raise amt.CheckpointError("the model is damaged;\nget it again")

    monkeypatch.setattr("amt.api.generate", damaged)
    answer = client.post("/v1/generate", SHORT)
    assert answer.status == 500 and answer.error == "the model is damaged; get it again"
    assert "CheckpointError" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/no/such/thing", 404, "there is no such address; /openapi.json has them all"),
        ("GET", "/v1/history/x", 404, "there is no such piece"),
        ("GET", "/static/x.js", 404, "there is no such file"),
        ("POST", "/v1/read/", 404, "there is no such address; /openapi.json has them all"),
        ("GET", "/v1/generate", 405, "GET is not answered here; /openapi.json says what is"),
        ("DELETE", "/metrics", 405, "DELETE is not answered here; /openapi.json says what is"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_in_the_same_way(client, method, path, status, message):
    answer = client.ask(method, path, {} if method == "POST" else None)
    assert (answer.status, answer.json) == (status, {"error": message})
    assert (status != 405) or answer.headers["allow"]


def test_health_says_when_nothing_is_written_any_more(client, monkeypatch):
    from amt.decoding.backends.shared import SharedBatch

    assert client.get("/healthz").json["status"] == "ok"
    monkeypatch.setattr(SharedBatch, "is_alive", property(lambda self: False))
    answer = client.get("/healthz")
    assert answer.status == 503 and answer.error == "what writes music has ended; start the server again"


def test_no_name_makes_an_event(client, song):
    body = {"midi": midi_of(song), "bars": [[5, 5]], "seed": 1, "text": "calm\n\nevent: error\ndata: 1\r\r\u2028x"}
    answer = client.post("/v1/edit", {**body, "stream": True})
    assert [name for name, _ in answer.events] == ["started", "progress", "result"]
    assert answer.events[-1][1]["pieces"][0]["title"] == body["text"]
    assert all(line.startswith(("event: ", "data: ")) or not line for line in answer.body.decode().split("\n"))


def test_one_line():
    from amt.studio.errors import one_line

    assert one_line("a\r\n\x1b[31m b\u2028 c") == "a [31m b c"
    assert len(one_line("x" * 10_000)) < 450
    assert json.dumps(one_line("ä♯")) == json.dumps("ä♯")
