import copy
import re
from pathlib import Path

import pytest

from amt.arranger.compose import compose
from amt.arranger.drum_names import DRUM_PITCHES
from amt.arranger.fields import StyleError
from amt.arranger.library import find_style
from amt.arranger.style_file import PLAYS, PROMISES, ROLES, SCALE_NAMES, SHAPES, VOICINGS, parse_style
from amt.midi.sanity import sanity

GOOD = {
    "name": "test",
    "family": "pop",
    "names": ["test song"],
    "scenes": ["a test"],
    "uses": ["for tests"],
    "moods": {"calm": "any"},
    "tempo": [90, 110],
    "metres": {"4/4": 1, "3/4": 1},
    "modes": {"major": 1},
    "forms": ["A8 B8 A8"],
    "harmony": {"major": {"T": "I vi", "main": ["T IV V I"], "end": "I"}},
    "drums": {"groove": {"main": {"kick": ["x...x...", "3/4: x....."]}}, "fill": [{"snare": "xxxx"}]},
    "part": [
        {
            "name": "piano",
            "play": "chords",
            "programs": ["piano"],
            "register": "C3 C5",
            "patterns": ["x---x---", "3/4: x-x-x-"],
        },
        {
            "name": "tune",
            "play": "melody",
            "programs": ["flute"],
            "register": "C4 C6",
            "grid": 8,
            "rhythms": ["x-x-x---", "3/4: x-x-x-"],
        },
    ],
}


def changed(*path_and_value):
    table = copy.deepcopy(GOOD)
    *path, last, value = path_and_value
    place = table
    for step in path:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return table


def test_a_small_style_makes_music():
    style = parse_style(GOOD, "test.toml")
    piece = compose(style, 1)
    assert len(piece.notes) > 50 and piece.facts["style"] == "test"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("tempo", None), "test.toml: tempo: is missing"),
        (("tempo", [110, 90]), "test.toml: tempo: expected two numbers from 20 to 400, the smaller first"),
        (("temop", 3), "test.toml: there is no field 'temop'; did you mean 'tempo'"),
        (("names", []), "test.toml: names: is empty"),
        (("modes", {"majr": 1}), "test.toml: modes: there is no mode 'majr'; did you mean 'major'"),
        (("modes", {"minor": 1}), "test.toml: harmony: has nothing for the mode 'minor'"),
        (("metres", {"4/3": 1}), "test.toml: metres: a time signature is like"),
        (("forms", ["A8 8"]), "test.toml: forms: a form is words like"),
        (("moods", {"calm": "no"}), "test.toml: moods: 'calm' must be any, major or minor, got 'no'"),
        (("promises", ["for"]), "test.toml: promises: there is no promise 'for'; did you mean"),
        (("harmony", "major", "main", ["T IV Q"]), "test.toml: harmony.major: main: a chord is a Roman numeral"),
        (("harmony", "major", "main", None), "test.toml: harmony.major: main: is missing"),
        (
            ("part", 0, "play", "cords"),
            "test.toml: part 'piano': play: there is no choice 'cords'; did you mean 'chords'",
        ),
        (("part", 0, "programs", ["pino"]), "test.toml: part 'piano': programs: there is no instrument 'pino'"),
        (("part", 0, "register", "C5 C3"), "test.toml: part 'piano': register: must span an octave"),
        (("part", 0, "register", "C3"), "test.toml: part 'piano': register: expected two pitches"),
        (("part", 1, "register", "C1 C3"), "test.toml: part 'tune': register: flute plays MIDI pitches 60 to 93"),
        (
            ("part", 0, "patterns", ["x---x", "3/4: x-x-x-"]),
            "test.toml: part 'piano': patterns.main: 'x---x': 'x---x' has 5 cells",
        ),
        (
            ("part", 0, "patterns", ["x--q", "3/4: x-x-x-"]),
            "test.toml: part 'piano': patterns.main: 'x--q' has 'q'; events are",
        ),
        (("part", 0, "patterns", ["x---"]), "test.toml: part 'piano': patterns.main: has no pattern for 3/4"),
        (("part", 0, "patterns", {"A": ["x---", "3/4: x--"]}), "test.toml: part 'piano': patterns: has none for main"),
        (("part", 1, "rhythms", {"A": ["x---x---", "3/4: x-----"]}), "test.toml: part 'tune': rhythms: has none for"),
        (("part", 1, "rhythms", ["x---x---"]), "test.toml: part 'tune': rhythms.main: has no pattern for 3/4"),
        (
            ("part", 0, "patterns", ["5/4: x----", "x---"]),
            "test.toml: part 'piano': patterns.main: there is no metre of this style '5/4'",
        ),
        (
            ("part", 1, "rhythms", ["x-x-x", "3/4: x-x-x-"]),
            "test.toml: part 'tune': rhythms.main: 'x-x-x' has 5 cells, expected 8",
        ),
        (("part", 1, "plans", ["a-b"]), "test.toml: part 'tune': plans: a plan is letters"),
        (("part", 1, "name", "piano"), "test.toml: two parts are named 'piano'"),
        (("part", 1, "follows", "tune"), "test.toml: part 'tune': follows: no part 'tune' stands before it"),
        (("part", 1, "play", "answer"), "test.toml: part 'tune': "),
        (("drums", "groove", "main", "kik", ["x..."]), "test.toml: drums.groove.main: kik: there is no drum 'kik'"),
        (("drums", "groove", {}), "test.toml: drums: groove: needs a groove named main"),
        (("drums", "fill", [{"snare": "xx", "kick": "x"}]), "test.toml: fill 1: fill: all its patterns must be of one"),
        (
            ("substyle", {"fast": {"parts": []}}),
            "test.toml: substyle: fast: there is no field that a substyle may change",
        ),
        (("substyle", {"fast": {"tempo": [1, 2]}}), "test.toml: substyle 'fast': tempo: expected two numbers"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    with pytest.raises(StyleError) as error:
        parse_style(changed(*change), "test.toml")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_the_style_of_the_docs_makes_music(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "arranger.md").read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in text.split("```toml\n")[1:]]
    assert len(blocks) == 1
    path = tmp_path / "groove.toml"
    path.write_text(blocks[0], encoding="utf-8")
    for seed in range(6):
        piece = compose(find_style(str(path)), seed)
        assert sanity(piece.music) == [] and len(piece.captions) >= 12


def test_a_style_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("name = [")
    with pytest.raises(StyleError, match=r"^mine\.toml: "):
        find_style(str(path))
    with pytest.raises(FileNotFoundError):
        find_style(str(tmp_path / "none.toml"))


def test_a_substyle_in_another_metre_takes_the_patterns_of_that_metre():
    style = parse_style(changed("substyle", {"slow": {"metres": {"3/4": 1}}, "odd": {"weight": 2}}), "test.toml")
    slow, odd = style.substyles
    assert compose(slow, 1).facts["meter"] == "3/4" and list(odd.metres) == ["4/4", "3/4"]
    assert len(compose(slow, 1).notes) > 50
    with pytest.raises(StyleError, match=r"substyle 'quick': part 'piano': patterns.main: has no pattern for 6/8"):
        parse_style(changed("substyle", {"quick": {"metres": {"6/8": 1}}}), "test.toml")


def test_the_docs_name_every_field_and_choice():
    root = Path(__file__).parents[2]
    text = (root / "docs" / "arranger.md").read_text(encoding="utf-8").split("## Write a style")[1]
    source = (root / "amt" / "arranger" / "style_file.py").read_text(encoding="utf-8")
    fields = set(
        re.findall(r"\.(?:text|texts|number|flag|choice|pair|weights|pools|tables|table)\(\s*\"(\w+)\"", source)
    )
    assert len(fields) > 50
    known = {*fields, *PLAYS, *VOICINGS, *SCALE_NAMES, *SHAPES, *ROLES, *PROMISES, *DRUM_PITCHES}
    assert known - set(re.findall(r"\w+", text)) == set()
