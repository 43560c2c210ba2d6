"""Who may ask, from where, and how much."""

import dataclasses
import http.client
import json
import socket

import pytest
from studio_servers import running

from amt.cli.serve import page_address
from amt.ops import native

pytestmark = pytest.mark.skipif(not native.is_available(), reason="needs the compiled engine")


def whole_answer(connection):
    """Status and body, which may come apart."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read()


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
        {"Origin": "http://["},
        {"Origin": ""},
        {"Origin": f"{own}@evil.example"},
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


def test_a_body_that_does_not_come_is_not_waited_for(settings, tmp_path):
    with running(dataclasses.replace(settings, body_s=0.3, history=None)) as client:
        with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
            connection.sendall(
                b"POST /v1/read HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                b'Content-Length: 50\r\n\r\n{"text": '
            )
            status, body = whole_answer(connection)
        assert status == 408 and b"the body was not there after 0.3 s" in body
        assert client.post("/v1/read", {"text": "a waltz"}).status == 200


@pytest.mark.parametrize("length", ["5000000", "9" * 19, "9" * 5000, "-1", "x"])
def test_a_length_that_cannot_be_is_refused(client, length):
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/read HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: " + length.encode() + b"\r\n\r\n"
        )
        assert whole_answer(connection)[0] in (413, 400)


def test_any_token_comes_through_the_address_and_the_cookie(settings):
    token = 'a&b#c+d e%20f/=?;,"\\g'
    with running(dataclasses.replace(settings, token=token, history=None)) as client:
        page = client.get(page_address("/", token))
        assert page.status == 200
        cookie = page.headers["set-cookie"].partition(";")[0]
        for cookies in (cookie, f"x[y]=1; {cookie}", f"{cookie}; {{}}=\xe9; =; ;;", f'odd; "=;{cookie};z="'):
            assert client.post("/v1/read", {"text": "a waltz"}, Cookie=cookies).status == 200, cookies
        for cookies in ("amt_token=wrong", f"x{cookie}", "amt_token", "amt_token="):
            assert client.post("/v1/read", {"text": "a waltz"}, Cookie=cookies).status == 401, cookies
        for shown, status in ((f"bearer {token}", 200), (token, 401), (f"Basic {token}", 401), ("Bearer \xe9", 401)):
            assert client.post("/v1/read", {"text": "a waltz"}, Authorization=shown).status == status, shown


@pytest.mark.parametrize("path", ["/v1/sound", "/v1/open"])
def test_the_whole_page_needs_the_token(settings, path):
    """What the page adds is behind the same door."""
    with running(dataclasses.replace(settings, token="x" * 16, history=None)) as client:
        assert client.post(path, {"midi": ""}).status == 401
        assert client.get("/static/studio.js").status == client.get("/openapi.json").status == 401
