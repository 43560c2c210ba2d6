"""The service: what it answers, that a batch changes nothing, its limits, and who is refused."""

import base64
import concurrent.futures
import dataclasses
import http.client
import json
import sqlite3
import threading
import time

import pytest
from studio_servers import ROOT, process, running

import amt
from amt.ops import native

pytestmark = pytest.mark.skipif(not native.is_available(), reason="needs the compiled engine")

SHORT = {"text": "a jig for fiddle", "bars": 4, "seed": 7, "rerank": 1}
LONG = {"text": "a calm piano piece", "duration": 500, "seed": 1, "rerank": 1}


def midi_of(piece):
    return base64.b64encode(piece.to_bytes()).decode()


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def song():
    return amt.arrange("bossa nova", seed=3, bars=12)


def test_generate_is_what_amt_generate_writes(client):
    (found,) = client.post("/v1/generate", {"text": "a jig for fiddle", "bars": 4, "seed": 7}).json["pieces"]
    piece = amt.generate("a jig for fiddle", bars=4, seed=7)
    assert base64.b64decode(found["midi"]) == piece.to_bytes()
    assert found["seed"] == "7" and found["instruments"] == piece.instruments and found["parent"] is None
    assert found["report"] == [dataclasses.asdict(row) for row in piece.report]
    assert len(found["notes"]) == len(piece.notes) == found["num_notes"]


def test_many_at_once_get_what_each_gets_alone(client):
    bodies = [
        {"text": text, "bars": 4, "seed": seed, "rerank": 1 + seed % 2}
        for text in ("a slow waltz for piano", "a rock song with guitar, bass and drums")
        for seed in (1, 2)
    ]
    alone = [client.post("/v1/generate", body).json["pieces"][0]["midi"] for body in bodies]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda body: client.post("/v1/generate", body), bodies))
    assert [answer.json["pieces"][0]["midi"] for answer in answers] == alone


def test_a_stream_has_notes_and_then_the_piece(client):
    answer = client.post("/v1/generate", {**SHORT, "rerank": None, "stream": True})
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream")
    names = [name for name, _ in answer.events]
    assert names[0] == "started" and names[-1] == "result" and set(names[1:-1]) == {"notes"}
    piece = amt.stream("a jig for fiddle", bars=4, seed=7)
    for _ in piece:
        pass
    result = answer.events[-1][1]["pieces"][0]
    assert base64.b64decode(result["midi"]) == piece.result().to_bytes()
    begun = [row for name, value in answer.events if name == "notes" for row in value["on"]]
    ended = {row[0] for name, value in answer.events if name == "notes" for row in value["off"]}
    assert [row[0] for row in begun] == list(range(len(result["notes"]))) and ended == {row[0] for row in begun}
    assert sorted(row[2] for row in begun) == sorted(note[2] for note in result["notes"])


def test_an_edit_leaves_all_else_as_it_was(client, song):
    body = {"midi": midi_of(song), "bars": [[5, 6]], "seed": 9, "text": "a calmer melody"}
    (found,) = client.post("/v1/edit", body).json["pieces"]
    expected = amt.edit(song.music, "a calmer melody", bars=(5, 6), seed=9)
    assert base64.b64decode(found["midi"]) == expected.to_bytes()
    events = client.post("/v1/edit", {**body, "stream": True}).events
    assert [name for name, _ in events] == ["started", "progress", "result"]
    assert events[-1][1]["pieces"][0]["midi"] == found["midi"]


def test_a_file_is_continued_and_described(client, song):
    body = {"text": "the same goes on", "prompt_midi": midi_of(song), "seed": 1, "obey": "soft", "rerank": 1}
    (found,) = client.post("/v1/generate", {**body, "duration": song.duration_s + 10}).json["pieces"]
    notes = amt.read_midi(base64.b64decode(found["midi"])).notes
    assert set(zip(song.notes.start_ticks.tolist(), song.notes.pitch.tolist(), strict=True)) <= set(
        zip(notes.start_ticks.tolist(), notes.pitch.tolist(), strict=True)
    )
    described = client.post("/v1/describe", {"midi": midi_of(song)}).json
    assert described["sentence"] == amt.describe(song.music).sentence and described["captions"]


def test_words_are_read(client):
    facts = client.post("/v1/read", {"text": "a waltz in D minor for cello, 84 bpm"}).json["facts"]
    found = {(fact["kind"], fact["value"]) for fact in facts}
    assert {("instrument", "cello"), ("key", "D minor"), ("tempo", "84")} <= found


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/v1/generate", {"text": ""}, "the text is empty"),
        ("/v1/generate", {}, "text: Field required"),
        ("/v1/generate", {"text": "x" * 4001}, "text: String should have at most 4000 characters"),
        ("/v1/generate", {"text": "a waltz", "num_beams": 2}, "num_beams: Extra inputs are not permitted"),
        ("/v1/generate", {"text": "a waltz", "model": "/etc/passwd"}, "model: Extra inputs are not permitted"),
        ("/v1/generate", {"text": "a waltz", "prompt_midi": "/etc/passwd"}, "is not base64"),
        ("/v1/generate", {"text": "a waltz", "prompt_midi": "AAAA"}, ""),
        ("/v1/generate", {"text": "a waltz", "duration": 10_000}, "duration may be 600 at most here"),
        ("/v1/generate", {"text": "a waltz, two hours long"}, "duration may be 600 at most here"),
        ("/v1/generate", {"text": "a waltz", "bars": 100_000}, "bars may be 512 at most here"),
        ("/v1/generate", {"text": "a waltz", "max_new_tokens": 1 << 20}, "max_new_tokens may be 16384 at most"),
        ("/v1/generate", {"text": "a waltz", "num_pieces": 9}, "num_pieces may be 8 at most"),
        ("/v1/generate", {"text": "a waltz", "rerank": 65}, "with rerank 64"),
        ("/v1/generate", {"text": "a waltz", "seed": -1}, "seed must be between 0"),
        ("/v1/generate", {"text": "a waltz", "instruments": ["kazoo9"]}, "kazoo9"),
        ("/v1/generate", {"text": "a waltz", "stream": True, "num_pieces": 2}, "a stream is one piece"),
        ("/v1/edit", {"midi": "AAAA", "bars": 1}, ""),
        ("/v1/edit", {"midi": "!", "bars": 1}, "midi is not base64"),
        ("/v1/describe", {"midi": base64.b64encode(b"MThd junk").decode()}, ""),
        ("/v1/search", {"text": "a waltz"}, "this server has no folder to search"),
        ("/v1/open", {"midi": "AAAA"}, ""),
        ("/v1/generate", b"{", "JSON decode error"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(client, path, body, message):
    headers = {"Content-Type": "application/json"} if isinstance(body, bytes) else {}
    answer = client.ask("POST", path, body, headers)
    assert answer.status == 400 and message in answer.error and "\n" not in answer.error
    assert "Traceback" not in answer.error


def test_bodies_have_a_limit(client):
    big = json.dumps({"text": "x" * (1 << 20)}).encode()
    assert client.ask("POST", "/v1/read", big, {"Content-Type": "application/json"}).status == 413
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    chunks = (big[first : first + 65536] for first in range(0, len(big), 65536))
    connection.request("POST", "/v1/read", chunks, {"Content-Type": "application/json"}, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_other_pages_and_other_names_are_refused(client):
    body = {"text": "a waltz"}
    assert client.post("/v1/read", body).status == 200
    own = f"http://127.0.0.1:{client.port}"
    assert client.post("/v1/read", body, Origin=own).status == 200
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
        {"Host": f"evil.example:{client.port}"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},  # DNS rebinding
    ):
        answer = client.post("/v1/read", body, **headers)
        assert answer.status == 403, headers
        assert "access-control-allow-origin" not in answer.headers
    assert client.get("/v1/history", Host="evil.example").status == 403
    form = client.ask("POST", "/v1/read", b"text=a", {"Content-Type": "application/x-www-form-urlencoded"})
    assert form.status == 415
    plain = client.ask("POST", "/v1/read", b'{"text": "a"}', {"Content-Type": "text/plain"})  # needs no preflight
    assert plain.status == 415
    preflight = client.ask("OPTIONS", "/v1/read", headers={"Origin": own, "Access-Control-Request-Method": "POST"})
    assert "access-control-allow-origin" not in preflight.headers


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static/x.js", "/v1/history/..%2f..%2fx"],
)
def test_no_path_reaches_a_file(client, path):
    answer = client.get(path)
    assert answer.status == 404 and b"FastAPI" not in answer.body


def test_health_metrics_and_openapi(client):
    assert client.get("/healthz").json["status"] == "ok"
    client.post("/v1/read", {"text": "a waltz"})
    text = client.get("/metrics").body.decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    values = dict(line.rsplit(" ", 1) for line in lines)
    assert float(values['amt_requests_total{endpoint="/v1/read",status="200"}']) >= 1
    assert float(values["amt_pieces_total"]) > 0 and float(values["amt_tokens_total"]) > 0
    assert float(values['amt_request_seconds_bucket{endpoint="/v1/read",le="+Inf"}']) >= 1
    paths = client.get("/openapi.json").json["paths"]
    assert {"/v1/generate", "/v1/edit", "/v1/describe", "/v1/search", "/healthz", "/metrics"} <= set(paths)
    page = client.get("/")
    assert page.status == 200 and "default-src 'none'" in page.headers["content-security-policy"]


def test_a_full_queue_says_when_to_come_again(client):
    jobs, batch = client.app.state.jobs, client.app.state.music.batch
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        begun = [pool.submit(client.post, "/v1/generate", {**LONG, "seed": n, "timeout_s": 6}) for n in range(6)]
        wait_until(lambda: jobs.num_waiting == 2)
        answer = client.post("/v1/generate", SHORT)
        assert answer.status == 429 and 1 <= int(answer.headers["retry-after"]) <= 60
        assert "too many requests wait already" in answer.error
        assert all(each.result().status in (200, 504) for each in begun)
    wait_until(lambda: jobs.num_running == 0 and batch.num_rows == 0)


def test_a_deadline_ends_the_work(client):
    answer = client.post("/v1/generate", {**LONG, "timeout_s": 0.5})
    assert answer.status == 504 and "the time is over" in answer.error
    events = client.post("/v1/generate", {**LONG, "rerank": None, "stream": True, "timeout_s": 1.0}).events
    assert events[-1][0] == "error" and "the time is over" in events[-1][1]["error"]
    wait_until(lambda: client.app.state.music.batch.num_rows == 0 and client.app.state.jobs.num_running == 0)


@pytest.mark.parametrize("is_stream", [False, True])
def test_the_work_ends_when_the_client_goes(client, is_stream):
    batch, jobs = client.app.state.music.batch, client.app.state.jobs
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    body = json.dumps({**LONG, "stream": is_stream})
    connection.request("POST", "/v1/generate", body, {"Content-Type": "application/json"})
    wait_until(lambda: batch.num_rows == 1)
    if is_stream:
        response = connection.getresponse()
        assert response.readline() == b"event: started\n"
        response.close()
    connection.close()
    wait_until(lambda: batch.num_rows == 0 and jobs.num_running == 0, seconds=10)
    assert client.post("/v1/generate", SHORT).status == 200


def test_the_history_has_every_piece(client):
    (piece,) = client.post("/v1/generate", {**SHORT, "seed": 2**64 - 1}).json["pieces"]
    listed = client.get("/v1/history").json["pieces"]
    assert listed[0]["id"] == piece["id"] and listed[0]["seed"] == str(2**64 - 1)
    kept = client.get(f"/v1/history/{piece['id']}").json
    assert {name: kept[name] for name in ("midi", "notes", "report", "seed")} == {
        name: piece[name] for name in ("midi", "notes", "report", "seed")
    }
    assert kept["asked"]["bars"] == 4
    assert client.ask("DELETE", f"/v1/history/{piece['id']}").json == {"removed": True}
    assert client.get(f"/v1/history/{piece['id']}").status == 404


def test_a_midi_file_is_opened_and_heard(client, song):
    opened = client.post("/v1/open", {"midi": midi_of(song), "title": "a song"}).json
    assert len(opened["notes"]) == len(song.notes) and len(opened["bars_s"]) == 12
    assert base64.b64decode(opened["midi"]) == song.to_bytes()
    sound = client.post("/v1/sound", {"midi": midi_of(song), "sample_rate": 8000})
    assert sound.headers["content-type"] == "audio/wav" and sound.body[:4] == b"RIFF" and len(sound.body) > 100_000


def test_a_token_is_needed_where_one_is_set(settings, tmp_path):
    token = "a secret of thirty characters."
    with running(dataclasses.replace(settings, token=token, history=tmp_path / "x.sqlite")) as client:
        body = {"text": "a waltz"}
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "amt_token=wrong"}):
            answer = client.post("/v1/read", body, **headers)
            assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert client.post("/v1/read", body, Authorization=f"Bearer {token}").status == 200
        assert client.post("/v1/read", body, Authorization=f"Bearer {token}", Host="music.example").status == 200
        assert (
            client.post("/v1/read", body, Authorization=f"Bearer {token}", Origin="http://evil.example").status == 403
        )
        assert client.get("/healthz").status == 200 and client.get("/metrics").status == 401
        assert client.get("/").status == 401
        page = client.get(f"/?token={token.replace(' ', '%20')}")
        cookie = page.headers["set-cookie"]
        assert page.status == 200 and "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert client.post("/v1/read", body, Cookie=cookie.partition(";")[0]).status == 200
        assert client.post(f"/v1/read?token={token}".replace(" ", "%20"), body).status == 401


def test_search_finds_files_of_the_folder(settings, tmp_path, song):
    folder = tmp_path / "music"
    folder.mkdir()
    song.save(folder / "bossa.mid")
    amt.arrange("irish_jig", seed=1, bars=8).save(folder / "jig.mid")
    chosen = dataclasses.replace(settings, search_folder=folder, history=None, has_page=False)
    with running(chosen) as client:
        found = client.post("/v1/search", {"midi": midi_of(song), "num_results": 1}).json
        assert found["num_files"] == 2 and [match["path"] for match in found["matches"]] == ["bossa.mid"]
        assert client.get("/v1/history").status == 404 and client.get("/").status == 404
        (piece,) = client.post("/v1/generate", SHORT).json["pieces"]
        assert "notes" not in piece and piece["id"] is None


def test_a_kill_loses_no_piece_that_was_answered(tmp_path):
    history = tmp_path / "history.sqlite"
    answered, stop = [], threading.Event()
    with process("serve", "--history", str(history)) as (server, client):

        def ask(number):
            while not stop.is_set():
                try:
                    answered.extend(client.post("/v1/generate", {**SHORT, "seed": number}).json["pieces"])
                except (OSError, http.client.HTTPException):
                    return

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            threads = [pool.submit(ask, number) for number in range(3)]
            wait_until(lambda: len(answered) >= 6, 60)
            server.kill()
            stop.set()
            for thread in threads:
                thread.result()
    with process("serve", "--history", str(history)) as (_, client):
        kept = {piece["id"] for piece in client.get("/v1/history").json["pieces"]}
        assert {piece["id"] for piece in answered} <= kept
        assert client.get(f"/v1/history/{answered[0]['id']}").json["midi"] == answered[0]["midi"]
    assert sqlite3.connect(history).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_other_addresses_need_a_token():
    from amt.studio.settings import ServerSettings

    with pytest.raises(ValueError, match=r"0\.0\.0\.0 can be reached by others, so a token is needed"):
        ServerSettings(host="0.0.0.0")
    with pytest.raises(ValueError, match="at least 16 ASCII characters"):
        ServerSettings(token="short")
    assert ServerSettings(host="0.0.0.0", token="x" * 16).token and ServerSettings(host="::1").is_loopback


def test_the_command_says_what_is_missing(monkeypatch, capsys):
    import sys

    from amt.cli import main

    assert main(["serve", "--host", "0.0.0.0"]) == 2 and "a token is needed" in capsys.readouterr().err
    assert main(["studio", "--search-folder", "/no/such/folder"]) == 2
    assert "is not a folder" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve"]) == 1
    assert 'pip install "amt-midi[studio]"' in capsys.readouterr().err


def test_the_first_page_is_small_and_loads_nothing_from_elsewhere():
    parts = [*(ROOT / "amt" / "studio" / "static").iterdir(), ROOT / "amt" / "views" / "synth.js"]
    assert sum(part.stat().st_size for part in parts) <= 300_000
    for part in parts:
        text = part.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text and "innerHTML" not in text, part.name
