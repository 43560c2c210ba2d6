"""Each half of a twin names the other, in both languages."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TWINS = {
    "amt/decoding/plain/beam_search.py": "csrc/engine/beam_search.h",
    "amt/decoding/plain/rules.py": "csrc/engine/rules.h",
    "amt/decoding/plain/sampling.py": "csrc/engine/sampling.h",
    "amt/decoding/plain/strategies.py": "csrc/engine/search.cpp",
    "amt/midi/limits.py": "csrc/midi/grammar.h",
    "amt/midi/reference/channel_voices.py": "csrc/midi/channel_voices.h",
    "amt/midi/reference/decode.py": "csrc/midi/decode.cpp",
    "amt/midi/reference/edits.py": "csrc/midi/edits.cpp",
    "amt/midi/reference/encode.py": "csrc/midi/encode.cpp",
    "amt/midi/reference/grammar.py": "csrc/midi/grammar.cpp",
    "amt/midi/reference/holes.py": "csrc/midi/holes.h",
    "amt/midi/reference/smf_reader.py": "csrc/midi/smf_reader.cpp",
    "amt/midi/reference/smf_writer.py": "csrc/midi/smf_writer.cpp",
    "amt/midi/reference/time_grid.py": "csrc/midi/time_grid.h",
    "amt/midi/reference/tokenizer.py": "csrc/midi/tokenizer.h",
    "amt/midi/vocabulary.py": "csrc/midi/vocabulary.cpp",
    "amt/named_values.py": "csrc/midi/named_values.h",
    "amt/ops/reference/philox.py": "csrc/engine/philox.h",
}


@pytest.mark.parametrize("python", TWINS)
def test_a_twin_names_its_other_half(python):
    assert TWINS[python] in (ROOT / python).read_text(encoding="utf-8")
    assert python in (ROOT / TWINS[python]).read_text(encoding="utf-8")
