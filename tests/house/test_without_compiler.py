"""Without the compiled module everything works through the plain-Python reference, and says so."""

import json
import subprocess
import sys

CODE = """
import json, random, sys
if {is_blocked}:
    sys.modules["amt._midi"] = None
import amt
from amt.midi import native
from amt.reference.random_pieces import random_piece

rng = random.Random(11)
rows = []
for _ in range(5):
    data = amt.read_midi(random_piece(rng).to_bytes())
    for preset in ("score", "performance"):
        tokenizer = amt.EventTokenizer(preset)
        ids = tokenizer.encode(data).ids
        rows.append([ids.tolist(), tokenizer.encode(tokenizer.decode(ids)).ids.tolist()])
        state = amt.Grammar(tokenizer.config).start()
        for token in ids:
            assert state.allowed(None)[token]
            state.advance(int(token))
        assert state.is_finished
batch = amt.EventTokenizer().encode_many([random_piece(rng).to_bytes(), b"no music"])
rows.append([len(batch.failures), batch.encodings[0].ids.tolist()])
print(json.dumps([native.native is None, native.explain(), rows]))
"""


def run(is_blocked: bool) -> list:
    command = [sys.executable, "-c", CODE.format(is_blocked=is_blocked)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_the_reference_takes_over_with_the_same_tokens():
    is_missing, explanation, rows = run(is_blocked=True)
    assert is_missing and "AMT_BUILD=require" in explanation
    has_none, compiled, same = run(is_blocked=False)
    assert not has_none and compiled.startswith("C++"), (
        "the compiled module is missing; reinstall with AMT_BUILD=require"
    )
    assert rows == same
    for ids, again in rows[:-1]:
        assert ids == again
