"""The engine gives what plain PyTorch gives, alone and in any batch, and says clearly what it will not do."""

import dataclasses
import math
import os
import random
import threading
import types
from types import SimpleNamespace
from unittest import mock

import pytest
import replay
import torch
from random_models import difference, random_case, random_model

import amt
from amt.decoding import generate
from amt.decoding import generate as generate_module
from amt.decoding.backends.engine import Engine
from amt.decoding.checks import one_text
from amt.errors import BackendUnavailableError, DecodingError
from amt.models import MusicTransformer
from amt.named_values import named_values
from amt.ops import native
from amt.ops.decode import DecoderShape, Generation, PromptRows, pack_decoder
from amt.request.options import GenerationConfig
from amt.testing import assert_within_bound

NUM_CASES = 150


@pytest.mark.parametrize("first", range(0, NUM_CASES, 25))
def test_random_models_and_options_equal_plain_pytorch(first):
    different = {seed: found for seed in range(first, first + 25) if (found := difference(random_case(seed)))}
    assert not different


def test_numbers_and_choices_are_held_to_float64():
    """A wrong score, a wrong log-probability and a choice that rounding cannot make are each found out."""
    case = next(
        case
        for case in map(random_case, range(99))
        if case.config.num_beams > 1 and not case.grammar and case.stop_after is None
    )
    engine = Engine(case.model)
    assert difference(case, engine) == ""

    def found(change):
        whole_run = case.run

        def run(decoder):
            (first, *others), *prompts = whole_run(decoder)
            return [[change(first) if decoder is engine else first, *others], *prompts]

        with mock.patch.object(case, "run", run):
            return difference(case, engine)

    def with_log_prob(hypothesis):
        first, *others = hypothesis.token_log_probs
        return dataclasses.replace(hypothesis, token_log_probs=(first + 0.001, *others))

    def with_token(hypothesis):
        return dataclasses.replace(hypothesis, token_ids=(*hypothesis.token_ids[:-1], 3))

    assert "score: error" in found(lambda first: dataclasses.replace(first, score=first.score + 0.1))
    assert "log-probabilities: error 0.001" in found(with_log_prob)
    assert found(with_token)


def test_a_choice_between_equals_may_be_any_of_them():
    logits = torch.zeros(9, dtype=torch.float64)
    logits[5], logits[6], logits[7] = 4.0, 4.0 - 1e-7, 4.0 - 1e-3

    class Table:
        """The same logits whatever came before."""

        config = types.SimpleNamespace(vocab_size=9, max_sequence_length=20)

        def encode(self, text_embeddings, text_mask):
            return text_embeddings

        def start_cache(self, memory, memory_mask):
            return types.SimpleNamespace(select=lambda index: None)

        def decode_step(self, token_ids, cache):
            return logits.expand(*token_ids.shape, -1)

    def search(decoder):
        config = GenerationConfig(do_sample=False, max_new_tokens=1)
        return generate(decoder, torch.zeros(1, 1, 3), None, config)

    steps = logits.log_softmax(-1)[None]
    truth, reference = (replay.Replay(each, each, torch.tensor([5])) for each in (steps, steps.float()))
    for token, is_possible in ((5, True), (6, True), (7, False), (8, False)):
        found = replay.is_within_rounding([[(1, token)]], search, Table(), [(truth, reference)])
        assert found == is_possible, token


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(5)
    model = MusicTransformer(
        53, d_model=48, nhead=3, num_encoder_layers=1, num_decoder_layers=2, dim_feedforward=70, max_sequence_length=60,
        text_embedding_dim=6, norm_first=True, activation="swiglu", positions="rotary",
    ).eval()  # fmt: skip
    with torch.no_grad():
        model.output_weight *= 4.0
    return model


@pytest.fixture(scope="module")
def engine(model):
    return Engine(model)


@pytest.fixture(scope="module")
def prompts():
    torch.manual_seed(6)
    embeddings, mask = torch.randn(64, 5, 6), torch.rand(64, 5) < 0.8
    mask[:, 0] = True
    rng = random.Random(7)
    return embeddings, mask, [[rng.randrange(3, 53) for _ in range(rng.randrange(5))] for _ in range(64)]


CONFIGS = {
    "greedy": GenerationConfig(do_sample=False, max_new_tokens=20),
    "sampling": GenerationConfig(max_new_tokens=20, num_return_sequences=3, top_p=0.9),
    "beams": GenerationConfig(do_sample=False, num_beams=4, num_return_sequences=4, max_new_tokens=20),
    "guided sampling": GenerationConfig(max_new_tokens=20, num_return_sequences=3, top_p=0.9, guidance_scale=2.0),
    "guided beams": GenerationConfig(do_sample=False, num_beams=4, max_new_tokens=20, guidance_scale=1.5),
}
NEGATIVE = torch.linspace(-1, 1, 12).view(1, 2, 6)


def tokens(results):
    return [[hypothesis.token_ids for hypothesis in hypotheses] for hypotheses in results]


def run(engine, prompts, config, chosen, **options):
    embeddings, mask, prefixes = prompts
    return generate(
        engine,
        embeddings[chosen],
        mask[chosen],
        config,
        prefixes=[prefixes[i] for i in chosen],
        seeds=list(chosen),
        negative_embeddings=NEGATIVE,
        **options,
    )


@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_batch_changes_nothing(model, prompts, name, weights):
    engine = Engine(model, weights)
    whole = run(engine, prompts, CONFIGS[name], range(64))
    for size in (1, 2, 3, 7, 13, 33):
        for start in {0, 64 - size}:
            part = run(engine, prompts, CONFIGS[name], range(start, start + size))
            assert part == whole[start : start + size]
    backwards = run(engine, prompts, CONFIGS[name], range(63, -1, -1))
    assert backwards == whole[::-1]


@pytest.mark.parametrize("name", CONFIGS)
def test_threads_change_nothing(model, prompts, name):
    one, three = Engine(model, num_threads=1), Engine(model, num_threads=3)
    assert run(one, prompts, CONFIGS[name], range(9)) == run(three, prompts, CONFIGS[name], range(9))


def test_padding_changes_nothing(engine, prompts):
    embeddings, mask, prefixes = prompts
    wider = torch.cat([embeddings, torch.full((64, 3, 6), 9.0)], 1)
    wider_mask = torch.cat([mask, torch.zeros(64, 3, dtype=torch.bool)], 1)
    narrow = generate(engine, embeddings, mask, CONFIGS["greedy"], prefixes=prefixes)
    assert generate(engine, wider, wider_mask, CONFIGS["greedy"], prefixes=prefixes) == narrow


def test_parts_of_a_run_change_nothing(engine, prompts, monkeypatch):
    whole = run(engine, prompts, CONFIGS["beams"], range(5))
    whole_run = Generation.run
    monkeypatch.setattr(Generation, "run", lambda self, *limits, **is_last: whole_run(self, max_steps=1))
    assert run(engine, prompts, CONFIGS["beams"], range(5)) == whole


@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize(("do_sample", "guidance_scale"), [(False, 1.0), (True, 1.0), (False, 2.0)])
def test_looking_up_what_followed_changes_nothing(model, prompts, do_sample, guidance_scale, weights):
    """Alone, in pairs, and in a batch; the log-probabilities, too."""
    engine = Engine(model, weights)
    options = {"do_sample": do_sample, "max_new_tokens": 45, "temperature": 0.3 if do_sample else 1.0}
    options["guidance_scale"] = guidance_scale
    plain = run(engine, prompts, GenerationConfig(prompt_lookup_num_tokens=0, **options), range(12))
    for lookup, ngram in ((1, 2), (3, 8), (16, 3)):
        config = GenerationConfig(prompt_lookup_num_tokens=lookup, max_matching_ngram_size=ngram, **options)
        for size in (1, 2, 12):
            parts = [run(engine, prompts, config, range(i, i + size)) for i in range(0, 12, size)]
            assert [rows for part in parts for rows in part] == plain


def test_looking_up_saves_passes(engine, prompts):
    """A greedy search that turns in a circle takes several tokens a pass; with three prompts it does not look."""
    embeddings, mask, _ = prompts
    memory = engine.memory_kv(engine.encode(embeddings[:1], mask[:1]).detach()).detach()

    def num_tokens(lookup, num_groups=1, negative_memory=None):
        options = {
            "mode": "greedy", "prompt_lookup_num_tokens": lookup, "eos_token_id": 52, "suppress_tokens": (52,),
            "max_matching_ngram_size": 8, "guidance_scale": 2.0,
        }  # fmt: skip
        groups = [PromptRows(0, [1], 59, negative_memory=negative_memory) for _ in range(num_groups)]
        generation = Generation(engine.packed, options, groups, [memory], [mask[0]])
        return generation.run(max_steps=25)[0]

    assert num_tokens(0) == 25
    assert num_tokens(5) >= 40
    assert num_tokens(5, num_groups=3) == 75
    assert num_tokens(5, negative_memory=0) >= 40
    assert num_tokens(5, num_groups=2, negative_memory=0) == 50


def test_more_drafts_than_there_may_be(engine, prompts):
    memory = engine.memory_kv(engine.encode(prompts[0][:1], prompts[1][:1]).detach()).detach()
    with pytest.raises(ValueError, match="prompt_lookup_num_tokens must be 0 to 64, got 65"):
        Generation(
            engine.packed, {"mode": "greedy", "prompt_lookup_num_tokens": 65}, [PromptRows(0, [1], 9)], [memory], [None]
        )


def test_new_tokens_are_those_of_the_result(engine, prompts):
    generation = start(engine, prompt=PromptRows(0, [1, 7], 50))
    found = []
    while not generation.run(max_steps=1)[1]:
        found += generation.new_tokens(len(found))
    found += generation.new_tokens(len(found))
    ((row,),) = generation.read()
    assert [token for token, _ in found] == list(row.token_ids[2:])
    assert [log_prob for _, log_prob in found] == list(row.log_probs)
    assert generation.new_tokens(len(found)) == []


@pytest.mark.parametrize("name", ["greedy", "sampling"])
def test_a_streamer_gets_the_tokens_of_the_run(engine, prompts, name):
    class Streamer:
        def __init__(self):
            self.sequences, self.current = [], []

        def put(self, value):
            self.current += value.flatten().tolist()

        def end(self):
            self.sequences.append(tuple(self.current))
            self.current = []

    streamer = Streamer()
    results = run(engine, prompts, CONFIGS[name], range(3), streamer=streamer)
    assert results == run(engine, prompts, CONFIGS[name], range(3))
    assert streamer.sequences == [ids for row in tokens(results) for ids in row]


@pytest.mark.parametrize("name", CONFIGS)
def test_parts_that_only_python_knows_run_over_the_engine(engine, model, prompts, name):
    calls = []

    def prefer_even(token_ids, scores):
        calls.append(token_ids.shape)
        scores = scores.clone()
        scores[:, ::2] += 0.5
        return scores

    theirs = run(engine, prompts, CONFIGS[name], range(3), logits_processor=[prefer_even])
    assert calls
    embeddings, mask, prefixes = prompts
    ours = generate(
        model, embeddings[:3], mask[:3], CONFIGS[name], prefixes=prefixes[:3], seeds=[0, 1, 2],
        logits_processor=[prefer_even], negative_embeddings=NEGATIVE,
    )  # fmt: skip
    assert tokens(theirs) == tokens(ours)


def test_guidance_reads_the_negative_text(engine, prompts):
    config = CONFIGS["guided sampling"]
    guided = run(engine, prompts, config, range(4))
    assert tokens(guided) != tokens(run(engine, prompts, CONFIGS["sampling"], range(4)))
    embeddings, mask, prefixes = prompts
    options = {"prefixes": prefixes[:4], "seeds": range(4)}
    masked = torch.cat([NEGATIVE, torch.full((1, 3, 6), 9.0)], 1)
    again = generate(
        engine,
        embeddings[:4],
        mask[:4],
        config,
        negative_embeddings=masked,
        negative_mask=torch.arange(5)[None] < 2,
        **options,
    )
    assert again == guided
    other = generate(engine, embeddings[:4], mask[:4], config, negative_embeddings=-NEGATIVE, **options)
    assert tokens(other) != tokens(guided)


def test_the_engine_really_runs(engine, prompts, model, monkeypatch):
    monkeypatch.setattr(model, "decode_step", None)  # what plain PyTorch needs
    monkeypatch.setattr(generate_module, "decode_one", None, raising=False)
    assert run(engine, prompts, CONFIGS["greedy"], range(2))
    assert engine.label == f"engine float32 {native.chosen_kernel_set()}"


def logits_of(model, isa, weights="float32"):
    engine = Engine(model, weights, isa=isa)
    memory = torch.linspace(-1, 1, 4 * model.config.d_model).view(1, 4, -1)
    cache = engine.start_cache(memory, None)
    return engine, cache.append(torch.arange(3, 23)[None]).double()


@pytest.mark.parametrize("isa", native.kernel_sets() if native.is_available() else [])
def test_every_instruction_set_agrees(model, isa):
    engine, logits = logits_of(model, isa)
    assert engine.label.endswith(isa)
    memory = torch.linspace(-1, 1, 4 * model.config.d_model).view(1, 4, -1)
    ids = torch.arange(3, 23)[None]
    with torch.no_grad():
        reference = model.decode(ids, memory)
        model.double()
        truth = model.decode(ids, memory.double())
        model.float()
    assert_within_bound(logits.float(), truth, reference)


@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8"])
def test_vector_sets_with_fused_products_agree_to_the_bit(model, weights):
    sets = [isa for isa in native.kernel_sets() if isa != "generic"]
    results = [logits_of(model, isa, weights)[1] for isa in sets]
    assert all(torch.equal(result, results[0]) for result in results)


def test_the_environment_names_an_instruction_set(model, monkeypatch):
    monkeypatch.setenv("AMT_CPU_ISA", "generic")
    assert Engine(model).label == "engine float32 generic"
    monkeypatch.setenv("AMT_CPU_ISA", "abacus")
    with pytest.raises(BackendUnavailableError, match="AMT_CPU_ISA is 'abacus'; here there are generic"):
        Engine(model)


@pytest.mark.parametrize(("weights", "bound"), [("bfloat16", 0.02), ("int8", 0.05)])
def test_small_weights_stay_close(weights, bound):
    """Of the logits' spread; what this means for music is measured by `amt eval --parts loss --weights`."""
    model = random_model(random.Random(3), 100)
    memory = torch.randn(1, 4, model.config.d_model)
    ids = torch.arange(3, 40)[None]
    exact = Engine(model).start_cache(memory, None).append(ids)
    rounded = Engine(model, weights).start_cache(memory, None).append(ids)
    error = (rounded - exact).pow(2).mean().sqrt() / exact.std()
    assert 0 < error <= bound


def test_scoring_the_tokens_again_gives_the_same_log_probs(engine, model, prompts):
    (hypothesis,) = run(engine, prompts, CONFIGS["greedy"], range(1))[0]
    embeddings, mask, prefixes = prompts
    prefix_len = len(prefixes[0]) + 1
    last = int(mask[0].nonzero()[-1]) + 1
    memory_mask = mask[:1, :last]
    memory = engine.encode(embeddings[:1, :last], None if memory_mask.all() else memory_mask).detach()
    cache = engine.start_cache(memory, None if memory_mask.all() else memory_mask)
    ids = torch.tensor([hypothesis.token_ids])
    log_probs = cache.append(ids[:, :-1]).log_softmax(-1)[0, prefix_len - 1 :]
    text = one_text(embeddings, mask, 0)
    truth, reference = (
        replay.replay(each, text, [hypothesis], prefix_len, CONFIGS["greedy"])[0]
        for each in (replay.in_float64(model), model)
    )
    assert_within_bound(log_probs, truth.log_probs, reference.log_probs)
    assert replay.wrong_number(hypothesis, truth, reference, CONFIGS["greedy"]) == ""


def test_nan_weights_are_refused_before_anything_runs(model):
    shape, tensors = model.decoder_weights()
    tensors = [tensor.clone() for tensor in tensors]
    tensors[5][3] = math.nan
    with pytest.raises(ValueError, match="weight tensor 5 has NaN or infinity at 3; the model is damaged"):
        pack_decoder(shape, tensors, "float32")


def test_nan_logits_name_the_step():
    model = random_model(random.Random(1), 16)
    with torch.no_grad():
        model.token_embedding.weight[7] = 3e38  # finite, and too large for the layers
    engine = Engine(model)
    with pytest.raises(DecodingError, match="at step 0"):
        generate(engine, torch.randn(1, 2, 6), None, CONFIGS["greedy"], prefixes=[[7]])


BAD_SHAPES = {
    "layers": ({"num_layers": 3}, "these weights have"),
    "width": ({"d_model": 50}, "d_model must be a multiple"),
    "vocabulary": ({"vocab_size": 54}, "weight tensor 0 has"),
    "huge": ({"d_model": 1 << 40}, "d_model must be between"),
}


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_wrong_shapes_are_refused(model, name):
    changes, message = BAD_SHAPES[name]
    shape, tensors = model.decoder_weights()
    with pytest.raises(ValueError, match=message):
        pack_decoder(DecoderShape(**vars(shape) | changes), tensors, "float32")


def start(engine, memory=None, prompt=None, mask=None, grammars=None, **options):
    memory = torch.zeros(2, 2, 3, 4, 16) if memory is None else memory
    return Generation(
        engine.packed,
        {"mode": "greedy"} | options,
        [prompt or PromptRows(0, [1], 5)],
        [memory],
        [mask],
        grammars=grammars,
    )


BAD_CALLS = {
    "memory shape": ({"memory": torch.zeros(2, 2, 3, 4, 8)}, "memory 0 must be"),
    "memory too long": ({"memory": torch.zeros(2, 2, 3, 61, 16)}, "a memory of 61 positions; the model takes 1 to 60"),
    "mask": ({"mask": torch.ones(3, dtype=torch.bool)}, "the mask of memory 0 has another length"),
    "too long": ({"prompt": PromptRows(0, [1, 5], 59)}, "prompt 0 would have 2 \\+ 59 tokens; the model takes 60"),
    "no prefix": ({"prompt": PromptRows(0, [], 5)}, "prompt 0 has no prefix, not even bos"),
    "token": ({"prompt": PromptRows(0, [1, 53], 5)}, "prompt 0 has token 53 in its prefix; ids are 0 to 52"),
    "memory number": ({"prompt": PromptRows(1, [1], 5)}, "prompt 0 has no memory"),
    "negative memory": ({"prompt": PromptRows(0, [1], 5, negative_memory=1)}, "prompt 0 has no negative memory"),
    "rows": ({"mode": "beams", "num_rows": 65}, "the engine runs 1 to 64 rows of a prompt, got 65"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_wrong_calls_are_refused(engine, name):
    changes, message = BAD_CALLS[name]
    with pytest.raises(ValueError, match=message):
        start(engine, **changes)


def test_bytes_of_something_else_are_refused(engine):
    other = SimpleNamespace(packed=torch.zeros_like(engine.packed))
    with pytest.raises(ValueError, match="not packed decoder weights"):
        start(other)


def test_a_generation_that_is_none_is_refused(engine):
    generation = start(engine)
    generation._number += 1 << 40
    with pytest.raises(ValueError, match="there is no generation"):
        generation.run()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tok_k": 3}, "tok_k is not a setting that is known here"),
        ({"top_k": 1 << 40}, "top_k does not fit: 1099511627776"),
        ({"top_k": 0.5}, "top_k must be a whole number, got 0.5"),
        ({"mode": "guess"}, "mode is none of its values: guess"),
        ({"suppress_tokens": (53,)}, "a suppressed token is no token"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(engine, options, message):
    with pytest.raises(ValueError, match=message):
        start(engine, **options)


def test_a_grammar_that_cannot_be_is_refused_by_name(engine):
    config = amt.TokenizerConfig()
    wrong = {"programs 129": "programs must be between 0 and 128", "pitch 3": "pitch is not a setting"}
    for constraints, message in wrong.items():
        with pytest.raises(ValueError, match=message):
            start(engine, grammars=(config.to_text(), [constraints]))


def test_two_threads_cannot_run_one_generation(engine):
    generation = start(engine, prompt=PromptRows(0, [1], 50))
    lock_held, results = threading.Barrier(2), []

    def work():
        lock_held.wait()
        for _ in range(200):
            try:
                generation.run(max_steps=1)
            except ValueError as error:
                results.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("at work in another thread" in message for message in results)


def test_a_fork_goes_on_with_threads_of_its_own(model, prompts):
    """What a process inherits has lost its threads."""
    generation = start(Engine(model), prompt=PromptRows(0, [1], 50))
    generation.num_threads = 2
    generation.run(max_steps=3)
    child = os.fork()
    if child == 0:
        os._exit(0 if generation.run(max_steps=5)[0] > 3 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_weights_of_no_known_type_are_refused(model):
    with pytest.raises(ValueError, match="dtype must be one of float32, bfloat16, int8; got 'int4'"):
        Engine(model, "int4")


def test_opcheck(engine):
    generation, ops = start(engine), native.ops()
    number = generation._number
    progress = torch.zeros(7, dtype=torch.int64)
    torch.library.opcheck(ops.generation_run_.default, (number, progress, 1, 2, 1000, False, "generic"))
    outputs = torch.zeros(1, 1, 3, dtype=torch.int64), torch.zeros(1, 1, 6, dtype=torch.int32)
    more = torch.zeros(1, 1, 6), torch.zeros(1, 1, dtype=torch.float64)
    torch.library.opcheck(ops.generation_read_.default, (number, *outputs, *more))
    model = random_model(random.Random(2), 16)
    shape, tensors = model.decoder_weights()
    text = named_values({**dataclasses.asdict(shape), "dtype": "int8"})
    packed = torch.zeros(ops.packed_decoder_bytes(text), dtype=torch.uint8)
    torch.library.opcheck(ops.pack_decoder_.default, (packed, text, [tensor.detach() for tensor in tensors]))


def test_many_cancelled_runs_leave_memory_where_it_was(engine, prompts):
    def resident_kib():
        return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])

    embeddings, mask, _ = prompts
    memory = engine.memory_kv(engine.encode(embeddings[:1], mask[:1]).detach()).detach()

    def begin_and_drop():
        options = {"mode": "sample", "num_rows": 2}
        Generation(engine.packed, options, [PromptRows(0, [1], 50)], [memory], [mask[0]]).run(max_steps=2)

    for _ in range(100):
        begin_and_drop()
    before = resident_kib()
    for _ in range(1000):
        begin_and_drop()
    assert resident_kib() - before < 4096


def test_generate_uses_the_engine_and_names_it():
    piece = amt.generate("a lively jig", seed=3, max_new_tokens=40)
    assert piece.backend == f"engine float32 {native.chosen_kernel_set()}"
    plain = amt.generate("a lively jig", seed=3, max_new_tokens=40, backend="plain")
    assert plain.backend == "plain PyTorch"
    assert piece.tokens == plain.tokens
