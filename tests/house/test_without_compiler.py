"""Without the compiled modules everything works through the reference, and says so."""

import json
import subprocess
import sys

CODE = """
import json, random, sys
if {is_blocked}:
    sys.modules["amt._midi"] = None
import amt
from amt.midi import native
from amt.midi.reference.random_pieces import random_piece

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


BLOCKS = {
    "nothing": "",
    "amt._midi": 'sys.modules["amt._midi"] = None',
    "amt/_ops.so": 'from amt.ops import native; native.LIBRARY = native.LIBRARY.with_name("none.so")',
}
GENERATE = """
import json, sys
{blocks}
import amt

piece = amt.generate("a short waltz for piano", seed=1, max_new_tokens=24, key="D minor")
try:
    refusal = amt.generate("a waltz", seed=1, max_new_tokens=2, backend="engine") and ""
except amt.BackendUnavailableError as error:
    refusal = str(error)
print(json.dumps([piece.tokens, piece.backend, amt.info()["decoding"], refusal]))
"""


def generate(*blocked: str) -> list:
    code = GENERATE.format(blocks="\n".join(BLOCKS[name] for name in blocked))
    return json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def test_music_without_the_engine_is_the_same():
    tokens, *compiled = generate("nothing")
    assert compiled[0].startswith("engine float32 ") and compiled[1].startswith("C++ engine, ") and not compiled[2]
    assert generate("amt._midi") == [tokens, *compiled]
    for blocked in (["amt/_ops.so"], ["amt/_ops.so", "amt._midi"]):
        same, backend, decoding, refusal = generate(*blocked)
        assert (same, backend) == (tokens, "plain PyTorch")
        assert decoding.startswith("plain PyTorch, slow: the op library is not built; install a C++17 compiler")
        assert refusal.endswith("reinstall with AMT_BUILD=require; or decode with backend='plain'")
