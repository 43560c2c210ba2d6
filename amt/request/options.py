"""How tokens are chosen."""

from __future__ import annotations

import dataclasses
from typing import Literal

from amt.config import MAX_VOCAB_SIZE, Config, check_range


@dataclasses.dataclass(frozen=True)
class GenerationConfig(Config):
    """How tokens are chosen. Names and meanings are those of `transformers.GenerationConfig`; `seed` is ours.

    `seed` None draws a fresh one, which the result reports. `max_time` is in seconds.

    `guidance_scale`: classifier-free guidance, Ho and Salimans 2022, arXiv:2207.12598: the scores of a token are
    negative + guidance_scale * (own - negative), of its log-probabilities after the text and after a negative one.
    Above 1 the music keeps closer to the text; 1: off, at half the work.

    `prompt_lookup_num_tokens`: speculative decoding by the engine, for one or two prompts with one row each: so many
    tokens that followed when the last tokens (`max_matching_ngram_size` of them, or fewer) stood in the piece before
    are tried in the same pass. It changes no token, only the speed; 0: off.
    """

    max_new_tokens: int = 1023
    min_new_tokens: int = 0
    do_sample: bool = True
    temperature: float = 1.0
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    min_p: float = 0.0
    num_beams: int = 1
    length_penalty: float = 1.0
    guidance_scale: float = 1.0
    early_stopping: bool | Literal["never"] = False
    num_return_sequences: int = 1
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    suppress_tokens: tuple[int, ...] = ()
    begin_suppress_tokens: tuple[int, ...] = ()
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | None = None
    max_time: float | None = None
    prompt_lookup_num_tokens: int = 3
    max_matching_ngram_size: int = 8
    seed: int | None = None

    def check(self) -> None:
        check_range("max_new_tokens", self.max_new_tokens, 1, 1 << 20)
        check_range("min_new_tokens", self.min_new_tokens, 0, self.max_new_tokens)
        check_range("temperature", self.temperature, 1e-4, 1e4)
        check_range("top_k", self.top_k, 0, MAX_VOCAB_SIZE)
        check_range("top_p", self.top_p, 1e-6, 1.0)
        check_range("min_p", self.min_p, 0.0, 1.0)
        check_range("num_beams", self.num_beams, 1, 64)
        check_range("length_penalty", self.length_penalty, -100, 100)
        check_range("guidance_scale", self.guidance_scale, 0, 100)
        check_range("num_return_sequences", self.num_return_sequences, 1, 4096)
        if self.num_beams > 1 and not self.do_sample and self.num_return_sequences > self.num_beams:
            raise ValueError(
                f"num_return_sequences ({self.num_return_sequences}) must be at most num_beams ({self.num_beams})"
            )
        if self.num_beams == 1 and not self.do_sample and self.num_return_sequences > 1:
            raise ValueError("greedy search has one result; for num_return_sequences > 1 set do_sample or num_beams")
        if self.num_beams > 1 and self.do_sample:
            raise ValueError("num_beams > 1 needs do_sample=False: sampling inside beam search is not offered")
        check_range("repetition_penalty", self.repetition_penalty, 1e-3, 1e3)
        check_range("no_repeat_ngram_size", self.no_repeat_ngram_size, 0, 1 << 16)
        for name in ("suppress_tokens", "begin_suppress_tokens"):
            for token in getattr(self, name):
                check_range(f"each of {name}", token, 0, MAX_VOCAB_SIZE - 1)
        for name in ("forced_bos_token_id", "forced_eos_token_id"):
            token = getattr(self, name)
            if token is not None:
                check_range(name, token, 0, MAX_VOCAB_SIZE - 1)
                if token in self.suppress_tokens:
                    raise ValueError(f"{name} {token} is one of suppress_tokens: it cannot be forced and forbidden")
        check_range("prompt_lookup_num_tokens", self.prompt_lookup_num_tokens, 0, 64)
        check_range("max_matching_ngram_size", self.max_matching_ngram_size, 2, 64)
        if self.max_time is not None:
            check_range("max_time", self.max_time, 0, 1e9)
        if self.seed is not None:
            check_range("seed", self.seed, 0, (1 << 64) - 1)
