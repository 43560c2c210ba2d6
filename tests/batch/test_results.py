import pytest
from batches import files_of, lines_of

from amt.batch.results import Results
from amt.batch.table import BadRow
from amt.files import alone_in

NAMES = [f"row-{number}" for number in range(7)]
FAILED = BadRow(3, None, "no such key ♯")


def midi_of(name):
    return f"the music of {name}".encode()


def run(folder):
    """What a run does with its folder: rows that are not done, in another order than that of the table."""
    with alone_in(folder):
        results = Results(folder)
        results.rewrite([name for name in results.requests if results.has(name)])
        for name in reversed(NAMES):
            if not results.has(name):
                results.add(name, midi_of(name), {"seed": 7, "request": f"request {name}"})
        results.rewrite([*NAMES[:2], FAILED, *NAMES[2:]])
        results.close()


def test_the_table_has_the_order_of_the_prompts(tmp_path):
    run(tmp_path / "out")
    lines = lines_of(tmp_path / "out")
    assert lines.pop(2) == {"line": 3, "id": None, "error": "no such key ♯"}
    assert lines == [{"id": name, "seed": 7, "request": f"request {name}"} for name in NAMES]
    before = files_of(tmp_path / "out")
    assert {name: before[f"{name}.mid"] for name in NAMES} == {name: midi_of(name) for name in NAMES}
    run(tmp_path / "out")
    assert files_of(tmp_path / "out") == before


def test_a_kill_at_any_moment_loses_nothing_and_doubles_nothing(tmp_path, killed):
    run(tmp_path / "whole")
    out, number, num_kills, was_killed = tmp_path / "out", 0, 0, True
    done = set()
    while was_killed:
        number += 3
        was_killed = killed(lambda: run(out), tmp_path, number)
        num_kills += was_killed
        if out.exists():
            lines = [line["id"] for line in lines_of(out) if "error" not in line]
            assert len(lines) == len(set(lines)) and done <= set(lines)
            done = set(lines)
            assert all((out / f"{name}.mid").read_bytes() == midi_of(name) for name in done)
    assert num_kills > 5
    run(out)
    assert files_of(out) == files_of(tmp_path / "whole")


def test_half_a_line_is_none_and_a_file_that_is_gone_is_not_done(tmp_path):
    run(tmp_path)
    whole = files_of(tmp_path)
    path = tmp_path / "results.jsonl"
    for cut in (1, 20):
        path.write_bytes(path.read_bytes()[:-cut])
        assert not Results(tmp_path).has(NAMES[-1]) and Results(tmp_path).has(NAMES[-2])
        run(tmp_path)
        assert files_of(tmp_path) == whole
    (tmp_path / "row-2.mid").unlink()
    run(tmp_path)
    assert files_of(tmp_path) == whole


def test_a_folder_of_somebody_else_is_not_touched(tmp_path):
    (tmp_path / "row-1.mid").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="name a new folder"):
        run(tmp_path)
    assert files_of(tmp_path) == {"row-1.mid": b"mine"}
    (tmp_path / "results.jsonl").write_text('{"id": "row-1"}\n')
    with pytest.raises(ValueError, match=r"results\.jsonl, line 1: no line of results"):
        run(tmp_path)
    assert (tmp_path / "row-1.mid").read_bytes() == b"mine"
