"""Going on with a generation: what a fresh one would do with the same prefixes, without reading them again."""

import dataclasses
import random

import pytest
import torch
from random_models import random_case

from amt.decoding.backends import choose
from amt.decoding.backends.engine import Engine
from amt.decoding.deadline import Deadline
from amt.decoding.generate import finished, make_request
from amt.errors import DecodingError
from amt.ops.decode import Generation, PromptRows
from amt.request.request import Before

MAX_LEN = 40  # of all random models


def as_request(case, decoder):
    """The request of a case, without beams."""
    config = dataclasses.replace(case.config, num_beams=1, max_time=None)
    request = make_request(
        decoder, case.embeddings, case.mask, config, negative_embeddings=case.negative, prefixes=case.prefixes,
        seeds=case.seeds, grammar=case.grammar,
    )  # fmt: skip
    prompts = [dataclasses.replace(prompt, num_bars=case.num_bars) for prompt in request.prompts]
    return dataclasses.replace(request, prompts=tuple(prompts))


def in_parts(case, prompt, prefix, num_new, first_sequence):
    """A prompt that goes on with `prefix`; there is room for as many tokens as the model has."""
    new = prefix[len(prompt.prefix) :]
    history, num_before = (prompt.prefix, 0) if case.before is None else (case.before.history, case.before.num_tokens)
    return dataclasses.replace(
        prompt,
        prefix=prefix,
        max_new_tokens=num_new,
        room=MAX_LEN - len(prefix),
        first_sequence=first_sequence,
        before=Before(history + new, num_before + len(new), 1000),
    )


def compared(seed, dtype="float32", isa=None):
    """How many prompts went on, each compared with a fresh start."""
    case = random_case(seed)
    if case.config.num_beams > 1:
        return 0
    rng = random.Random(f"restart {seed}")
    engine = Engine(case.model, dtype, isa=isa, num_threads=rng.choice([1, 2]))
    request = as_request(case, engine)
    choice = choose(engine, request, backend="plain")
    deadline = Deadline(None)
    begun = [in_parts(case, each, each.prefix, rng.randint(1, 9), 0) for each in request.prompts]
    count = 0
    try:
        state = choice.start(dataclasses.replace(request, prompts=tuple(begun)), deadline)
        results = finished(state)
        for _ in range(4):
            asked = {}
            for index, prompt in enumerate(request.prompts):
                kept = rng.choice([each.token_ids for each in results[index] if each.finish_reason == "length"] or [()])
                # On from the end of a row, again from where it began, or from anywhere in between.
                length = rng.choice([len(kept), len(begun[index].prefix), rng.randint(1, max(1, len(kept)))])
                prefix = kept[: max(length, len(prompt.prefix))] if kept else begun[index].prefix
                room = MAX_LEN - len(prefix)
                if rng.random() < 0.8 and room > 0:
                    new = in_parts(case, prompt, prefix, rng.randint(1, min(room, 9)), rng.choice([0, 7]))
                    asked[index] = begun[index] = new
            if not asked:
                continue
            assert state.go_on(asked)
            fresh = choice.start(dataclasses.replace(request, prompts=tuple(asked.values())), deadline)
            expected, found = finished(fresh), finished(state)
            for index, rows in zip(asked, expected, strict=True):
                assert found[index] == rows, f"case {seed}, prompt {index}"
                results[index] = rows
                count += 1
    except DecodingError:
        pass  # both would end so; what was compared before counts
    return count


def test_it_equals_a_fresh_start():
    assert sum(compared(seed) for seed in range(120)) > 150


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_it_equals_a_fresh_start_in_few_bits(dtype):
    assert sum(compared(seed, dtype) for seed in range(40)) > 40


@pytest.fixture(scope="module")
def packed():
    torch.manual_seed(0)
    return Engine(random_case(3).model)


def begun(engine, mode="sample", **prompt):
    shape = engine.shape
    size = (shape.cross_attention_layers or shape.num_layers, 2, shape.num_heads, 3, shape.d_model // shape.num_heads)
    return Generation(
        engine.packed, {"mode": mode, "num_rows": 2}, [PromptRows(0, [1, 3], 4, **prompt)], [torch.zeros(size)], [None],
        features=engine.features,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, [1, 3], 4), "there is no prompt 1"),
        ((-1, [1, 3], 4), "there is no prompt -1"),
        ((0, [], 4), "prompt 0 would have 0 \\+ 4 tokens; there is room for 1 to 12"),
        ((0, [1, 3], 0), "prompt 0 would have 2 \\+ 0 tokens"),
        ((0, [1, 3], 11), "prompt 0 would have 2 \\+ 11 tokens; there is room for 1 to 12"),
        ((0, [1, 3], 1 << 62), "there is room for 1 to 12"),
        ((0, [1, 9999], 4), "prompt 0 has token 9999 in its prefix"),
        ((0, [1, -1], 4), "prompt 0 has token -1 in its prefix"),
    ],
)
def test_what_does_not_fit_is_refused(packed, arguments, message):
    running = begun(packed, room=10)
    running.run()
    before = running.read()
    with pytest.raises(ValueError, match=message):
        running.restart(*arguments)
    assert running.read() == before


def test_counts_are_counted(packed):
    running = begun(packed)
    running.run()
    for name in ("first_sequence", "num_before", "tokens_left"):
        for number in (-1, 1 << 31):
            with pytest.raises(ValueError, match=f"prompt 0 counts {number}"):
                running.restart(0, [1, 3], 2, **{name: number})


def test_only_what_has_ended_begins_anew(packed):
    running = begun(packed)
    running.run(1)
    with pytest.raises(ValueError, match="prompt 0 has not ended well"):
        running.restart(0, [1], 2)
    beams = begun(packed, mode="beams")
    beams.run()
    with pytest.raises(ValueError, match="only greedy search and sampling can begin anew"):
        beams.restart(0, [1], 2)


def test_room_is_no_more_than_the_model_has(packed):
    with pytest.raises(ValueError, match=r"prompt 0 would have room for 2 \+ 1000 tokens; the model takes 40"):
        begun(packed, room=1000)
