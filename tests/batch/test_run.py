import json

import pytest
from batches import BAD_LINES, ROWS, children_of, command, files_of, kill, lines_of, wait_for, write_table

import amt
from amt.batch import run as run_module
from amt.batch.write import write_rows
from amt.cli import main
from amt.files import alone_in
from amt.workers import Died

LONG = {"min_new_tokens": 1000, "max_new_tokens": 1000, "rerank": 1}  # some tenths of a second


@pytest.fixture
def in_this_process(monkeypatch):
    """Jobs are done here, one after the other: what is tested is not who does them."""
    done = []

    def each_done(work, jobs, workers):
        for job in jobs:
            done.append(len(job.rows))
            yield job, work(job)

    monkeypatch.setattr(run_module, "each_done", each_done)
    return done


def test_each_row_is_the_piece_that_it_is_alone(whole, model):
    found, out = whole
    assert (found.num_rows, found.num_before, found.num_written) == (len(ROWS), 0, len(ROWS) - len(BAD_LINES))
    assert [failure.line for failure in found.failures] == BAD_LINES
    files, lines = files_of(out), lines_of(out)
    assert len(files) == 1 + found.num_written and len(lines) == len(ROWS)
    for number, (row, line) in enumerate(zip(ROWS, lines, strict=True), start=1):
        if number in BAD_LINES:
            assert line["line"] == number and line["id"] == row.get("id", str(number)) and line["error"]
            continue
        asked = {name: value for name, value in row.items() if name != "id"}
        if "prompt_midi" in asked:
            asked["prompt_midi"] = (out.parent / "start.mid").read_bytes()
        if "tempo" in asked:
            asked["tempo"] = tuple(asked["tempo"])
        asked.setdefault("seed", line["seed"])
        piece = amt.generate(model=model, **asked)
        assert line["id"] == row.get("id", str(number)) and line["file"] == f"{line['id']}.mid"
        assert files[line["file"]] == piece.to_bytes()
        assert line["warnings"] == piece.warnings and line["backend"] == piece.backend
        assert [each["got"] for each in line["report"]] == [each.got for each in piece.report]
    assert lines[2]["error"].startswith("temperature must be float")
    assert lines[6]["error"].startswith('key must be like "D minor"')


def test_rows_at_once_change_nothing(whole, table, model, in_this_process):
    for size in (2, 3, 100):
        out = table.parent / str(size)
        amt.generate_batch(table, out, model=model, batch_size=size, threads=2)
        assert files_of(out) == files_of(whole[1])
    assert in_this_process == [2, 2, 2, 1, 3, 3, 1, 7]


def test_processes_change_nothing(whole, table, model):
    amt.generate_batch(table, table.parent / "out", model=model, processes=2, batch_size=3)
    assert files_of(table.parent / "out") == files_of(whole[1])


def test_what_is_done_stays_and_what_has_changed_is_an_error(whole, table, model, in_this_process):
    out, told = table.parent / "out", []
    amt.generate_batch(table, out, model=model, rerank=1, temperature=0.9)
    before = files_of(out)
    in_this_process.clear()
    options = {"model": model, "rerank": 1, "temperature": 0.9}
    found = amt.generate_batch(table, out, **options, progress=lambda *call: told.append(call))
    assert (found.num_before, found.num_written, len(found.failures)) == (6, 0, 2)
    assert in_this_process == [1] and told[0] == (7, 8) and told[-1] == (8, 8)  # the row that failed when it ran
    assert files_of(out) == before
    for changed in ({"temperature": 0.8}, {"seed": 1}, {"dtype": "int8"}):
        with pytest.raises(ValueError, match=r"ask for something else now: .*redo=True"):
            amt.generate_batch(table, out, **options | changed)
    rows = [dict(row) for row in ROWS]
    rows[0]["text"] = "a fast waltz"
    write_table(table.parent, rows)
    with pytest.raises(ValueError, match=r"something else now: 'waltz' \(line 1\); their"):
        amt.generate_batch(table, out, **options)
    assert files_of(out) == before
    found = amt.generate_batch(table, out, **options, redo=True)
    assert (found.num_before, found.num_written) == (5, 1)
    assert lines_of(out)[0]["request"] != json.loads(before["results.jsonl"].splitlines()[0])["request"]
    write_table(table.parent)
    amt.generate_batch(table, out, **options, redo=True)
    assert files_of(out) == before


def test_rows_that_are_no_more_in_the_table_stay(table, model, in_this_process):
    out = table.parent / "out"
    amt.generate_batch(table, out, model=model, rerank=1)
    before = files_of(out)
    write_table(table.parent, [{"text": "a new one", "id": "new"}, ROWS[3]])
    found = amt.generate_batch(table, out, model=model, rerank=1)
    assert (found.num_rows, found.num_before, found.num_written) == (2, 1, 1)
    assert [line["id"] for line in lines_of(out)] == ["new", "march", "waltz", "2", "5", "6", "8"]
    after = files_of(out)
    assert all(after[name] == before[name] for name in before if name.endswith(".mid"))


def test_a_row_that_ends_its_workers_fails_alone(whole, table, model, monkeypatch):
    def each_done(work, jobs, workers):
        for job in jobs:
            yield job, Died("it ended") if any(row.id == "march" for row in job.rows) else work(job)

    monkeypatch.setattr(run_module, "each_done", each_done)
    found = amt.generate_batch(table, table.parent / "out", model=model, batch_size=4)
    assert [(failure.line, failure.id) for failure in found.failures] == [(3, "3"), (4, "march"), (7, "polka")]
    assert found.failures[1].reason == "it ended"
    files = files_of(whole[1])
    del files["results.jsonl"], files["march.mid"]
    assert {name: each for name, each in files_of(table.parent / "out").items() if name != "results.jsonl"} == files


def test_a_second_run_in_a_folder_is_one_error(table, model):
    with alone_in(table.parent / "out"), pytest.raises(BlockingIOError, match="another process is writing to"):
        amt.generate_batch(table, table.parent / "out", model=model)


def test_another_model_in_a_worker_is_an_error(table, model, monkeypatch):
    def each_done(work, jobs, workers):
        for job in jobs:
            setting = run_module.dataclasses.replace(job.setting, digest="another")
            yield job, write_rows(run_module.dataclasses.replace(job, setting=setting))

    monkeypatch.setattr(run_module, "each_done", each_done)
    with pytest.raises(RuntimeError, match="install the same on all machines"):
        amt.generate_batch(table, table.parent / "out", model=model)


def test_the_command_lists_what_failed(whole, table, model, in_this_process, capsys):
    line = ["generate-batch", str(table), "-o", str(table.parent / "out"), "--model", model]
    assert main(line) == 1
    told = capsys.readouterr()
    assert told.out == f"{table.parent / 'out'}: 6 pieces; no piece of 2 rows\n"
    errors = [text for text in told.err.splitlines() if "line " in text]
    assert errors[0] == f"amt: {table}, line 3: temperature must be float, got 'warm'"
    assert errors[1].startswith(f"amt: {table}, line 7: key must be like")
    assert files_of(table.parent / "out") == files_of(whole[1])
    write_table(table.parent, [row for number, row in enumerate(ROWS, 1) if number < 3])
    assert main(line) == 0
    assert capsys.readouterr().out == f"{table.parent / 'out'}: 2 pieces, 0 of them now\n"
    assert main([*line, "--top-k", "3"]) == 2
    assert "or write them anew: --redo" in capsys.readouterr().err
    assert main([*line[:-1], str(table.parent / "no-model")]) == 1
    assert main(["generate-batch", str(table.parent / "no"), *line[2:]]) == 1


def test_a_run_that_is_killed_goes_on(table, model, in_this_process):
    """kill -9 of the one that asks, then of a worker: nothing is lost, and nothing is there twice."""
    rows = [{"text": "a waltz", "id": f"row-{number}", **LONG} for number in range(6)]
    write_table(table.parent, rows)
    arguments = (table, "--model", model, "--processes", "2", "--batch-size", "1", "-o")
    out = table.parent / "out"
    with command(*arguments, out) as process:
        wait_for(lambda: lines_of(out), process)
        workers = [pid for pid, words in children_of(process.pid).items() if "spawn_main" in words]
        kill(process.pid)
    wait_for(lambda: not any(pid in children_of(1) for pid in workers))
    done = {line["id"]: (out / line["file"]).read_bytes() for line in lines_of(out)}
    assert 1 <= len(done) < len(rows) and len(lines_of(out)) == len(done)
    changed = {name: (out / f"{name}.mid").stat().st_mtime_ns for name in done}
    with command(*arguments, out) as process:
        wait_for(lambda: len(lines_of(out)) > len(done), process)
        kill(next(pid for pid, words in children_of(process.pid).items() if "spawn_main" in words))
        assert process.wait() == 0, process.stderr.read()
    assert {name: (out / f"{name}.mid").stat().st_mtime_ns for name in done} == changed
    assert [line["id"] for line in lines_of(out)] == [row["id"] for row in rows]
    amt.generate_batch(table, table.parent / "again", model=model)
    assert files_of(out) == files_of(table.parent / "again")
