import pytest

from amt.arranger.form import lookup, parse_form

FORM = parse_form("intro4 verse8 chorus8 verse8 chorus8 outro4")


def fit(bars, is_exact=True):
    from amt.arranger.form import fitted

    return [(section.name, section.start, section.bars) for section in fitted(FORM, bars, is_exact=is_exact)]


def test_a_form_is_read():
    assert [(section.name, section.is_varied, section.start, section.bars) for section in parse_form("A8 A'8 B4")] == [
        ("A", False, 0, 8),
        ("A", True, 8, 8),
        ("B", False, 16, 4),
    ]


@pytest.mark.parametrize("text", ["A", "8", "A0", "A65", "", "A8B8"])
def test_no_form(text):
    with pytest.raises(ValueError, match="a form"):
        parse_form(text)


@pytest.mark.parametrize("bars", [*range(1, 60), 90, 200])
def test_a_form_of_just_so_many_bars(bars):
    sections = fit(bars)
    assert sum(size for _, _, size in sections) == bars
    assert all(size > 0 for _, _, size in sections)
    starts = [start for _, start, _ in sections]
    assert starts == [sum(size for _, _, size in sections[:i]) for i in range(len(sections))]


def test_a_short_form_is_main_sections():
    assert fit(8) == [("verse", 0, 8)]
    assert fit(16) == [("verse", 0, 8), ("chorus", 8, 8)]


def test_the_whole_form_stays_whole():
    assert [name for name, _, _ in fit(40)] == ["intro", "verse", "chorus", "verse", "chorus", "outro"]


@pytest.mark.parametrize("bars", [9, 13, 18, 22, 27, 33])
def test_whole_sections(bars):
    assert all(size in (4, 8) for _, _, size in fit(bars, is_exact=False))


def test_patterns_of_a_section_or_its_kin():
    table = {"main": ("m",), "chorus": ("c",)}
    assert [lookup(table, name)[0] for name in ("chorus", "solo", "verse", "outro")] == ["c", "c", "m", "m"]
    assert lookup({}, "verse") == ()
