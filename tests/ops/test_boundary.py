"""No call of an op ends the process, hangs or takes memory without end, whatever it is given."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import boundary_calls as calls
import pytest
import torch

from amt.midi.config import TokenizerConfig
from amt.midi.vocabulary import vocabulary_of
from amt.ops import native
from amt.ops.decode import Generation, PromptRows, empty_block

pytestmark = pytest.mark.skipif(not native.is_available(), reason="the op library is not built")
CALLS = Path(__file__).with_name("boundary_calls.py")
KINDS = {"worked", "ValueError", "DecodingError", "MemoryError", "NotImplementedError"}
MANY = (1 << 63) - 1
STEP_IN_BEAT, OWN_AGES = 0, 12  # of the features


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS"), reason="no limit of addresses")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_wrong_calls_are_errors_and_no_crashes(seed):
    run = subprocess.run([sys.executable, str(CALLS), str(seed), "800"], capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-2000:]
    counts = json.loads(run.stdout)
    assert {name.split()[1] for name in counts} <= KINDS
    ops = {name.split()[0] for name in counts}
    assert len(ops) == 16 and all(counts[f"{op} worked"] and counts[f"{op} ValueError"] for op in ops)


@pytest.fixture(scope="module")
def packed():
    return calls.packed_decoder()[0]


def generation(packed, num_threads=1, **changes):
    options = {"mode": "sample", "num_rows": 1, "eos_token_id": 2}
    rows = {name: changes.pop(name) for name in list(changes) if name in PromptRows.__dataclass_fields__}
    vocabulary = changes.pop("vocabulary", calls.VOCABULARY.to_text())
    limits = changes.pop("limits", "")
    return Generation(
        packed, options | changes, [PromptRows(0, [1], **({"max_new_tokens": 5} | rows))], [torch.zeros(2, 2, 2, 3, 8)],
        [None], grammars=(vocabulary, [limits]), num_threads=num_threads, isa="generic",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_new_tokens": MANY}, r"prompt 0 would have 1 \+ 9223372036854775807 tokens; the model takes 24"),
        ({"num_bars": MANY}, "prompt 0 counts 9223372036854775807 bars"),
        ({"first_sequence": 1 << 32}, "prompt 0 counts 4294967296 bars, sequences"),
        ({"min_new_tokens": (1 << 32) + 1}, "min_new_tokens does not fit: 4294967297"),
        ({"eos_token_id": 1 << 32}, "eos_token_id does not fit"),
        ({"temperature": float("nan")}, "temperature must be between .* got nan"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be between"),
        ({"vocabulary": "is_score 0\nmax_time_shift 2000000000\ntempos_bpm 120\n"}, "max_time_shift must be between"),
        ({"vocabulary": "is_score 1\nsteps_per_beat 2000000000\ntempos_bpm 120\n"}, "steps_per_beat must be between"),
        ({"limits": "tempo_min_index -5\n"}, "tempo_min_index must be between 0 and 511, got -5"),
        ({"limits": f"max_steps {MANY}\n"}, "max_steps must be between 1"),
        ({"limits": "programs 129\n"}, "programs must be between 0 and 128, got 129"),
        ({"limits": "pitch_classes 12\n"}, "pitch_classes must be between 0 and 11, got 12"),
        ({"limits": "max_st\0eps 1\n"}, "no control characters"),
    ],
    ids=str,
)  # fmt: skip
def test_numbers_out_of_range_are_refused_by_name(packed, changes, message):
    with pytest.raises(ValueError, match=message):
        generation(packed, **changes)


def test_a_machine_has_no_such_many_threads(packed):
    running = generation(packed, num_threads=1 << 40)
    with pytest.raises(ValueError, match="num_threads must be at most 1024, got 1099511627776"):
        running.run()


def test_what_has_no_search_has_no_results(packed):
    running = Generation(
        packed, {"has_search": False, "num_rows": 1}, [PromptRows(0, [], 20)], [torch.zeros(2, 2, 2, 3, 8)], [None],
        num_threads=1, isa="generic",
    )  # fmt: skip
    for read in (running.read, lambda: running.new_tokens(0)):
        with pytest.raises(ValueError, match="this generation has no search, so it has no results"):
            read()
    assert running.append(torch.ones(1, 2)).shape == (1, 2, 271)


def test_nothing_is_appended_to_a_prompt_that_has_left(packed):
    running = Generation(
        packed, {"has_search": False, "num_rows": 1}, [PromptRows(0, [], 20)], [torch.zeros(2, 2, 2, 3, 8)], [None],
        num_threads=1, isa="generic",
    )  # fmt: skip
    running.leave(0)
    with pytest.raises(ValueError, match="the prompt of this generation has left"):
        running.append(torch.ones(1, 2))


def test_who_joins_keeps_features_of_its_own():
    """As many columns, but other features: rows of one generation have more entries than those of the other."""
    few = TokenizerConfig(max_time_shift=4, num_velocities=8, steps_per_beat=128)  # the step in the beat: 128 columns
    many = TokenizerConfig(max_time_shift=4, num_velocities=8)
    vocab_size = len(vocabulary_of(many))
    draw = torch.Generator().manual_seed(5)
    sizes = calls.SHAPE | {"vocab_size": vocab_size, "num_feature_columns": 128}
    packed = calls.packed_decoder(sizes, lambda size: torch.randn(size, generator=draw))[0]
    assert len(vocabulary_of(few)) == vocab_size

    def begin(config, feature):
        options = {"mode": "sample", "num_rows": 1, "eos_token_id": 2}
        return Generation(
            packed, options, [PromptRows(0, [1, *range(3, 13)], 13, seed=4)], [torch.zeros(2, 2, 2, 3, 8)], [None],
            features=f"{config.to_text()}features {feature}\n", num_threads=1, isa="generic",
        )  # fmt: skip

    alone = begin(many, OWN_AGES)
    alone.run()
    here, guest = begin(few, STEP_IN_BEAT), begin(many, OWN_AGES)
    here.join(guest)
    here.run()
    assert here.read()[1][0].token_ids == alone.read()[0][0].token_ids != here.read()[0][0].token_ids


def test_weights_that_have_lost_their_memory_are_told(packed):
    for is_moved in (False, True):
        mine = empty_block(len(packed)).copy_(packed)
        running = generation(mine)
        running.run(1)
        size = mine.untyped_storage().nbytes()
        mine.untyped_storage().resize_(size * 64 if is_moved else 0)
        with pytest.raises(ValueError, match=r"packed (has moved|has lost its memory|must begin at a multiple of 64)"):
            running.run(1)


def test_strides_are_those_of_the_tensors():
    arguments = calls.attention_tensors(False)
    expected = torch.nn.functional.scaled_dot_product_attention(*arguments[:3], is_causal=True, scale=1.0)
    arguments[0] = arguments[0].transpose(1, 2).contiguous().transpose(1, 2)
    native.ops().native_attention_forward_(*arguments)
    assert torch.allclose(arguments[3], expected, atol=1e-5)
    arguments[4] = arguments[4][:0]
    with pytest.raises(RuntimeError, match="ValueError: lse must be"):
        native.ops().native_attention_forward_(*arguments)


def test_dropout_draws_8_bits():
    arguments = calls.attention_tensors(False)
    options = arguments[-3]
    for threshold, is_known in ((256, True), (257, False)):
        arguments[-3] = [*options[:3], threshold, options[4]]
        if is_known:
            native.ops().native_attention_forward_(*arguments)
        else:
            with pytest.raises(RuntimeError, match="the threshold of dropout must be"):
                native.ops().native_attention_forward_(*arguments)
