"""Which sections of a plan come again, and how much of them."""

from amt.midi.plan import Plan, PlanChord, PlanSection
from amt.midi.returns import Return, returns_of


def plan_of(*sections):
    """Sections like ("verse", "C F G C"), a chord a bar."""
    roots = {"C": 0, "D": 2, "F": 5, "G": 7}
    return Plan(
        tuple(
            PlanSection(name, tuple(PlanChord(roots[chord], "maj", 2) for chord in chords.split()))
            for name, chords in sections
        )
    )


EIGHT = "C F G C C F G C"


def test_a_section_of_the_same_name_and_chords_comes_again_but_for_its_end():
    plan = plan_of(("verse", EIGHT), ("chorus", "F G C F"), ("verse", EIGHT), ("chorus", "F G C F"), ("verse", EIGHT))
    # Eight bars have two bars of their own at the end, four have one.
    assert returns_of(plan) == (Return(24, 0, 12), Return(40, 16, 6), Return(48, 0, 12))


def test_it_comes_again_as_far_as_chords_and_bars_are_the_same():
    assert returns_of(plan_of(("A", EIGHT), ("A", "C F G D C F G C"))) == (Return(16, 0, 6),)
    assert returns_of(plan_of(("A", "C F G C"), ("A", EIGHT))) == (Return(8, 0, 8),)
    assert returns_of(plan_of(("A", EIGHT), ("A", "D F G C C F G C"))) == ()
    assert returns_of(plan_of(("A", "C F"), ("A", "C F"))) == ()  # one bar is not worth it


def test_what_frames_a_piece_does_not_come_again():
    for name in ("intro", "outro", "solo", "break", "build", "other"):
        assert returns_of(plan_of((name, EIGHT), (name, EIGHT))) == ()


def test_half_a_bar_does_not_come_again_alone():
    whole = PlanSection("A", (PlanChord(0, "maj", 9), PlanChord(5, "maj", 7)))
    other = PlanSection("A", (PlanChord(0, "maj", 9), PlanChord(7, "maj", 7)))
    assert returns_of(Plan((whole, other))) == (Return(16, 0, 8),)
