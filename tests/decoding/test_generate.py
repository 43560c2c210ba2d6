import copy
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import replay
import torch
from transformers import (
    LogitNormalization,
    LogitsProcessorList,
    MaxLengthCriteria,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteriaList,
    SuppressTokensLogitsProcessor,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
)
from transformers.generation import BaseStreamer
from transformers.modeling_outputs import CausalLMOutput

from amt.decoding import generate
from amt.decoding.checks import one_text
from amt.errors import DecodingError
from amt.models import MusicTransformer
from amt.request.options import GenerationConfig
from amt.testing import error_bound

VOCAB_SIZE = 11
EOS = 2
OPEN, CLOSE, NOTE = 3, 4, 5

GREEDY = GenerationConfig(do_sample=False, max_new_tokens=12)
BEAMS = GenerationConfig(do_sample=False, num_beams=3, num_return_sequences=2, max_new_tokens=12)
SAMPLING = GenerationConfig(seed=7, temperature=1.5, top_p=0.95, num_return_sequences=2, max_new_tokens=12)
STRATEGIES = pytest.mark.parametrize("config", [GREEDY, BEAMS, SAMPLING], ids=["greedy", "beams", "sampling"])


class Brackets:
    """bos, then OPEN, CLOSE and NOTE with at most three open, all closed before eos."""

    def __init__(self):
        self.ids = []

    @property
    def depth(self):
        return self.ids.count(OPEN) - self.ids.count(CLOSE)

    def allowed(self, remaining=None):
        mask = np.zeros(VOCAB_SIZE, bool)
        if not self.ids:
            mask[1] = True
        elif self.ids[-1] != EOS:
            room = 1000 if remaining is None else remaining - 1
            mask[OPEN] = self.depth < 3 and self.depth + 2 <= room
            mask[CLOSE] = self.depth > 0
            mask[NOTE] = self.depth > 0 and self.depth + 1 <= room
            mask[EOS] = self.depth == 0
        return mask

    def advance(self, token_id):
        if not self.allowed()[token_id]:
            raise ValueError(f"token {token_id} is not legal here")
        self.ids.append(token_id)

    def copy(self):
        return copy.deepcopy(self)


BRACKETS = SimpleNamespace(start=Brackets)


@pytest.fixture(scope="module")
def table(tables):
    return tables.Model(VOCAB_SIZE, seed=1, sharpness=1.0)


@pytest.fixture(scope="module")
def music_model():
    torch.manual_seed(3)
    model = MusicTransformer(
        29,
        d_model=24,
        nhead=2,
        num_encoder_layers=2,
        num_decoder_layers=2,
        dim_feedforward=40,
        max_sequence_length=32,
        text_embedding_dim=10,
    )
    with torch.no_grad():
        model.output_weight.mul_(4)  # fresh weights say nothing; make them choose
    return model


@pytest.fixture(scope="module")
def prompts():
    """Text embeddings (5, 7, 10) of different lengths, and their mask."""
    embeddings = torch.randn(5, 7, 10, generator=torch.Generator().manual_seed(11))
    lengths = torch.tensor([7, 1, 4, 2, 5])
    return embeddings, torch.arange(7)[None] < lengths[:, None]


def run(model, config, num_prompts=2, **options):
    return generate(model, model.prompts(num_prompts), None, config, **options)


def flat(results):
    return [hypothesis for hypotheses in results for hypothesis in hypotheses]


def ids_of(results):
    return [[h.token_ids for h in hypotheses] for hypotheses in results]


# Meaning


@STRATEGIES
def test_what_a_hypothesis_says(table, config):
    results = run(table, config)
    assert [len(hypotheses) for hypotheses in results] == [config.num_return_sequences] * 2
    for hypothesis in flat(results):
        assert hypothesis.token_ids[0] == 1
        assert len(hypothesis.token_ids) == 1 + hypothesis.num_new_tokens
        assert (hypothesis.finish_reason == "eos") == (hypothesis.token_ids[-1] == EOS)
        assert EOS not in hypothesis.token_ids[:-1]
        assert hypothesis.finish_reason == "eos" or hypothesis.num_new_tokens == 12
        assert hypothesis.seed == config.seed
        if config.num_beams == 1:
            assert hypothesis.score == sum(hypothesis.token_log_probs)


@pytest.mark.parametrize("num_beams", [1, 2, 4])
def test_real_model_equals_transformers(tables, music_model, prompts, num_beams):
    embeddings, mask = prompts
    config = GenerationConfig(
        do_sample=False,
        num_beams=num_beams,
        num_return_sequences=num_beams,
        max_new_tokens=15,
        repetition_penalty=1.2,
        no_repeat_ngram_size=4,
        min_new_tokens=3,
    )
    music_model.eval()

    def next_logits(input_ids, prompt):
        return music_model(embeddings[prompt], input_ids, mask[prompt])[:, -1]

    expected = tables.run_transformers(next_logits, 29, torch.arange(5), [[1]] * 5, config)
    result = generate(music_model, embeddings, mask, config)
    assert ids_of(result) == [[ids for ids, _ in pairs] for pairs in expected]
    exact = replay.in_float64(music_model)
    for index, (hypotheses, pairs) in enumerate(zip(result, expected, strict=True)):
        text = one_text(embeddings, mask, index)
        replays = [replay.replay(model, text, hypotheses, 1, config) for model in (exact, music_model)]
        for hypothesis, (_, score), *scored in zip(hypotheses, pairs, *replays, strict=True):
            assert replay.wrong_number(hypothesis, *scored, config) == ""
            if score is not None:
                theirs = dataclasses.replace(hypothesis, score=score)
                assert replay.wrong_number(theirs, *scored, config) == ""


@STRATEGIES
def test_teacher_forcing_gives_the_same_log_probs(music_model, prompts, config):
    embeddings, mask = prompts
    music_model.eval()
    exact = replay.in_float64(music_model)
    results = generate(music_model, embeddings, mask, config, prefixes=[[1, 5, 6]] * 5)
    for index, hypotheses in enumerate(results):
        text = one_text(embeddings, mask, index)
        replays = [replay.replay(model, text, hypotheses, 3, config) for model in (exact, music_model)]
        for hypothesis, *scored in zip(hypotheses, *replays, strict=True):
            assert replay.wrong_number(hypothesis, *scored, config) == ""


# Invariance


@STRATEGIES
def test_alone_or_in_any_batch(music_model, prompts, config):
    embeddings, mask = prompts
    prefixes = [[1], [1, 7], [], [8, 9, 10], [1, 3]]
    together = generate(music_model, embeddings, mask, config, prefixes=prefixes)
    order = [3, 0, 4, 2, 1]
    shuffled = generate(music_model, embeddings[order], mask[order], config, prefixes=[prefixes[i] for i in order])
    assert shuffled == [together[i] for i in order]
    for index in range(5):
        length = int(mask[index].sum())
        alone = embeddings[index : index + 1, :length]
        assert generate(music_model, alone, None, config, prefixes=prefixes[index : index + 1]) == [together[index]]


@STRATEGIES
def test_any_number_of_threads(music_model, prompts, config):
    num_threads = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(generate(music_model, *prompts, config))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(num_threads)
    assert results[0] == results[1] == results[2]


def test_the_global_generator_is_not_touched(table):
    state = torch.get_rng_state()
    first = run(table, SAMPLING)
    torch.manual_seed(99)
    assert run(table, SAMPLING) == first
    torch.set_rng_state(state)


def test_sampling_goes_on_where_it_stopped(table):
    config = GenerationConfig(seed=3, max_new_tokens=12, min_new_tokens=12)
    no_pad = [SuppressTokensLogitsProcessor([0])]
    whole = run(table, config, logits_processor=no_pad)
    begun = [list(h[0].token_ids[:6]) for h in whole]
    shorter = GenerationConfig(seed=3, max_new_tokens=7, min_new_tokens=7)
    rest = run(table, shorter, prefixes=begun, logits_processor=no_pad)
    assert ids_of(rest) == ids_of(whole)


def test_seeds(table):
    config = GenerationConfig(num_return_sequences=3, max_new_tokens=12)
    first, second = run(table, config, seeds=[5, 1 << 60])
    assert [h.seed for h in first + second] == [5] * 3 + [1 << 60] * 3
    assert len({h.token_ids for h in first}) == 3
    fresh = run(table, config)
    again = run(table, config, seeds=[hypotheses[0].seed for hypotheses in fresh])
    assert again == fresh
    assert fresh[0][0].seed != fresh[1][0].seed


# Lengths and prefixes


@STRATEGIES
def test_prefixes_of_several_lengths(table, config):
    results = run(table, config, num_prompts=3, prefixes=[[], [1, 6, 7], [8]])
    for hypotheses, prefix in zip(results, [(1,), (1, 6, 7), (1, 8)], strict=True):
        for hypothesis in hypotheses:
            assert hypothesis.token_ids[: len(prefix)] == prefix
            assert len(hypothesis.token_ids) == len(prefix) + hypothesis.num_new_tokens


@STRATEGIES
def test_new_tokens_are_cut_to_what_fits(tables, config):
    model = tables.Model(VOCAB_SIZE, seed=1, max_sequence_length=6)
    endless = SuppressTokensLogitsProcessor([EOS])
    for hypotheses in run(model, config, prefixes=[[1, 5, 5], [1]], logits_processor=[endless]):
        assert {len(h.token_ids) for h in hypotheses} == {6}
        assert {h.finish_reason for h in hypotheses} == {"length"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prefixes": [[1]]}, "prefixes must have one entry per prompt, 2, got 1"),
        ({"seeds": [1, 2, 3]}, "seeds must have one entry"),
        ({"seeds": [1, -1]}, "seeds must be between"),
        ({"prefixes": [[1], [1, 11]]}, "prefix 1 has token 11 at position 1"),
        ({"prefixes": [[1], [1, 5, EOS]]}, "prefix 1 has eos at position 2"),
        ({"prefixes": [[0], [1]]}, "prefix 0 has pad at position 1"),
        ({"prefixes": [[1], [5] * 63]}, "prefix 1 has 64 tokens, bos included, and the model takes 64"),
        ({"grammar": BRACKETS, "prefixes": [[1], [1, 5]]}, "prefix 1 breaks the grammar at position 1: token 5"),
    ],
)
def test_bad_options(table, options, message):
    with pytest.raises(ValueError, match=message):
        run(table, GREEDY, **options)


@pytest.mark.parametrize("config", [GREEDY, SAMPLING], ids=["greedy", "sampling"])
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_guidance_equals_transformers(table, config, scale):
    """The processor of `transformers` over the same model, which reads prompt 3 there."""

    def model(input_ids, **options):
        return CausalLMOutput(logits=torch.stack([table.logits_of(3, ids) for ids in input_ids.tolist()])[:, None])

    start = torch.tensor([[1]])
    negative = table.prompts(4)[3:]
    for index in range(3):
        text = table.prompts(4)[index : index + 1]
        for seed in (1, 2, 3):
            one = dataclasses.replace(config, num_return_sequences=1)
            theirs = UnbatchedClassifierFreeGuidanceLogitsProcessor(scale, model, start, use_cache=False)
            expected = generate(table, text, None, one, seeds=[seed], logits_processor=[theirs])
            guided = dataclasses.replace(one, guidance_scale=scale)
            result = generate(table, text, None, guided, seeds=[seed], negative_embeddings=negative)
            assert ids_of(result) == ids_of(expected)
            assert result[0][0].token_log_probs == expected[0][0].token_log_probs  # of the model, after the text


def test_guided_beams_sum_guided_scores(table):
    config = dataclasses.replace(BEAMS, guidance_scale=2.0, length_penalty=0.0)
    (hypotheses,) = generate(table, table.prompts(1), None, config, negative_embeddings=table.prompts(4)[3:])
    for hypothesis in hypotheses:
        steps = {torch.float64: [], torch.float32: []}  # the guided scores of all tokens
        for length in range(1, len(hypothesis.token_ids)):
            before = hypothesis.token_ids[:length]
            for dtype, scores in steps.items():
                own, negative = (table.logits_of(key, before).to(dtype).log_softmax(-1) for key in (0, 3))
                scores.append(negative + 2 * (own - negative))
        truth, reference = (torch.stack(scores) for scores in steps.values())
        score = sum(float(row[token]) for row, token in zip(truth, hypothesis.token_ids[1:], strict=True))
        assert abs(hypothesis.score - score) <= len(truth) * error_bound(truth, reference)


def test_bad_negative_texts(table):
    config = dataclasses.replace(GREEDY, guidance_scale=2.0)
    for negative, message in (
        (None, "guidance_scale 2 needs negative_embeddings"),
        (torch.zeros(2, 3, 3), r"negative_embeddings must be \(1, text_len, embedding\), got \(2, 3, 3\)"),
        (torch.zeros(1, 3, 4), "negative_embeddings have 4 numbers a position, text_embeddings 3"),
        (torch.zeros(1, 65, 3), "the negative text: prompt 0 has 65 text positions"),
    ):
        with pytest.raises(ValueError, match=message):
            run(table, config, negative_embeddings=negative)


def test_bad_prompts(table):
    with pytest.raises(ValueError, match="text_embeddings must be"):
        generate(table, torch.zeros(2, 3), None, GREEDY)
    with pytest.raises(ValueError, match="text_mask must be bool"):
        generate(table, torch.zeros(2, 3, 4), torch.ones(2, 3), GREEDY)
    with pytest.raises(ValueError, match="prompt 0 has 65 text positions"):
        generate(table, torch.zeros(1, 65, 4), None, GREEDY)
    mask = torch.arange(65)[None] < 3
    assert len(generate(table, torch.zeros(1, 65, 4), mask, GREEDY)) == 1  # padding does not count
    assert generate(table, torch.zeros(0, 3, 4), None, GREEDY) == []


def test_length_penalty_beyond_float32(table):
    config = GenerationConfig(do_sample=False, num_beams=2, length_penalty=100.0)
    with pytest.raises(ValueError, match="length_penalty 100 overflows"):
        run(table, config)


# Grammar and rules


@STRATEGIES
@pytest.mark.parametrize("max_new_tokens", [3, 6, 12])
def test_grammar_holds_and_closes_in_time(table, config, max_new_tokens):
    values = config.to_dict() | {"max_new_tokens": max_new_tokens}
    results = run(table, GenerationConfig.from_dict(values), num_prompts=4, grammar=BRACKETS)
    for hypothesis in flat(results):
        state = Brackets()
        for token in hypothesis.token_ids:
            state.advance(token)
        assert hypothesis.finish_reason == "eos"


@pytest.mark.parametrize("num_beams", [1, 3])
def test_grammar_wins_over_bans(table, num_beams):
    # Behind bos only OPEN and eos are legal; the last of 3 tokens must be eos; no token may repeat.
    config = GenerationConfig(
        do_sample=False, num_beams=num_beams, max_new_tokens=3, min_new_tokens=3, no_repeat_ngram_size=1
    )
    (hypothesis,), _ = run(table, config, grammar=BRACKETS)
    assert hypothesis.token_ids == (1, OPEN, CLOSE, EOS)
    # OPEN is banned as a repeat and eos as too early: the first ban is lifted, so that eos still waits.
    (hypothesis,), _ = run(table, config, grammar=BRACKETS, prefixes=[[1, OPEN, CLOSE]] * 2)
    assert hypothesis.token_ids == (1, OPEN, CLOSE, OPEN, CLOSE, EOS)


@STRATEGIES
def test_a_processor_cannot_bring_back_what_is_not_legal(table, config):
    def everything(input_ids, scores):
        return torch.zeros_like(scores)

    for hypothesis in flat(run(table, config, grammar=BRACKETS, logits_processor=[everything])):
        assert set(hypothesis.token_ids) <= {1, EOS, OPEN, CLOSE, NOTE}


def test_grammar_of_another_vocabulary(tables):
    with pytest.raises(ValueError, match="the grammar knows 11 tokens, the model has 12"):
        run(tables.Model(12, seed=0), GREEDY, grammar=BRACKETS)


@STRATEGIES
def test_transformers_processors_and_criteria(table, config):
    processors = LogitsProcessorList([SuppressTokensLogitsProcessor([EOS, 7]), LogitNormalization()])
    criteria = StoppingCriteriaList([MaxLengthCriteria(4)])
    for hypothesis in flat(run(table, config, logits_processor=processors, stopping_criteria=criteria)):
        assert len(hypothesis.token_ids) == 4
        assert hypothesis.finish_reason == "stopped"
        assert not {EOS, 7} & set(hypothesis.token_ids)


def test_a_processor_takes_the_place_of_its_own_kind(table):
    config = GenerationConfig(do_sample=False, max_new_tokens=12, repetition_penalty=50.0, no_repeat_ngram_size=1)
    mild = [RepetitionPenaltyLogitsProcessor(1.1), NoRepeatNGramLogitsProcessor(3)]
    expected = GenerationConfig(do_sample=False, max_new_tokens=12, repetition_penalty=1.1, no_repeat_ngram_size=3)
    assert run(table, config, num_prompts=4, logits_processor=mild) == run(table, expected, num_prompts=4)
    assert run(table, config, num_prompts=4) != run(table, expected, num_prompts=4)


def test_criteria_get_all_scores(table):
    lengths = []

    def criterion(input_ids, scores):
        lengths.append((input_ids.shape[1], len(scores)))
        return False

    run(table, GREEDY, num_prompts=1, stopping_criteria=[criterion])
    assert lengths == [(i + 1, i) for i in range(1, len(lengths) + 1)]


# Failures


@STRATEGIES
def test_no_legal_token(table, config):
    def dead_end(input_ids, scores):
        return scores.masked_fill(torch.tensor(input_ids.shape[1] == 4), -torch.inf)

    endless = SuppressTokensLogitsProcessor([EOS])
    with pytest.raises(DecodingError, match=r"legal.* at step 3"):
        run(table, config, logits_processor=[endless, dead_end])


@STRATEGIES
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_bad_logits(tables, config, bad):
    class Broken(tables.Model):
        def logits_of(self, key, ids):
            logits = super().logits_of(key, ids).index_fill(0, torch.tensor([EOS]), -torch.inf)
            return logits + bad * (len(ids) == 4) if len(ids) == 4 else logits

    with pytest.raises(DecodingError, match="NaN or infinite logits at step 3"):
        run(Broken(VOCAB_SIZE, seed=1), config)


@STRATEGIES
def test_bad_processor(table, config):
    with pytest.raises(DecodingError, match="processor gave NaN or infinite scores at step 0"):
        run(table, config, logits_processor=[lambda input_ids, scores: scores * torch.nan])


# Watching


class Recorder(BaseStreamer):
    def __init__(self):
        self.sequences, self.current = [], []

    def put(self, value):
        self.current += value.reshape(-1).tolist()

    def end(self):
        self.sequences.append(tuple(self.current))
        self.current = []


def test_streamer_gets_one_sequence_after_the_other(table):
    for config in (GREEDY, SAMPLING):
        recorder = Recorder()
        results = run(table, config, prefixes=[[1, 6], [1]], streamer=recorder)
        assert recorder.sequences == flat(ids_of(results))
        assert run(table, config, prefixes=[[1, 6], [1]]) == results
    with pytest.raises(ValueError, match="a streamer cannot follow beams"):
        run(table, BEAMS, streamer=Recorder())


@STRATEGIES
def test_progress_counts_up_to_the_total(table, config):
    calls = []
    run(table, config, progress=lambda done, total: calls.append((done, total)))
    totals = {total for _, total in calls}
    assert totals == {12 * 2 * (2 if config.do_sample else 1)}
    assert calls[-1][0] == totals.pop()
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[0][0] == 1


def test_dropout_is_off_and_training_mode_comes_back(music_model, prompts):
    music_model.train()
    music_model.encoder.eval()
    first = generate(music_model, *prompts, GREEDY)
    assert generate(music_model, *prompts, GREEDY) == first
    assert music_model.training and music_model.decoder.training and not music_model.encoder.training
    music_model.eval()
    assert generate(music_model, *prompts, GREEDY) == first
