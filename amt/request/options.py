"""How tokens are chosen: one table, of which the checks, the command line, the docs and the engine's options are made.

A new option is a field of `GenerationConfig` and of `GenerationOptions` here, its meaning in `amt.decoding.plain`, and
with `engine=True` a member of `SearchOptions` in csrc/engine/search_options.h.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, TypedDict

from amt.config import MAX_VOCAB_SIZE, Config, check_range, setting

MIN_TEMPERATURE = 1e-4  # of sampling: below, scores by temperature are no numbers any more


@dataclasses.dataclass(frozen=True)
class GenerationConfig(Config):
    """How tokens are chosen. Names and meanings are those of `transformers.GenerationConfig`; `seed` is ours.

    `seed` None draws a fresh one, which the result reports. `max_time` is in seconds. `temperature=0` is
    `do_sample=False`: greedy, as in other engines.

    `guidance_scale`: classifier-free guidance, Ho and Salimans 2022, arXiv:2207.12598: the scores of a token are
    negative + guidance_scale * (own - negative), of its log-probabilities after the text and after a negative one.
    Above 1 the music keeps closer to the text; 1: off, at half the work.

    `prompt_lookup_num_tokens`: speculative decoding by the engine, for one or two prompts with one row each: so many
    tokens that followed when the last tokens (`max_matching_ngram_size` of them, or fewer) stood in the piece before
    are tried in the same pass. It changes no token, only the speed; 0: off.
    """

    max_new_tokens: int = setting(
        1023, "Length in tokens, at most; about three a note.", 1, 1 << 20, command="--max-tokens"
    )
    min_new_tokens: int = setting(0, "Length in tokens, at least.", 0, 1 << 20, engine=True)
    do_sample: bool = setting(True, "Draw tokens; without it and without beams the likeliest is taken.")
    temperature: float = setting(
        1.0, "Above 1 is wilder, below 1 tamer; 0: greedy.", 0.0, 1e4, engine=True, command="--temperature"
    )
    top_k: int = setting(0, "Choose among so many tokens; 0: all.", 0, MAX_VOCAB_SIZE, engine=True, command="--top-k")
    top_p: float = setting(
        1.0, "Choose among the likeliest with this probability.", 1e-6, 1.0, engine=True, command="--top-p"
    )
    min_p: float = setting(
        0.0, "Leave out what is so much less likely than the best.", 0.0, 1.0, engine=True, command="--min-p"
    )
    typical_p: float = setting(
        1.0, "Choose among the tokens that are about as likely as is to be expected; 1: all.", 1e-6, 1.0, engine=True,
        command="--typical-p",
    )  # fmt: skip
    num_beams: int = setting(1, "Beam search with so many beams.", 1, 64, command="--beams")
    length_penalty: float = setting(
        1.0, "With beams: above 0 favours long sequences, below 0 short ones.", -100, 100, engine=True
    )
    guidance_scale: float = setting(
        1.0, "Above 1 keeps closer to TEXT, at twice the work; 1: off.", 0, 100, engine=True,
        command="--guidance-scale",
    )  # fmt: skip
    early_stopping: bool | Literal["never"] = setting(
        False, "With beams: whether to end as soon as there are enough.", engine=True
    )
    num_return_sequences: int = setting(1, "Pieces for each text.", 1, 4096)
    repetition_penalty: float = setting(
        1.0, "Above 1 makes tokens that came before less likely.", 1e-3, 1e3, engine=True
    )
    no_repeat_ngram_size: int = setting(
        0, "Tokens in a row that may not come twice; 16 keeps --beams moving.", 0, 1 << 16, engine=True,
        command="--no-repeat-ngram-size",
    )  # fmt: skip
    suppress_tokens: tuple[int, ...] = setting((), "Tokens that never come.", 0, MAX_VOCAB_SIZE - 1, engine=True)
    begin_suppress_tokens: tuple[int, ...] = setting(
        (), "Tokens that are not the first new one.", 0, MAX_VOCAB_SIZE - 1, engine=True
    )
    forced_bos_token_id: int | None = setting(None, "The token behind bos.", 0, MAX_VOCAB_SIZE - 1, engine=True)
    forced_eos_token_id: int | None = setting(None, "The last token that fits.", 0, MAX_VOCAB_SIZE - 1, engine=True)
    max_time: float | None = setting(None, "Stop when so many seconds are over.", 0, 1e9, command="--max-time")
    prompt_lookup_num_tokens: int = setting(
        3, "Tokens that are tried in one pass, as they stood in the piece before; 0: none.", 0, 64, engine=True
    )
    max_matching_ngram_size: int = setting(
        8, "How many tokens must have stood there before to be looked up.", 2, 64, engine=True
    )
    seed: int | None = setting(
        None, "The same number gives the same music; it is printed.", 0, (1 << 64) - 1, command="--seed"
    )

    def __post_init__(self) -> None:
        if isinstance(self.temperature, (int, float)) and self.temperature == 0:
            object.__setattr__(self, "do_sample", False)
            object.__setattr__(self, "temperature", 1.0)
        super().__post_init__()

    def check(self) -> None:
        if self.temperature < MIN_TEMPERATURE:
            raise ValueError(
                f"temperature must be 0 (greedy, as do_sample=False) or between {MIN_TEMPERATURE:g} and 10000,"
                f" got {self.temperature!r}"
            )
        check_range("min_new_tokens", self.min_new_tokens, 0, self.max_new_tokens)
        if self.num_beams > 1 and not self.do_sample and self.num_return_sequences > self.num_beams:
            raise ValueError(
                f"num_return_sequences ({self.num_return_sequences}) must be at most num_beams ({self.num_beams})"
            )
        if self.num_beams == 1 and not self.do_sample and self.num_return_sequences > 1:
            raise ValueError("greedy search has one result; for num_return_sequences > 1 set do_sample or num_beams")
        if self.num_beams > 1 and self.do_sample:
            raise ValueError("num_beams > 1 needs do_sample=False: sampling inside beam search is not offered")
        for name in ("forced_bos_token_id", "forced_eos_token_id"):
            if getattr(self, name) in self.suppress_tokens:
                token = getattr(self, name)
                raise ValueError(f"{name} {token} is one of suppress_tokens: it cannot be forced and forbidden")


class GenerationOptions(TypedDict, total=False):
    """The fields of `GenerationConfig` as keyword arguments, for editors and type checkers."""

    max_new_tokens: int
    min_new_tokens: int
    do_sample: bool
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    num_beams: int
    length_penalty: float
    guidance_scale: float
    early_stopping: bool | Literal["never"]
    repetition_penalty: float
    no_repeat_ngram_size: int
    suppress_tokens: tuple[int, ...]
    begin_suppress_tokens: tuple[int, ...]
    forced_bos_token_id: int | None
    forced_eos_token_id: int | None
    max_time: float | None
    prompt_lookup_num_tokens: int
    max_matching_ngram_size: int
    seed: int | None
