import pytest

from amt.request.attributes import (
    ATTRIBUTES,
    attributes_of,
    check_attributes,
    facts_of_request,
    num_attribute_ids,
    varied_facts,
)
from amt.request.limits import Limits
from amt.request.reading import read

ALL = tuple(ATTRIBUTES)
FACTS = {
    "programs": [40, 0, 128], "drums": True, "key": "E-flat dorian", "meter": "3/4", "quarter_bpm": 120.0,
    "style": "waltz", "mood": ["sad", "slow"], "form": "Waltz ", "n_notes": 200, "duration_s": 100,
    "pitch_mean": 61.5, "n_bars": 16,
}  # fmt: skip


def values(facts, kind):
    """The values of one kind, from 0."""
    return [number - 1 for number in attributes_of(facts, (kind,)).get(kind, [])]


def test_each_kind():
    assert values(FACTS, "instruments") == [0, 40, 128] and values(FACTS, "drums") == [1]
    assert values(FACTS, "key") == [3 * 4 + 2] and values(FACTS, "metre") == [12]
    assert values(FACTS, "tempo") == [12] and values(FACTS, "density") == [4]  # 2 a second: two doublings of a half
    assert values(FACTS, "register") == [7] and values(FACTS, "bars") == [8] and values(FACTS, "ensemble") == [2]
    assert len(values(FACTS, "mood")) == 2 and values(FACTS, "form") == values({"form": "waltz"}, "form")


def test_numbers_of_kinds_follow_each_other():
    known = attributes_of(FACTS, ALL)
    assert list(known) == list(ALL)
    numbers = [number for of_kind in known.values() for number in of_kind]
    assert numbers == sorted(set(numbers)) and numbers[0] >= 1 and numbers[-1] < num_attribute_ids(ALL)
    assert num_attribute_ids(ALL) == 1 + sum(attribute.size for attribute in ATTRIBUTES.values())


@pytest.mark.parametrize("kind", ALL)
def test_what_is_missing_or_damaged_says_nothing(kind):
    wrong = [None, "", "x/y", -1, 0, float("nan"), float("inf"), [None, 999, True], {"a": 1}, "H major", "99/99", "4/3"]
    assert values({}, kind) == []
    for value in wrong:
        found = values(dict.fromkeys(FACTS, value), kind)
        assert all(0 <= number < ATTRIBUTES[kind].size for number in found)
        assert kind in ("style", "mood", "form") or not found, value


def test_extremes_stay_in_their_bins():
    for value in (1e-300, 1e300):
        for kind in ("tempo", "density", "bars", "register"):
            names = ("quarter_bpm", "notes_per_s", "n_bars", "pitch_mean")
            (found,) = values(dict.fromkeys(names, value), kind)
            assert found == (0 if value < 1 else ATTRIBUTES[kind].size - 1)


def test_facts_follow_the_augmentation():
    varied = varied_facts(FACTS, -4, 2.0)
    assert (
        values(varied, "key") == [11 * 4 + 2] and values(varied, "tempo") == [18] and values(varied, "density") == [6]
    )
    assert values(varied, "register") == [7] and values(varied_facts(FACTS, 3, 1.0), "register") == [8]
    assert values(varied_facts(FACTS, 0, 1.0), "key") == values(FACTS, "key")


def test_what_a_request_says():
    asked = read("a tango for violin and drums in D minor at 96 BPM in 3/4 time")
    facts = facts_of_request(asked, Limits())
    assert values(facts, "instruments") == [40, 128] and values(facts, "drums") == [1]
    assert values(facts, "key") == [2 * 4 + 1] and values(facts, "tempo") == [10] and values(facts, "metre") == [12]
    limits = Limits(instruments=["piano"], tempo=60, key="Bb major", time_signature="4/4", bars=8)
    facts = facts_of_request(asked, limits)
    assert values(facts, "instruments") == [0] and values(facts, "drums") == [0] and values(facts, "bars") == [6]
    assert values(facts, "key") == [10 * 4] and values(facts, "tempo") == [6] and values(facts, "metre") == [17]
    assert attributes_of(facts_of_request(read("music"), Limits()), ALL) == {}


@pytest.mark.parametrize(
    ("kinds", "message"), [(("tempos",), "no attribute 'tempos'"), (("tempo", "key"), "in their order: key, tempo")]
)
def test_kinds_that_there_are_not(kinds, message):
    with pytest.raises(ValueError, match=message):
        check_attributes(kinds)


@pytest.mark.parametrize(
    ("row", "text"),
    [({"style": "lo-fi"}, "lofi hip hop beat"), ({"style": "heavy metal"}, "some metal"), ({"form": "jig"}, "a jig"),
     ({"style": "Irish jig"}, "Irish jig"), ({"form": "étude"}, "an etude for piano")],
)  # fmt: skip
def test_rows_and_requests_call_a_style_by_one_name(row, text):
    asked = attributes_of(facts_of_request(read(text), Limits()), ("style",))
    assert set(asked["style"]) & set(attributes_of(row, ("style",))["style"])


def test_what_a_reading_found_is_found_again():
    from amt.arranger.library import styles

    for style in styles().values():
        for kind, found in (("style", read(style.name).styles), ("mood", read(" ".join(style.moods)).moods)):
            for said in found:
                assert values({kind: said.value}, kind) == values({kind: [said.value.upper()]}, kind)
                assert set(values({kind: said.value}, kind)) <= set(values({kind: [said.value, "xyz"]}, kind))
                assert len(values({kind: said.value}, kind)) == 1, said.value
