"""What is measured: a case has a name that says all of it, like int8-b8-beam4-512."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Sequence

from amt.nn.config import ModelConfig
from amt.request.options import GenerationConfig

DTYPES = ("float32", "bfloat16", "int8")
TOP_P = 0.95
SRC_LEN = 32
BOS, EOS = 1, 2

# The architecture of nn.Transformer's defaults, with room for bos and 1,024 new tokens.
MODEL = ModelConfig(vocab_size=512, dropout=0.0, max_sequence_length=1025, text_embedding_dim=512)

_NAME = re.compile(
    rf"(?P<shipped>shipped-)?(?P<dtype>{'|'.join(DTYPES)})-b(?P<batch>[1-9]\d{{0,3}})"
    r"-(?P<mode>greedy|sample|beam(?P<beams>[2-9]|[1-5]\d|6[0-4]))-(?P<tokens>[1-9]\d{0,3})"
)


@dataclasses.dataclass(frozen=True)
class DecodeCase:
    """One question about decoding.

    Attributes:
        dtype: what the weights are stored as: float32, bfloat16 or int8.
        batch_size: how many prompts are decoded together.
        mode: "greedy", "sample" (top-p 0.95) or "beamK" with K beams.
        num_tokens: every sequence gets exactly this many new tokens; eos is suppressed.
        is_shipped: the model of the package instead of random weights.
    """

    dtype: str
    batch_size: int
    mode: str
    num_tokens: int
    is_shipped: bool = False

    @property
    def name(self) -> str:
        """The case in one word; `parse` reads it."""
        shipped = "shipped-" if self.is_shipped else ""
        return f"{shipped}{self.dtype}-b{self.batch_size}-{self.mode}-{self.num_tokens}"

    @property
    def num_beams(self) -> int:
        """1 without beam search."""
        return int(self.mode.removeprefix("beam")) if self.mode.startswith("beam") else 1

    @property
    def generation_config(self) -> GenerationConfig:
        """The case in AMT's own options.

        Random weights repeat themselves more than music does: there nothing is looked up, as by the peers.
        """
        config = GenerationConfig(
            max_new_tokens=self.num_tokens,
            min_new_tokens=self.num_tokens,
            do_sample=self.mode == "sample",
            top_p=TOP_P if self.mode == "sample" else 1.0,
            num_beams=self.num_beams,
            seed=0 if self.mode == "sample" else None,
        )
        return config if self.is_shipped else dataclasses.replace(config, prompt_lookup_num_tokens=0)

    @classmethod
    def parse(cls, name: str) -> DecodeCase:
        """The case of a name.

        Raises:
            ValueError: this is no name of a case.
        """
        match = _NAME.fullmatch(name)
        if match is None or int(match["tokens"]) >= MODEL.max_sequence_length:
            raise ValueError(
                f"there is no case {name!r}; a case is DTYPE-bBATCH-MODE-TOKENS, as in int8-b8-beam4-512, with DTYPE "
                f"{', '.join(DTYPES)}, MODE greedy, sample or beam2 to beam64, at most "
                f"{MODEL.max_sequence_length - 1} TOKENS; or a pattern of listed ones, as in 'int8-b1-*' (see: --list)"
            )
        return cls(match["dtype"], int(match["batch"]), match["mode"], int(match["tokens"]), bool(match["shipped"]))


FULL = tuple(
    DecodeCase.parse(name)
    for name in (
        *(
            f"{dtype}-b{batch}-{mode}-512"
            for dtype in ("int8", "float32")
            for batch in (1, 8, 32)
            for mode in ("greedy", "sample", "beam4")
        ),
        *(f"bfloat16-b{batch}-{mode}-512" for batch in (1, 8) for mode in ("greedy", "beam4")),
        *(f"{dtype}-b1-{mode}-1024" for dtype in ("int8", "float32") for mode in ("greedy", "sample", "beam4")),
        "shipped-float32-b1-sample-512",
    )
)
QUICK = tuple(
    DecodeCase.parse(name)
    for name in (
        "int8-b1-greedy-64",
        "int8-b1-beam4-64",
        "int8-b8-greedy-64",
        "float32-b1-greedy-64",
        "float32-b1-beam4-64",
        "shipped-float32-b1-sample-64",
    )
)


def choose(patterns: Sequence[str], listed: Sequence[DecodeCase]) -> list[DecodeCase]:
    """The listed cases that a pattern fits (all without a pattern), and every case that is named in full.

    Raises:
        ValueError: a pattern fits nothing and is no name.
    """
    if not patterns:
        return list(listed)
    chosen: dict[DecodeCase, None] = {}
    for pattern in patterns:
        fitting = [case for case in listed if fnmatch.fnmatchcase(case.name, pattern)]
        chosen.update(dict.fromkeys(fitting or [DecodeCase.parse(pattern)]))
    return list(chosen)
