import json

import pytest
from batches import write_table

from amt.batch.table import MAX_LINE, BadRow, Row, read_prompt_midi, read_table, seed_of

TEXT = {"text": "a waltz"}


def read(folder, rows, seed=0, **usual):
    return list(read_table(write_table(folder, rows), seed, usual))


def test_a_row_has_what_the_line_says(tmp_path):
    rows = [
        {"id": "a.b-c_9", "seed": 2**64 - 1, "tempo": [90, 110], "max_rest_beats": None, **TEXT},
        "",
        {"id": 12, "temperature": 1, "negative_prompt": "noise", "obey": "soft", **TEXT},
        TEXT,
    ]
    first, second, third = read(tmp_path, rows, 5, temperature=0.9, bars=4)
    options = {"temperature": 0.9, "bars": 4, "tempo": (90, 110), "max_rest_beats": None}
    assert first == Row(1, "a.b-c_9", 2**64 - 1, "a waltz", options)
    assert second == Row(
        3, "12", seed_of("12", 5), "a waltz", {"temperature": 1, "bars": 4, "negative_prompt": "noise", "obey": "soft"}
    )
    assert (third.id, third.line, third.seed) == ("4", 4, seed_of("4", 5))
    seeds = [seed_of(name, seed) for name in "ab" for seed in (0, 1)]
    assert len(set(seeds)) == 4 and all(0 <= seed < 2**53 for seed in seeds)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 30000, "nested too deeply"),
        ("7", "expected an object"),
        ("{}", "it has no text"),
        ('{"text": " "}', "the text is empty"),
        ('{"text": 7}', "a text must be a str"),
        (r'{"text": "\ud800"}', "the text is damaged"),
        (r'{"text": "a", "negative_prompt": "\ud800"}', "a text in it is damaged"),
        ({"id": "", **TEXT}, "an id has"),
        ({"id": None, **TEXT}, "an id has"),
        ({"id": True, **TEXT}, "an id has"),
        ({"id": "../up", **TEXT}, "an id has"),
        ({"id": "/etc/x", **TEXT}, "an id has"),
        ({"id": "a\\b", **TEXT}, "an id has"),
        ({"id": ".lock", **TEXT}, "an id has"),
        ({"id": "a\nb", **TEXT}, "an id has"),
        ({"id": "a\n", **TEXT}, "an id has"),
        ({"id": "x" * 101, **TEXT}, "an id has"),
        ({"temprature": 1, **TEXT}, "there is no option 'temprature'"),
        ({"model": "other", **TEXT}, "there is no option 'model'"),
        ({"num_return_sequences": 2, **TEXT}, "there is no option 'num_return_sequences'"),
        ({"temperature": "1", **TEXT}, "temperature must be float, got '1'"),
        ({"tempo": [1, 2, 3], **TEXT}, "tempo must be"),
        ({"instruments": "violin", **TEXT}, "instruments must be"),
        ({"instruments": [1.5], **TEXT}, "instruments must be"),
        ({"max_voices": {"piano": "2"}, **TEXT}, "max_voices must be"),
        ({"rerank": True, **TEXT}, "rerank must be int"),
        ({"obey": "never", **TEXT}, "obey must be"),
        ({"seed": -1, **TEXT}, "seed must be between"),
        ({"seed": 2**64, **TEXT}, "seed must be between"),
        ({"prompt_midi": 3, **TEXT}, "prompt_midi must be the name"),
        ('{"text": "' + "x" * MAX_LINE + '"}', "the line is longer"),
    ],
)
def test_a_bad_row_has_its_line_and_a_reason(tmp_path, line, reason):
    before, bad, after = read(tmp_path, [TEXT, line, TEXT])
    assert isinstance(bad, BadRow) and bad.line == 2 and reason in bad.reason and "\n" not in bad.reason
    assert (before.id, after.id, after.line) == ("1", "3", 3)


def test_ids_are_unique_as_every_file_system_sees_them(tmp_path):
    found = read(tmp_path, [{"id": "A", **TEXT}, {"id": "3", **TEXT}, TEXT, {"id": "a", **TEXT}])
    assert [isinstance(each, Row) for each in found] == [True, True, False, False]
    assert found[2].reason == "its id '3' is that of line 2, too; give another"
    assert found[3].reason == "its id 'a' is that of line 1, too; give another"


def test_a_table_that_is_none_is_one_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="give a table of prompts"):
        list(read_table(tmp_path / "missing", 0, {}))
    with pytest.raises(FileNotFoundError, match="give a table of prompts"):
        list(read_table(tmp_path, 0, {}))
    (tmp_path / "bytes").write_bytes(b'{"text": "a"}\n\xff\xff\n')
    with pytest.raises(ValueError, match="not UTF-8"):
        list(read_table(tmp_path / "bytes", 0, {}))
    (tmp_path / "utf16").write_text(json.dumps(TEXT) + "\n", encoding="utf-16")
    assert [row.text for row in read_table(tmp_path / "utf16", 0, {})] == ["a waltz"]


def test_a_file_to_continue_lies_in_the_folder_of_the_table(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    names = [
        "start.mid",
        "./start.mid",
        "../start.mid",
        "x/../../start.mid",
        str(tmp_path / "start.mid"),
        "no.mid",
        ".",
    ]
    rows = read(inside, [{"prompt_midi": name, **TEXT} for name in names] + [{"prompt_midi": "prompts.jsonl", **TEXT}])
    (tmp_path / "start.mid").write_bytes((inside / "start.mid").read_bytes())
    for row in rows[:2]:
        assert read_prompt_midi(row, inside) == (inside / "start.mid").read_bytes()
    for row in rows[2:5]:
        with pytest.raises(ValueError, match="leads out of the folder of the table"):
            read_prompt_midi(row, inside)
    for row in rows[5:]:
        with pytest.raises(ValueError, match="cannot be read"):
            read_prompt_midi(row, inside)
