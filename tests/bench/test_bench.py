import json
import math
import os
import subprocess
import sys

import pytest
import torch

from amt.bench.bandwidth import bytes_per_step
from amt.bench.cases import FULL, MODEL, QUICK, DecodeCase, choose
from amt.bench.decode import check_lengths, measure_decoding
from amt.bench.job import Job
from amt.bench.peers import ALL, IMPLEMENTATIONS, NO_BFLOAT16, PEERS, Implementation, torch_loop
from amt.bench.peers.reference import load as load_reference
from amt.bench.peers.torch_loop import shared_positions
from amt.bench.process import Worker, WorkerError
from amt.bench.rows import Row, best_settings, with_ratios, with_times
from amt.bench.tokenizer import CASES, made_files, measure_tokenizer
from amt.cli import main
from amt.nn.config import ModelConfig

TINY = ModelConfig(
    vocab_size=23,
    d_model=16,
    nhead=2,
    num_encoder_layers=1,
    num_decoder_layers=2,
    dim_feedforward=24,
    dropout=0.0,
    max_sequence_length=40,
    text_embedding_dim=12,
)
FIELDS = {
    "suite": str, "case": str, "impl": str, "version": str, "threads": int, "dtype": str | None,
    "ms_per_step": float | None, "ms_per_step_min": float | None, "tokens_per_s": float | None,
    "ratio_to_best_peer": float | None, "fraction_of_limit": float | None, "rounds": int, "setting": str,
    "shared_positions": float | None, "error": str | None,
}  # fmt: skip


@pytest.fixture(autouse=True)
def threads_stay():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def tiny_job(module, case, dtype, folder=""):
    return Job(f"amt.bench.peers.{module}", case, dtype, 1, str(folder), TINY.to_dict())


def check_schema(row):
    values = json.loads(json.dumps(row.to_dict()))
    assert values.keys() == FIELDS.keys()
    for name, kind in FIELDS.items():
        assert isinstance(values[name], kind), (name, values[name])
    assert (values["error"] is None) == (values["ms_per_step"] is not None)


# Cases


@pytest.mark.parametrize("case", [*FULL, *QUICK], ids=lambda case: case.name)
def test_a_name_says_all_of_a_case(case):
    assert DecodeCase.parse(case.name) == case


def test_a_name_is_read():
    case = DecodeCase.parse("int8-b8-beam4-512")
    assert case == DecodeCase("int8", 8, "beam4", 512)
    assert (case.num_beams, DecodeCase.parse("float32-b1-sample-7").num_beams) == (4, 1)
    assert DecodeCase.parse("shipped-float32-b1-greedy-7").is_shipped
    config = DecodeCase.parse("int8-b2-sample-9").generation_config
    assert (config.min_new_tokens, config.max_new_tokens, config.do_sample, config.top_p) == (9, 9, True, 0.95)


@pytest.mark.parametrize(
    "name",
    ["", "int8", "int4-b1-greedy-8", "int8-b0-greedy-8", "int8-b1-beam1-8", "int8-b1-beam65-8", "int8-b1-greedy-1025"],
)
def test_no_name_of_a_case(name):
    with pytest.raises(ValueError, match=r"as in int8-b8-beam4-512"):
        DecodeCase.parse(name)


def test_cases_are_chosen_by_name_or_pattern():
    assert choose([], QUICK) == list(QUICK)
    assert {case.dtype for case in choose(["int8-*"], FULL)} == {"int8"}
    assert choose(["int8-b3-beam5-11", "int8-b3-*-11", "int8-b3-beam5-11"][::2], FULL) == [
        DecodeCase("int8", 3, "beam5", 11)
    ]
    with pytest.raises(ValueError, match="there is no case 'int7-\\*'"):
        choose(["int7-*"], FULL)


def test_every_case_has_a_peer_or_is_the_packages_own():
    for case in FULL:
        taking = [implementation for implementation in IMPLEMENTATIONS if implementation.takes(case)]
        assert any(not implementation.is_peer for implementation in taking)
        assert any(implementation.is_peer for implementation in taking) != case.is_shipped


def test_the_bytes_of_a_step():
    case = DecodeCase.parse("float32-b1-greedy-1")
    weights = 6 * (6 * 512 * 512 + 2 * 512 * 2048) + 512 * 512
    assert bytes_per_step(case, MODEL) == 4 * (weights + 33 * 6 * 2 * 512)
    beams = DecodeCase.parse("int8-b8-beam4-1")
    assert bytes_per_step(beams, MODEL) == weights + 8 * 33 * 6 * 2 * (512 + 8 * 4)


# Rows


def row(impl, milliseconds=None, setting="", error=None):
    return Row("decode", "c", impl, "1", 1, "int8", ms_per_step=milliseconds, setting=setting, error=error)


def test_times_become_figures():
    timed = with_times(row("a"), [0.5, 0.2, 0.4], num_steps=10, num_tokens=80)
    assert (timed.ms_per_step, timed.ms_per_step_min, timed.tokens_per_s, timed.rounds) == (40.0, 20.0, 200.0, 3)


def test_ratios_are_to_the_best_peer_that_has_a_number():
    rows = [row("ours", 2.0), row("a", 6.0), row("b", 5.0), row("c", error="crashed")]
    ratios = with_ratios(rows, ["a", "b", "c"], limit_ms=1.0)
    assert [one.ratio_to_best_peer for one in ratios] == [2.5, 5 / 6, 1.0, None]
    assert [one.fraction_of_limit for one in ratios] == [0.5, 1 / 6, 0.2, None]
    alone = with_ratios([row("ours", 2.0), row("c", error="crashed")], ["c"])
    assert [(one.ratio_to_best_peer, one.fraction_of_limit) for one in alone] == [(None, None)] * 2
    assert alone[1].error == "crashed"  # never a silent gap


def test_the_fastest_setting_is_kept():
    rows = [row("a", 3.0, "x"), row("a", error="no", setting="y"), row("a", 2.0, "z"), row("b", error="no")]
    assert [(one.impl, one.setting, one.error) for one in best_settings(rows)] == [("a", "z", None), ("b", "", "no")]


# Implementations


@pytest.mark.parametrize("mode", ["greedy", "beam3"])
def test_the_torch_loop_makes_the_references_tokens(mode):
    case = f"float32-b3-{mode}-29"
    runner = torch_loop.load(tiny_job("torch_loop", case, "float32"))
    assert runner.generate() == load_reference(tiny_job("reference", case, "float32")).generate()
    assert (runner.shared_positions is None) == (mode == "greedy")


@pytest.mark.parametrize(
    ("module", "package"), [("ctranslate", "ctranslate2"), ("onnx_step", "onnxruntime"), ("bart", "transformers")]
)
def test_a_peer_does_all_of_the_work(tmp_path, module, package):
    pytest.importorskip(package, reason=f"{package} is not installed; pip install 'amt-midi[bench]'")
    if module == "onnx_step":
        pytest.importorskip("onnxscript", reason="onnxscript is not installed; pip install 'amt-midi[bench]'")
    job = tiny_job(module, "float32-b3-sample-29", "float32", tmp_path)
    with Worker(job, {}, timeout_s=120) as worker:
        check_lengths(job.decode_case, worker.run()["lengths"])


@pytest.mark.parametrize(
    ("module", "package", "mode"),
    [
        ("ctranslate", "ctranslate2", "greedy"),
        ("ctranslate", "ctranslate2", "beam3"),
        ("onnx_step", "onnxscript", "beam3"),  # each export takes long
    ],
)
def test_a_peer_with_the_same_weights_makes_the_same_tokens(tmp_path, module, package, mode):
    pytest.importorskip(package, reason=f"{package} is not installed; pip install 'amt-midi[bench]'")
    case = f"float32-b3-{mode}-29"
    ours = torch_loop.load(tiny_job("torch_loop", case, "float32")).generate()
    code = f"""
import json, sys
from amt.bench.job import Job
from amt.bench.peers import {module}
print(json.dumps({module}.load(Job.from_json(sys.argv[1])).generate()))
"""  # in a process of its own, as always
    command = [sys.executable, "-c", code, tiny_job(module, case, "float32", tmp_path).to_json()]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout
    assert json.loads(output.splitlines()[-1]) == ours


def test_positions_that_beams_share():
    together = torch.zeros(5, 1, 2, dtype=torch.long)  # both always go on from beam 0
    assert shared_positions(together) == 1.0
    apart = torch.tensor([0, 1]).expand(5, 1, 2)
    assert shared_positions(apart) == 0.0
    late = torch.tensor([[0, 1], [0, 1], [1, 1]])[:, None]  # the third step goes on from one beam: all three shared
    assert math.isclose(shared_positions(late), 1 / 3)


def test_too_little_work_is_no_number():
    case = DecodeCase.parse("int8-b2-greedy-8")
    check_lengths(case, [8, 8])
    for lengths in ([8], [8, 7], [8, 9], []):
        with pytest.raises(WorkerError, match="not 2 of 8"):
            check_lengths(case, lengths)


def test_from_case_to_rows():
    torch_peer = Implementation("torch-loop", "amt.bench.peers.torch_loop", ALL)
    missing = Implementation("missing", "amt.bench.peers.nothing", NO_BFLOAT16, settings={"x": {}})
    words = []
    rows = list(
        measure_decoding(
            [DecodeCase.parse("float32-b2-beam2-11")],
            num_rounds=2,
            implementations=[torch_peer, missing],
            model=TINY,
            progress=words.append,
        )
    )
    for one in rows:
        check_schema(one)
    ours, gap = rows
    assert (ours.impl, ours.version, ours.rounds, ours.error) == ("torch-loop", torch.__version__, 2, None)
    assert ours.ratio_to_best_peer == 1.0 and 0 < ours.ms_per_step_min <= ours.ms_per_step
    assert math.isclose(ours.tokens_per_s, 2000 / ours.ms_per_step) and 0 < ours.shared_positions < 1
    assert gap.impl == "missing" and gap.error.startswith("not installed") and gap.version == ""
    assert any("round 2 of 2, torch-loop" in word for word in words)


def test_a_worker_that_fails_says_why(tmp_path):
    with pytest.raises(WorkerError, match="ValueError: d_model must be between"):
        Worker(Job("amt.bench.peers.torch_loop", "int8-b1-greedy-4", "int8", 1, "", {"d_model": 1}), {}, timeout_s=60)
    with pytest.raises(WorkerError, match=r"no answer within 0.05 s; allow more with --timeout"):
        Worker(tiny_job("torch_loop", "int8-b1-greedy-4", "int8"), {}, timeout_s=0.05)


def test_a_worker_that_dies_says_how(tmp_path, monkeypatch):
    (tmp_path / "deadly.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(WorkerError, match="killed by SIGKILL"):
        Worker(Job("deadly", "int8-b1-greedy-4", "int8", 1, ""), {}, timeout_s=60)


# The tokenizer


def test_the_tokenizer_has_rows():
    rows = list(measure_tokenizer(CASES, made_files(2), threads=[1, 2], num_rounds=1))
    for one in rows:
        check_schema(one)
    assert {(one.case, one.threads) for one in rows} == {
        ("encode", 1), ("encode-many", 1), ("encode-many", 2), ("write", 1)
    }  # fmt: skip
    ours = [one for one in rows if one.impl.startswith("amt")]
    assert len(ours) == 5 and all(one.error is None and one.tokens_per_s > 0 for one in ours)


# The command


@pytest.fixture
def run(capfd):
    def run(*arguments):
        capfd.readouterr()
        return main(list(arguments)), *capfd.readouterr()

    return run


@pytest.mark.parametrize("suite", ["decode", "tokenizer"])
def test_help(run, suite):
    code, out, _ = run("bench", suite, "--help")
    assert code == 0
    for option in ("--json", "--quick", "--cases", "--threads", "--rounds"):
        assert option in out


def test_the_list(run):
    code, out, _ = run("bench", "decode", "--list")
    assert code == 0 and "int8-b8-beam4-512\n" in out and all(name in out for name in PEERS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["decode", "--cases", "int8-b8-beem4-512"], "as in int8-b8-beam4-512"),
        (["decode", "--impls", "llama"], "there is no implementation 'llama'; choose from engine, reference"),
        (["decode", "--threads", "0"], "--threads must be numbers from 1 to 1024 with commas between, as in 1,2"),
        (["tokenizer", "--cases", "decode"], "there is no case 'decode'; choose from encode, encode-many, write"),
        (["tokenizer", "--threads", "two"], "as in 1,2; got 'two'"),
    ],
)
def test_mistakes_name_the_remedy(run, arguments, message):
    code, out, err = run("bench", *arguments)
    assert (code, out) == (2, "") and err.startswith("amt: ") and err.count("\n") == 1 and message in err


def test_json_of_the_command(run, tmp_path):
    (tmp_path / "a.MID").write_bytes(made_files(1)[0])
    code, out, err = run("bench", "tokenizer", "--json", "--cases", "write", "--rounds", "1", "--files", str(tmp_path))
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert {"cpu", "cores", "packages", "amt"} <= result["machine"].keys()
    assert {one["case"] for one in result["rows"]} == {"write"}
    assert run("bench", "tokenizer", "--files", str(tmp_path / "none"))[0] == 1


def test_peers_are_listed_once():
    names = [implementation.name for implementation in IMPLEMENTATIONS]
    assert len(set(names)) == len(names) and "engine" not in PEERS
