"""The commands: what they are started with, and what is said before the model is opened."""

import concurrent.futures
import os
import signal
import socket
import sqlite3
import sys
from urllib.parse import parse_qs, urlsplit

import pytest
from studio_servers import LONG, process, wait_until

from amt.cli import main
from amt.cli.serve import page_address
from amt.ops import native


@pytest.fixture
def no_model(monkeypatch):
    """A model that may not be opened."""
    pytest.importorskip("uvicorn", reason="needs the extra studio")
    pytest.importorskip("fastapi", reason="needs the extra studio")

    def load(*_):
        raise AssertionError("the model was opened")

    monkeypatch.setattr("amt.studio.music.load", load)


def said(capsys, *arguments):
    """The one line on stderr of a command that is refused."""
    assert main(list(arguments)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("amt: ")
    return line


def test_other_addresses_need_a_token():
    from amt.studio.settings import ServerSettings

    with pytest.raises(ValueError, match=r"0\.0\.0\.0 can be reached by others, so a token is needed"):
        ServerSettings(host="0.0.0.0")
    with pytest.raises(ValueError, match="at least 16 characters, all of them printable ASCII"):
        ServerSettings(token="short")
    assert ServerSettings(host="0.0.0.0", token="x" * 16).token and ServerSettings(host="::1").is_loopback


def test_the_command_says_what_is_missing(monkeypatch, capsys):
    assert main(["serve", "--host", "0.0.0.0"]) == 2 and "a token is needed" in capsys.readouterr().err
    assert main(["studio", "--search-folder", "/no/such/folder"]) == 2
    assert "is not a folder" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve"]) == 1
    assert 'pip install "amt-midi[studio]"' in capsys.readouterr().err


def test_a_port_that_is_taken_is_said_first(no_model, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"port {port} of 127.0.0.1: it is in use; name another" in said(capsys, "serve", "--port", str(port))
        assert f"port {port} of localhost: it is in" in said(
            capsys, "serve", "--port", str(port), "--host", "localhost"
        )
    assert "port 0 of 192.0.2.1: " in said(capsys, "serve", "--port", "0", "--host", "192.0.2.1", "--token", "x" * 16)
    line = said(capsys, "serve", "--port", "0", "--host", "no such host", "--token", "x" * 16)
    assert "port 0 of no such host: " in line


def test_a_history_that_cannot_be_kept_is_said_first(no_model, capsys, tmp_path):
    (tmp_path / "text.sqlite").write_text("no database" * 100)
    with sqlite3.connect(tmp_path / "other.sqlite") as other:
        other.execute("CREATE TABLE pieces (name TEXT)")
    for name in ("", "text.sqlite", "other.sqlite", "text.sqlite/below.sqlite"):
        line = said(capsys, "serve", "--port", "0", "--history", str(tmp_path / name))
        assert f"the history cannot be kept in {(tmp_path / name)}: " in line and line.endswith("; name another file")
    assert "~nobody-at-all" in said(capsys, "studio", "--port", "0", "--history", "~nobody-at-all/x.sqlite")


def test_the_home_folder_is_understood(capsys, tmp_path, monkeypatch):
    pytest.importorskip("uvicorn", reason="needs the extra studio")
    pytest.importorskip("fastapi", reason="needs the extra studio")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "songs").mkdir()

    def load(*_):
        raise ValueError("so far")

    monkeypatch.setattr("amt.studio.music.load", load)
    arguments = ("serve", "--port", "0", "--history", "~/a/b.sqlite", "--search-folder", "~/songs")
    assert "so far" in said(capsys, *arguments) and (tmp_path / "a" / "b.sqlite").is_file()


def test_other_options_are_checked_first(no_model, capsys):
    assert "dtype must be one of float32, bfloat16, int8" in said(capsys, "serve", "--dtype", "int4")
    for token in ("short", "x" * 16 + "\n", " " * 20, "ü" * 16):
        assert "must have at least 16 characters" in said(capsys, "studio", "--token", token)
    assert "must not begin or end with a space" in said(capsys, "serve", "--token", "x" * 16 + " ")


@pytest.mark.parametrize("token", ["a&b#c+d e%20f/=?", "x" * 16])
def test_the_browser_gets_the_token_whole(token):
    address = urlsplit(page_address("http://127.0.0.1:8731/", token))
    assert not address.fragment and parse_qs(address.query) == {"token": [token]}
    assert page_address("http://127.0.0.1:8731/", None) == "http://127.0.0.1:8731/"


@pytest.mark.skipif(not native.is_available(), reason="needs the compiled engine")
def test_the_command_ends_when_it_is_told_to(tmp_path):
    with process("serve", "--history", str(tmp_path / "x.sqlite")) as (server, client):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(client.post, "/v1/generate", LONG)
            wait_until(lambda: b"amt_rows_running 1\n" in client.get("/metrics").body)
            os.kill(server.pid, signal.SIGINT)
            assert answer.result().status == 503 and "is being stopped" in answer.result().error
        assert server.wait(30) == 130
        assert server.stderr.read() == "amt: stopped\n"
