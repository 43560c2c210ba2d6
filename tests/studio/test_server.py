"""The service: what it answers, that a batch changes nothing, and its limits."""

import base64
import concurrent.futures
import dataclasses
import http.client
import json
import sqlite3
import struct
import threading
import time

import pytest
from studio_servers import LONG, ROOT, SHORT, midi_of, process, running, wait_until

import amt
from amt.ops import native

pytestmark = pytest.mark.skipif(not native.is_available(), reason="needs the compiled engine")


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
        ("/v1/generate", {"text": "a waltz", "prompt_midi": "AAAA"}, "not a MIDI file: it does not start with MThd"),
        ("/v1/generate", {"text": "a waltz", "duration": 10_000}, "duration may be 600 at most here"),
        ("/v1/generate", {"text": "a waltz, two hours long"}, "duration may be 600 at most here"),
        ("/v1/generate", {"text": "a waltz", "bars": 100_000}, "bars may be 512 at most here"),
        ("/v1/generate", {"text": "a waltz", "max_new_tokens": 1 << 20}, "max_new_tokens may be 16384 at most"),
        ("/v1/generate", {"text": "a waltz", "num_pieces": 9}, "num_pieces may be 8 at most"),
        ("/v1/generate", {"text": "a waltz", "rerank": 65}, "rerank may be 64 at most here, got 65"),
        ("/v1/generate", {"text": "a waltz", "bars": 10**400}, "bars may be 512 at most here, got 1000"),
        ("/v1/generate", {"text": "a waltz", "tempo": "fast"}, "tempo: Input should be a valid number"),
        ("/v1/generate", {"text": "a waltz", "instruments": 3}, "instruments: Input should be an array"),
        ("/v1/generate", {"text": "a waltz", "instruments": [3, []]}, "instruments[1]: Input should be a"),
        ("/v1/generate", {"text": "a waltz", "min_pitch": [1]}, "Input should be an object"),
        ("/v1/generate", {"text": "a waltz", "suppress_tokens": [1] * 257}, "suppress_tokens: 256 members"),
        ("/v1/generate", {"text": "a waltz", "do_sample": False, "num_pieces": 2}, "for num_pieces > 1 set do_sample"),
        ("/v1/generate", {"text": "a waltz", "chords": "C" * 5000}, "chords: String should have at most 4000"),
        ("/v1/generate", {"text": "a waltz", "chords": "C " * 1900}, "chords has 1900 bars, and a plan 512 at most"),
        ("/v1/generate", {"text": "a waltz", "key": "x" * 3000}, "... (3"),
        ("/v1/generate", {"text": None}, "text: Field required"),
        ("/v1/generate", {"text": "a waltz", "a\nb\x00" + "c" * 9000: 1}, "a b ccc"),
        ("/v1/generate", {"text": "a waltz", "\ud800": 1}, "the body: "),
        ("/v1/generate", {"text": "\ud800"}, "text: Input should be a valid string"),
        ("/v1/generate", {"text": "a", **dict.fromkeys(map(str, range(30_000)))}, "0: Extra inputs are not permitted"),
        ("/v1/generate", [], "the body: Input should be an object"),
        ("/v1/generate", {"text": "a waltz", "seed": -1}, "seed must be between 0"),
        ("/v1/generate", {"text": "a waltz", "instruments": ["kazoo9"]}, "kazoo9"),
        ("/v1/generate", {"text": "a waltz", "stream": True, "num_pieces": 2}, "a stream is one piece"),
        ("/v1/edit", {"midi": "AAAA", "bars": 1}, "not a MIDI file: it does not start with MThd"),
        ("/v1/edit", {"midi": "!", "bars": 1}, "midi is not base64"),
        ("/v1/describe", {"midi": base64.b64encode(b"MThd junk").decode()}, "header"),
        ("/v1/search", {"text": "a waltz"}, "this server has no folder to search"),
        ("/v1/open", {"midi": "AAAA"}, "not a MIDI file: it does not start with MThd"),
        ("/v1/generate", b"{", "the body: JSON decode error at character 1"),
        ("/v1/generate", b"", "the body: Field required"),
        ("/v1/generate", b'{"text": "\xff"}', "the body is no JSON that can be read"),
        ("/v1/generate", b'{"text": ' + b"[" * 100_000, "the body is no JSON that can be read"),
        ("/v1/generate", b'{"seed": ' + b"9" * 5000 + b"}", "the body is no JSON that can be read"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(client, path, body, message):
    headers = {"Content-Type": "application/json"} if isinstance(body, bytes) else {}
    answer = client.ask("POST", path, body, headers)
    assert answer.status == 400 and message in answer.error and "\n" not in answer.error
    assert "Traceback" not in answer.error


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"num_pieces": 9}, "num_pieces may be 8 at most here, got 9"),
        ({"rerank": 65}, "rerank may be 64 at most here, got 65"),
        ({"max_new_tokens": 1 << 20}, "max_new_tokens may be 16384 at most here"),
        ({"bars": [[1, 12]] * 50}, "bars may be 512 at most here, got 600"),
        ({"bars": [[1, 12]] * 40}, "duration may be 600 at most here"),
        ({"bars": [[5, 99]]}, "name bars 1 to 12, or continue it with prompt_midi of /v1/generate"),
        ({"bars": [[9, 5]]}, "the first before the last; got 9 to 5"),
        ({"bars": [[-9, 5]]}, "bars are counted from 1"),
        ({"bars": 10**400}, "bars 1000"),
        ({"bars": []}, "bars must be like [[5, 8]]"),
        ({"bars": [[1, 2, 3]]}, "bars[0]: Input should have at most 2 items"),
        ({"bars": [[1, 2], [3]]}, "bars[1][1]: Field required"),
        ({"bars": [[1, 2], 3]}, "bars[1]: Input should be an array"),
    ],
)  # fmt: skip
def test_an_edit_has_the_limits_of_music(client, song, more, message):
    for is_stream in (False, True):
        answer = client.post("/v1/edit", {"midi": midi_of(song), "bars": [[5, 6]], "stream": is_stream, **more})
        assert answer.status == 400 and message in answer.error


def test_a_whole_piece_is_edited_within_the_limits(settings, song):
    with running(dataclasses.replace(settings, history=None, max_bars=11)) as client:
        for kept in ({"tracks": ["drums"]}, {"bars": [[1, 12]]}):
            answer = client.post("/v1/edit", {"midi": midi_of(song), **kept})
            assert answer.status == 400 and answer.error == "bars may be 11 at most here, got 12"
        assert client.post("/v1/edit", {"midi": midi_of(song), "bars": 12}).status == 200


def test_null_is_the_default(client, song):
    nulls = dict.fromkeys(
        ("seed", "bars", "rerank", "max_new_tokens", "temperature", "num_pieces", "stream", "obey", "timeout_s",
         "instruments", "max_rest_beats", "chords", "prompt_midi", "parent")
    )  # fmt: skip
    found = client.post("/v1/generate", {**nulls, **SHORT}).json["pieces"]
    assert [piece["midi"] for piece in found] == [client.post("/v1/generate", SHORT).json["pieces"][0]["midi"]]
    body = {"midi": midi_of(song), "bars": [[5, 6]], "seed": 9}
    nulls = dict.fromkeys(("text", "rerank", "tracks", "keep", "max_note_beats", "num_pieces", "top_p"))
    found = client.post("/v1/edit", {**nulls, **body}).json["pieces"]
    assert [piece["midi"] for piece in found] == [client.post("/v1/edit", body).json["pieces"][0]["midi"]]


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
    jobs, batch = client.state.jobs, client.state.music.batch
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
    wait_until(lambda: client.state.music.batch.num_rows == 0 and client.state.jobs.num_running == 0)


@pytest.mark.parametrize("is_stream", [False, True])
def test_the_work_ends_when_the_client_goes(client, is_stream):
    batch, jobs = client.state.music.batch, client.state.jobs
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


def far_midi(ticks, *, then=b"\x90\x40\x40"):
    """A note, and after so many ticks something else."""
    events = b"\0\x90\x40\x40\1\x80\x40\x40" + ticks + then + b"\1\x80\x40\x40\0\xff\x2f\0"
    return base64.b64encode(b"MThd\0\0\0\6\0\0\0\1\0\1MTrk" + struct.pack(">I", len(events)) + events).decode()


@pytest.mark.parametrize("then", [b"\x90\x40\x40", b"\xb0\x40\x40"], ids=["note", "pedal"])
@pytest.mark.parametrize(
    ("path", "more"),
    [("/v1/open", {}), ("/v1/describe", {}), ("/v1/sound", {}), ("/v1/edit", {"bars": 1, "max_new_tokens": 20}),
     ("/v1/generate", {"text": "a waltz", "bars": 2, "max_new_tokens": 20})],
)  # fmt: skip
def test_a_piece_of_four_years_costs_nothing(client, path, more, then):
    midi = far_midi(b"\xff\xff\xff\x7f", then=then)
    answer = client.post(path, {("prompt_midi" if "text" in more else "midi"): midi, **more})
    if answer.status == 400:
        assert "long" in answer.error or "duration may be 600 at most" in answer.error
    else:
        assert answer.status == 200 and path != "/v1/sound"


def test_a_file_of_many_events_is_refused(client):
    events = b"".join(b"\1\xff\x51\3\7\xa1" + bytes([n % 250 + 1]) for n in range(60_000)) + b"\0\xff\x2f\0"
    midi = b"MThd\0\0\0\6\0\0\0\1\0\1MTrk" + struct.pack(">I", len(events)) + events
    answer = client.post("/v1/open", {"midi": base64.b64encode(midi).decode()})
    assert answer.status == 400 and "50000 are the most here" in answer.error


def test_few_sounds_are_rendered_at_once(settings, song, monkeypatch):
    running_now, most = [], []

    def render(music, sample_rate, *, check):
        running_now.append(1)
        most.append(len(running_now))
        try:
            while True:
                check()
                time.sleep(0.01)
        finally:
            running_now.pop()

    monkeypatch.setattr("amt.views.sound.to_wav", render)
    with running(dataclasses.replace(settings, history=None, max_renderings=1, max_queue=1)) as client:
        renderings = client.state.renderings
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            both = [pool.submit(client.post, "/v1/sound", {"midi": midi_of(song), "timeout_s": 2}) for _ in range(2)]
            wait_until(lambda: renderings.num_waiting == 1)
            assert client.post("/v1/sound", {"midi": midi_of(song)}).status == 429
            assert client.post("/v1/read", {"text": "a waltz"}).status == 200, "other work has its own threads"
            assert {each.result().status for each in both} == {504}
        wait_until(lambda: renderings.num_running == 0)
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
        connection.request(
            "POST", "/v1/sound", json.dumps({"midi": midi_of(song)}), {"Content-Type": "application/json"}
        )
        wait_until(lambda: running_now)
        connection.close()
        wait_until(lambda: not running_now, seconds=10)
    assert max(most) == 1


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


def test_the_first_page_is_small_and_loads_nothing_from_elsewhere():
    parts = [*(ROOT / "amt" / "studio" / "static").iterdir(), ROOT / "amt" / "views" / "synth.js"]
    assert sum(part.stat().st_size for part in parts) <= 300_000
    for part in parts:
        text = part.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text and "innerHTML" not in text, part.name
