"""Progressions and forms that are asked for, laid over the bars of a piece."""

import pytest

from amt.midi.chords import parse_chord
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note
from amt.midi.plan import CHORD_NAMES, SAME_SECTION, Plan, number_of_chord
from amt.midi.theory import Key
from amt.request.limits import Limits, with_said_plan
from amt.request.plans import plan_asked
from amt.request.reading import read
from amt.request.report import time_in_chords

CONFIG = TokenizerConfig(version=2)


def asked(chords=None, form=None, key=None, num_bars=None, is_exact=True):
    """The plan in words: "verse4 chorus4 | C C F G"."""
    sections, numbers = plan_asked(chords, form, key=key, num_bars=num_bars, is_exact=is_exact)
    words = []
    if sections is not None:
        plan = Plan.from_half_bars(sections, numbers or [0] * len(sections))
        words.append(" ".join(f"{section.name}{section.half_bars / 2:g}" for section in plan.sections))
    if numbers is not None:
        words.append(" ".join(Plan.from_half_bars([SAME_SECTION] * len(numbers), numbers).sections[0].bar_names))
    return " | ".join(words)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"chords": "C Am F G", "num_bars": 6}, "C Am F G C Am"),
        ({"chords": "C Am F G"}, " ".join(["C Am F G"] * 4)),
        ({"chords": "Cmaj9 | Dm7 G13", "num_bars": 2}, "Cmaj7 Dm7|G7"),
        ({"chords": "C-Am-F-G", "num_bars": 4}, "C Am F G"),
        ({"chords": "ii-V-I in F", "num_bars": 3}, "Gm C F"),
        ({"chords": "ii7 V7 Imaj7", "key": Key(10, "major"), "num_bars": 3}, "Cm7 F7 Bbmaj7"),
        ({"chords": "C | % | N.C.", "num_bars": 3}, "C C N.C."),
        ({"form": "verse chorus verse chorus"}, "verse4 chorus4 verse4 chorus4"),
        ({"form": "Verse, Chorus -> verse", "num_bars": 8}, "verse2 chorus3 verse3"),
        ({"form": "AABA", "num_bars": 32}, "A8 A8 B8 A8"),
        ({"form": "A A' B A", "num_bars": 8}, "A2 A2 B2 A2"),
        ({"form": "a-b-a", "num_bars": 3}, "A1 B1 A1"),
        ({"form": "intro 4 A8 A8 B8 outro:2"}, "intro4 A8 A8 B8 outro2"),
        ({"form": "intro 2 pre-chorus chorus", "num_bars": 10}, "intro2 pre-chorus4 chorus4"),
        ({"form": "pre chorus, refrain, build up, coda"}, "pre-chorus4 chorus4 build4 outro4"),
        ({"form": "A8 B8", "num_bars": 11, "is_exact": False}, "A8 B8"),
        ({"form": "AABA", "num_bars": 2, "is_exact": False}, "A4 A4 B4 A4"),
        ({"form": "A3 B2", "chords": "C F"}, "A3 B2 | C F C C F"),  # the chords begin anew
    ],
)
def test_plans(options, expected):
    assert asked(**options) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chords": "C Hm F"}, "'Hm' in chords is no chord; write them like Am7"),
        ({"chords": "C Am7x F in D"}, "'Am7x' in chords is no chord"),
        ({"chords": ""}, "'' in chords is no chord"),
        ({"chords": ["C", "F"]}, "chords must be a text like"),
        ({"chords": "C Am F | G"}, "chords has the bar 'C Am F'; a bar has one chord or two"),
        ({"chords": "C", "num_bars": 513}, "a plan has at most 512 bars, and this one has 513; ask for fewer"),
        ({"chords": "C " * 513}, "chords has 513 bars, and a plan 512 at most; leave some out"),
        ({"chords": "C" * 4001}, "chords may have 4000 characters at most, got 4001"),
        ({"form": "A" * 4001}, "form may have 4000 characters at most, got 4001"),
        ({"chords": "H" * 200}, f"'{'H' * 79}... .202 characters. in chords is no chord"),
        ({"form": "verse fugue"}, "'fugue' in form is no section; there are intro, verse, "),
        ({"form": "AAXA"}, "'AAXA' in form is no section"),
        ({"form": " "}, "form is empty; name sections"),
        ({"form": 3}, "form must be a text like"),
        ({"form": "A8 B8", "num_bars": 12}, "form has 16 bars, and bars is 12; change one of them"),
        ({"form": "A8 B8", "num_bars": 32}, "form has 16 bars, and bars is 32"),
        ({"form": "A8 B C", "num_bars": 9}, "form has at least 10 bars, and bars is 9"),
        ({"form": "verse 600"}, "a plan has at most 512 bars, and this one has 600"),
    ],
)
def test_plans_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        asked(**options)


def constraints_of(**limits):
    return Limits(**limits).constraints(CONFIG)


def test_how_long_a_plan_is():
    assert constraints_of(chords="C F").plan_half_bars == 32
    assert constraints_of(chords="C F", bars=6, time_signature="3/4").plan_half_bars == 12
    assert constraints_of(chords="C F", duration=60, tempo=120).plan_half_bars == 60
    assert constraints_of(chords="C F", duration=60, tempo=(100, 140), time_signature="3/4").plan_half_bars == 80
    assert constraints_of(chords="C F", duration=60).plan_half_bars == 32
    given = constraints_of(form="A2 B2", chords="Am7 | F G", bars=4, time_signature="4/4")
    assert given.plan_sections == (10, -1, -1, -1, 11, -1, -1, -1)
    assert [CHORD_NAMES[number] for number in given.plan_chords] == ["Am7", "Am7", "F", "G"] * 2
    assert constraints_of().plan_half_bars is None


@pytest.mark.parametrize("config", [TokenizerConfig(), TokenizerConfig(preset="performance")])
@pytest.mark.parametrize("limits", [{"chords": "C F"}, {"form": "AABA"}])
def test_models_without_plans_refuse_them(config, limits):
    with pytest.raises(ValueError, match="needs a model"):
        Limits(**limits).constraints(config)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a pop song, chords C Am F G", {"chords": "C | Am | F | G"}),
        ("a jazz tune over Dm7 G7 | Cmaj7", {"chords": "Dm7 G7 | Cmaj7"}),
        ("a ii-V-I in F", {"chords": "Gm | C | F"}),
        ("a tune in AABA form", {"form": "AABA"}),
        ("verse, chorus, verse, chorus, bridge, chorus", {"form": "verse chorus verse chorus bridge chorus"}),
        ("a song with a big chorus", {}),
        ("a fugue", {}),
        ("a slow waltz", {}),
    ],
)
def test_what_a_text_says_is_planned(text, said):
    planned = with_said_plan(Limits(), read(text), (), CONFIG)
    assert {name: getattr(planned, name) for name in ("chords", "form") if getattr(planned, name)} == said
    assert with_said_plan(Limits(), read(text), ("chords", "form"), CONFIG) == Limits()
    assert with_said_plan(Limits(), read(text), (), TokenizerConfig()) == Limits()


def test_numerals_of_a_text_stand_in_the_key_of_the_call():
    text = read("a song with the progression I V vi IV")
    assert with_said_plan(Limits(key="D major"), text, (), CONFIG).chords == "D | A | Bm | G"
    minor = read("a song with the progression i VI III VII")
    assert with_said_plan(Limits(key="D minor"), minor, (), CONFIG).chords.startswith("Dm |")


BAR = 1920


@pytest.mark.parametrize(
    ("notes", "plan", "share"),
    [
        ([(0, BAR, 60), (0, BAR, 64), (0, BAR, 67), (0, BAR, 69)], "A: C", 0.75),
        ([(0, 2 * BAR, 60)], "A: C G", 0.5),  # its second half is no tone of G
        ([(0, 2 * BAR, 60)], "A: C", 1.0),  # behind the plan nothing counts
        ([(0, BAR, 60)], "A: N.C.", 0.0),
        ([(0, BAR, 62), (0, BAR, 65)], "A: Csus4", 1.0),
        ([], "A: C", 0.0),
    ],
)
def test_how_much_of_the_notes_is_in_the_chords(notes, plan, share):
    numbers = [number_of_chord(parse_chord(name)) for name in plan.split()[1:] for _ in range(2)]
    chords = Plan.from_half_bars([10, *[SAME_SECTION] * (len(numbers) - 1)], numbers)
    drums = Note(0, BAR, 37, 80, 0, True)
    piece = MidiData([*(Note(start, end, pitch, 80) for start, end, pitch in notes), drums])
    assert time_in_chords(piece, chords) == share


def test_what_does_not_fit_the_call_is_left_out():
    limits = Limits(bars=3, time_signature="4/4")
    planned = with_said_plan(limits, read("chords C Am F G in AABA form"), (), CONFIG)
    assert planned.form is None and planned.chords == "C | Am | F | G"
