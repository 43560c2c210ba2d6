"""What importing costs, and that nothing opens a socket."""

import json
import subprocess
import sys

import pytest

import amt


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    "module",
    [
        "amt",
        "amt.cli",
        "amt.midi.tokenizer",
        "amt.midi.grammar",
        "amt.midi.config",
        "amt.generation.piece",
        "amt.request.reading",
        "amt.arranger.arrange",
    ],
)
def test_torch_is_not_loaded_by(module):
    code = f"import {module}, sys, json; print(json.dumps([m in sys.modules for m in ('torch', 'transformers')]))"
    assert json.loads(run_python(code)) == [False, False]


def test_what_compiles_is_not_loaded_to_write_music():
    """torch._dynamo, which the first call of a custom op loads, takes seconds of processor time."""
    code = """
import sys, amt
for text in ("a waltz for piano", "a bossa nova with nylon guitar, bass, flute and drums, " + "warm and calm, " * 60):
    amt.generate(text, seed=1, max_new_tokens=24, rerank=1)
print("torch._dynamo" in sys.modules)
"""
    assert run_python(code) == "False\n"


def test_every_public_name_is_there():
    for name in amt.__all__:
        assert getattr(amt, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = amt.nonsense


def test_no_socket_is_opened():
    """Import, encode and generate work where every socket is refused."""
    code = """
import socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("a socket was opened")
socket.socket.__init__ = refuse
socket.create_connection = refuse
socket.getaddrinfo = refuse
import amt
tokenizer = amt.EventTokenizer()
piece = amt.generate("a short waltz for piano", seed=1, max_new_tokens=24)
assert len(tokenizer.encode(piece.to_bytes()))
print(len(piece.tokens))
"""
    assert int(run_python(code)) > 4
