"""Small random models and options, to hold the engine to plain PyTorch.

    PYTHONPATH=. python tests/engine/random_models.py 2000

prints how many of so many cases gave other tokens, and which.
"""

from __future__ import annotations

import dataclasses
import random
import re
import sys
from unittest import mock

import numpy as np
import replay
import torch
from replay import is_within_rounding, tokens_of

from amt.decoding import generate
from amt.decoding.backends import choose
from amt.decoding.backends.engine import Engine
from amt.decoding.checks import one_text
from amt.decoding.generate import decode, make_request
from amt.errors import DecodingError
from amt.midi.config import TokenizerConfig
from amt.midi.features import FeatureLayout
from amt.midi.grammar import Grammar
from amt.midi.limits import Constraints
from amt.midi.reference.grammar import GrammarState
from amt.midi.reference.random_pieces import random_constraints, random_holes, random_walk
from amt.midi.tokenizer import EventTokenizer
from amt.midi.vocabulary import BOS_ID, EOS_ID, vocabulary_of
from amt.models import MusicTransformer
from amt.request.options import GenerationConfig
from amt.request.request import Before

TOKENIZERS = (
    TokenizerConfig("performance", step_ms=100, num_velocities=2),
    TokenizerConfig(max_time_shift=8, num_velocities=2, tempos_bpm=(60, 120)),
)
SCORES = [TokenizerConfig(version=n, max_time_shift=7, num_velocities=4, tempos_bpm=(60, 120)) for n in (1, 2)]


@dataclasses.dataclass
class Case:
    """A model, prompts and options."""

    model: MusicTransformer
    embeddings: torch.Tensor
    mask: torch.Tensor | None
    negative: torch.Tensor
    config: GenerationConfig
    prefixes: list[list[int]]
    seeds: list[int]
    grammar: Grammar | None
    stop_after: int | None  # new tokens after which what still runs is stopped
    num_bars: int = 0  # that the music is to have; 0: unknown
    before: Before | None = None  # all prompts are a window of a longer piece

    def run(self, decoder):
        """The hypotheses of a model or an engine."""
        if self.stop_after is None:
            return self._generate(decoder, slice(None))
        if isinstance(decoder, Engine):
            with mock.patch.object(sys.modules[generate.__module__], "Deadline", lambda _: Passes(self.stop_after)):
                return self._generate(decoder, slice(None))
        results = []
        for index, prefix in enumerate(self.prefixes):
            end = 1 + len(prefix) + self.stop_after

            def is_long(token_ids, scores, end=end):
                return torch.full((len(token_ids),), token_ids.shape[1] >= end)

            results += self._generate(decoder, slice(index, index + 1), stopping_criteria=[is_long])
        return results

    def _generate(self, decoder, which, **more):
        request = make_request(
            decoder,
            self.embeddings[which],
            None if self.mask is None else self.mask[which],
            self.config,
            negative_embeddings=self.negative,
            prefixes=self.prefixes[which],
            seeds=self.seeds[which],
            grammar=self.grammar,
            **more,
        )
        prompts = [
            dataclasses.replace(prompt, num_bars=self.num_bars, before=self.before) for prompt in request.prompts
        ]
        request = dataclasses.replace(request, prompts=tuple(prompts))
        return decode(choose(decoder, request, backend="plain"), request)


class Passes:
    """A deadline for the engine that is over before pass number `stop_after`, and lets each run make one."""

    def __init__(self, stop_after):
        self.left = stop_after

    def left_ms(self):
        return 0

    def is_over(self):
        self.left -= 1
        return self.left <= 0


def random_features(rng: random.Random, score: TokenizerConfig) -> dict[str, object]:
    """Options of a model that reads state features: all of them or some, perhaps musical time and normed keys."""
    names = FeatureLayout.NAMES
    if rng.random() < 0.5:
        names = tuple(name for name in names if rng.random() < 0.5)
    positions = rng.choice(["sinusoidal", "rotary", "rotary", "relative"])
    is_rotary = positions == "rotary"
    return {
        "state_features": names,
        "positions": positions,
        "rotary_time": is_rotary and rng.random() < 0.7,
        "qk_norm": is_rotary and rng.random() < 0.5,
        "tokenizer_config": score,
    }


def random_economy(rng: random.Random) -> dict[str, object]:
    """Windows and layers without cross-attention, each in half of the models."""
    return {
        "attention_window": rng.choice([1, 2, 3, 7, 16, 17, 30]) if rng.random() < 0.5 else 0,
        "cross_attention_layers": rng.choice([1, 2, 3]) if rng.random() < 0.5 else 0,
    }


def random_model(
    rng: random.Random, vocab_size: int, *, cross_attention_layers: int = 0, **options: object
) -> MusicTransformer:
    """Any geometry, with weights large enough for decided choices."""
    num_heads = rng.choice([1, 2, 3, 4])
    torch.manual_seed(rng.randrange(1 << 30))
    model = MusicTransformer(
        vocab_size,
        d_model=2 * num_heads * rng.choice([2, 3, 4, 5, 8]),
        nhead=num_heads,
        num_encoder_layers=1,
        num_decoder_layers=(num_layers := rng.choice([1, 2, 3])),
        cross_attention_layers=min(cross_attention_layers, num_layers),
        dim_feedforward=rng.choice([5, 16, 37, 64]),
        text_embedding_dim=6,
        norm_first=rng.random() < 0.5,
        activation=rng.choice(["relu", "gelu", "swiglu"]),
        **{
            "max_sequence_length": 40,
            "positions": rng.choice(["sinusoidal", "rotary", "relative"]),
            "tie_output": rng.random() < 0.5,
            **options,
        },
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        for parameter in (model.output_weight, model.output_bias):
            if parameter is not None:
                parameter *= 3.0
    return model


def random_config(rng: random.Random, vocab_size: int) -> GenerationConfig:
    """Greedy, sampling or beams, and some of the rules."""
    options = {"max_new_tokens": rng.randint(1, 36), "do_sample": False}
    kind = rng.choice(["greedy", "sample", "beams"])
    if kind == "sample":
        options |= {
            "do_sample": True,
            "num_return_sequences": rng.choice([1, 1, 2, 5]),
            "temperature": rng.choice([1.0, 0.7, 1.6]),
            "top_k": rng.choice([0, 0, 3, 20]),
            "top_p": rng.choice([1.0, 1.0, 0.9, 0.5]),
            "min_p": rng.choice([0.0, 0.0, 0.05]),
            "typical_p": rng.choice([1.0, 1.0, 0.9, 0.3]),
        }
    if kind == "beams":
        num_beams = rng.choice([2, 3, 4, 8, 16])
        options |= {
            "num_beams": num_beams,
            "num_return_sequences": rng.randint(1, num_beams),
            "length_penalty": rng.choice([1.0, 0.0, -0.5, 2.0]),
            "early_stopping": rng.choice([False, True, "never"]),
        }
    options |= {
        "prompt_lookup_num_tokens": rng.choice([0, 1, 3, 9]),
        "max_matching_ngram_size": rng.choice([2, 3, 8]),
    }
    if rng.random() < 0.3:
        options["repetition_penalty"] = rng.choice([0.8, 1.3])
    if rng.random() < 0.3:
        options["no_repeat_ngram_size"] = rng.choice([1, 2, 3])
    if rng.random() < 0.3:
        options["guidance_scale"] = rng.choice([0.0, 0.5, 2.0, 5.0])
    if rng.random() < 0.3:
        options["min_new_tokens"] = rng.randint(0, options["max_new_tokens"])
    if rng.random() < 0.3:
        tokens = rng.sample(range(3, vocab_size), 2)
        options |= rng.choice(
            [
                {"suppress_tokens": tuple(tokens[:1]), "forced_bos_token_id": tokens[1]},
                {"begin_suppress_tokens": tuple(tokens), "forced_eos_token_id": rng.choice([2, tokens[0]])},
            ]
        )
    return GenerationConfig(**options)


def random_window(seed: int, case: Case) -> Case:
    """Some cases as a window of a longer piece: the grammar has taken more, or other, tokens than the model."""
    rng = random.Random(f"window {seed}")
    if rng.random() < 0.7 or (case.grammar and case.prefixes[0]):  # an edit is one window
        return case
    history = [BOS_ID]
    if case.grammar is None:
        history += [rng.randrange(3, case.model.config.vocab_size) for _ in range(rng.randrange(60))]
    else:
        state = case.grammar.start()
        state.advance(BOS_ID)
        for _ in range(rng.randrange(60)):
            tokens = [token for token in np.flatnonzero(state.allowed()).tolist() if token != EOS_ID]
            if not tokens:
                break
            history.append(rng.choice(tokens))
            state.advance(history[-1])
    prefix = history[1:][-rng.randint(1, 4) :]
    room = case.model.config.max_sequence_length - 1 - len(prefix)
    config = dataclasses.replace(case.config, max_new_tokens=min(case.config.max_new_tokens, room))
    config = dataclasses.replace(config, min_new_tokens=min(config.min_new_tokens, config.max_new_tokens))
    tokens_left = config.max_new_tokens + rng.choice([0, 1, 2, 30, 1000])
    before = Before(tuple(history), rng.randrange(len(history)), tokens_left)
    stop_after = case.stop_after if case.stop_after and case.stop_after < config.max_new_tokens else None
    prefixes = [prefix] * len(case.prefixes)
    return dataclasses.replace(case, config=config, prefixes=prefixes, before=before, stop_after=stop_after)


def random_edit(rng: random.Random, config: TokenizerConfig) -> tuple[Grammar, list[int]] | None:
    """A grammar and the context of an edit with holes, as a prefix; None if what was drawn is too long."""
    walk = random_walk(GrammarState(config, Constraints()), rng, rng.choice([8, 12, 16]))
    events = [vocabulary_of(config).event(token_id) for token_id in walk]
    programs = sorted({event.value for event in events if event.kind == "program"}) or [rng.randrange(129)]
    row = EventTokenizer(config).edit_row(walk, random_holes(rng, programs, rng.choice([1, 3, 24]))).tolist()
    prefix = row[1 : row.index(vocabulary_of(config).token_id("fill")) + 1]
    if len(prefix) > 32:
        return None
    grammar = Grammar(config, random_constraints(rng, config))
    return (grammar if _takes(grammar, prefix) else Grammar(config)), prefix


def _takes(grammar: Grammar, prefix: list[int]) -> bool:
    state = grammar.start()
    try:
        for token_id in (BOS_ID, *prefix):
            state.advance(token_id)
    except ValueError:
        return False
    return True


def random_case(seed: int) -> Case:
    """The case of that number."""
    rng = random.Random(seed)
    grammar = None
    if rng.random() < 0.3:
        tokenizer = rng.choice(TOKENIZERS)
        grammar = Grammar(tokenizer, random_constraints(rng, tokenizer))
    feature_rng = random.Random(f"features {seed}")
    has_features = feature_rng.random() < 0.4
    score = feature_rng.choice(SCORES)
    if has_features:  # of canonical sequences, or of any ids
        constraints = random_constraints(feature_rng, score)
        grammar = Grammar(score, constraints) if feature_rng.random() < 0.8 else None
    edit_rng = random.Random(f"edit {seed}")
    edit = (
        random_edit(edit_rng, score) if has_features and score.has_plans_and_edits and edit_rng.random() < 0.4 else None
    )
    if edit is not None:
        grammar = edit[0]
    options = random_economy(random.Random(f"economy {seed}"))
    options |= random_features(feature_rng, score) if has_features else {}
    known = Grammar(score) if has_features else grammar
    model = random_model(rng, known.vocab_size if known else rng.choice([5, 16, 37, 100]), **options)
    batch_size, text_len = rng.choice([1, 1, 2, 5]), rng.choice([1, 2, 7])
    mask = None
    if rng.random() < 0.6:
        mask = torch.rand(batch_size, text_len) < 0.7
        mask[:, 0] = True
    vocab_size = model.config.vocab_size
    prefixes = [
        [] if grammar else [rng.randrange(3, vocab_size) for _ in range(rng.choice([0, 0, 1, 3]))]
        for _ in range(batch_size)
    ]
    if edit is not None:
        prefixes = [edit[1]] * batch_size
    stop_after = rng.choice([None, None, None, 1, 2, 7])
    if edit is not None:  # a long prefix takes several passes
        stop_after = None
    config = random_config(rng, vocab_size)
    if stop_after is not None:  # it counts passes, which then must give a token each
        config = dataclasses.replace(config, prompt_lookup_num_tokens=0)
    room = min(config.max_new_tokens, model.config.max_sequence_length - 1 - max(map(len, prefixes)))
    case = Case(
        model,
        torch.randn(batch_size, text_len, 6),
        mask,
        torch.randn(1, rng.choice([1, 3]), 6),
        config,
        prefixes,
        [rng.randrange(1 << 64) for _ in range(batch_size)],
        grammar,
        stop_after if stop_after and stop_after < room else None,
        feature_rng.choice([0, 1, 3]) if has_features else 0,
    )
    return random_window(seed, case)


def without_numbers(error: DecodingError) -> str:
    """What is wrong, without where."""
    return re.sub(r"\d+", "N", str(error))


def difference(case: Case, engine: Engine | None = None) -> str:
    """What the engine does otherwise than plain PyTorch; empty if nothing.

    Its numbers may differ as far as float64 says that float32 may (`replay`).
    """
    engine = engine or Engine(case.model)
    try:
        expected = case.run(case.model)
    except DecodingError as error:
        try:
            return f"plain PyTorch says {error}, the engine gives {case.run(engine)}"
        except DecodingError as other:
            # The engine runs all sequences at once, so it is another one's step that it may name first.
            return "" if without_numbers(error) == without_numbers(other) else f"{error}; {other}"
    result = case.run(engine)
    exact, pairs = replay.in_float64(case.model), []
    for index, hypotheses in enumerate(result):
        text = one_text(case.embeddings, case.mask, index)
        options = {"negative": (case.negative, None), "make_grammar": case.grammar and case.grammar.start}
        options |= {"num_bars": case.num_bars, "before": case.before}
        arguments = text, hypotheses, 1 + len(case.prefixes[index]), case.config
        truths, references = (replay.replay(model, *arguments, **options) for model in (exact, case.model))
        for hypothesis, truth, reference in zip(hypotheses, truths, references, strict=True):
            pairs.append((truth, reference))
            if wrong := replay.wrong_number(hypothesis, truth, reference, case.config):
                return f"prompt {index}: {hypothesis} {wrong}"
    if tokens_of(expected) != tokens_of(result):
        in_float64 = dataclasses.replace(case, embeddings=case.embeddings.double(), negative=case.negative.double())
        is_nearly_equal = is_within_rounding(tokens_of(result), in_float64.run, exact, pairs)
        return "" if is_nearly_equal else f"{expected} {result}"
    for index, (theirs, ours) in enumerate(zip(expected, result, strict=True)):
        for a, b in zip(theirs, ours, strict=True):
            if a.finish_reason != b.finish_reason or a.seed != b.seed:
                return f"prompt {index}: {a} {b}"
    return ""


def main() -> None:
    torch.set_num_threads(1)
    num_different = 0
    for seed in range(int(sys.argv[1])):
        found = difference(random_case(seed))
        if found:
            num_different += 1
            print(seed, found)
    print(f"{sys.argv[1]} cases, {num_different} different")


if __name__ == "__main__":
    main()
