"""Batches from a prepared folder. The batch of a step is a pure function of (seed, step)."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from amt.data.augment import Augmentation, Varied, without_plan
from amt.data.edits import EditSampler
from amt.data.prepare import SEGMENT_DTYPE
from amt.midi.config import TokenizerConfig
from amt.midi.features import FeatureLayout, TokenFeatures, features_of
from amt.midi.tokenizer import EventTokenizer
from amt.request.attributes import attributes_of, varied_facts
from amt.text.encoder import UNCONDITIONAL

STEPS_PER_BLOCK = 8  # steps whose segments are drawn together and sorted by length, so that little is padding


@dataclasses.dataclass(frozen=True)
class Batch:
    """Token ids (batch, seq_len) int64, padded on the right with 0, and one caption for each row.

    `features`: for a model with state features, those of each row's tokens but the last, after which nothing follows.
    `attributes`: for a model that reads them, the numbers of what each row is told of its piece.
    `num_given`: of each row the tokens that are given, at least the first; None: it is that alone. A row that asks for
    an edit is given its context.
    """

    token_ids: np.ndarray
    captions: list[str]
    features: list[TokenFeatures] | None = None
    attributes: list[list[int]] | None = None
    num_given: np.ndarray | None = None

    @property
    def is_edit(self) -> np.ndarray:
        """(batch,) bool: which rows ask for an edit."""
        num_given = np.ones(len(self.captions)) if self.num_given is None else self.num_given
        return np.asarray(num_given > 1)

    @property
    def has_caption(self) -> np.ndarray:
        """(batch,) bool: which captions say something of the music, and the row is music as it sounds."""
        says_something = [caption != UNCONDITIONAL for caption in self.captions]
        return np.array([says and not is_edit for says, is_edit in zip(says_something, self.is_edit, strict=True)])

    @property
    def num_tokens(self) -> int:
        """Tokens that are predicted: all but those that are given."""
        num_given = len(self.captions) if self.num_given is None else int(self.num_given.sum())
        return int((self.token_ids != 0).sum()) - num_given


class PreparedSplit:
    """One split of a prepared folder, memory-mapped.

    Segments are drawn so that a kind of music, which is a (source, form), comes up with the square root of its number
    of pieces; half of the draws of a longer piece take its beginning. Of corpora that were mixed with weights each has
    its weight's share of the draws.
    """

    def __init__(self, folder: str | Path, split: str):
        folder = Path(folder)
        if not (folder / split / "segments.npy").is_file():
            raise FileNotFoundError(f"{folder} is not a prepared folder; make one with: amt prepare CORPUS -o {folder}")
        self.tokenizer_config = TokenizerConfig.load(folder / "tokenizer.json")
        try:
            self._tokens = np.load(folder / split / "tokens.npy", mmap_mode="r", allow_pickle=False)
            self.segments = np.load(folder / split / "segments.npy", allow_pickle=False)
            with open(folder / split / "pieces.jsonl", encoding="utf-8") as lines:
                self.pieces: list[dict[str, Any]] = [json.loads(line) for line in lines]
            self._check()
        except (ValueError, EOFError) as error:
            raise ValueError(f"{folder / split} is empty or damaged; prepare it again ({error})") from error
        self._first = np.searchsorted(self.segments["piece"], np.arange(len(self.pieces) + 1))
        self._folder = folder / split
        self._cumulative = np.cumsum(self._weights(folder / "corpora.json"))

    def _weights(self, shares: Path) -> np.ndarray:
        """How often each piece is drawn; they add up to 1."""
        kinds = [(piece.get("corpus", ""), piece["source"], piece["form"]) for piece in self.pieces]
        has_shares = shares.is_file()
        if not has_shares:
            kinds = [("", *kind[1:]) for kind in kinds]
        counts = Counter(kinds)
        weights = np.array([counts[kind] ** -0.5 for kind in kinds])
        if has_shares:
            names = np.array([kind[0] for kind in kinds])
            for name, share in json.loads(shares.read_text(encoding="utf-8")).items():
                own = names == name
                weights[own] *= share / max(float(weights[own].sum()), 1e-300)
        return np.asarray(weights / weights.sum())

    @functools.cached_property
    def facts(self) -> list[dict[str, Any]]:
        """Whatever else the corpora say of the pieces, in the order of `pieces`; read when it is first asked for."""
        with open(self._folder / "facts.jsonl", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    @functools.cached_property
    def _edits(self) -> EditSampler:
        return EditSampler(EventTokenizer(self.tokenizer_config))

    def _check(self) -> None:
        """Raise ValueError if the three files do not fit each other."""
        rows = self.segments
        if self._tokens.dtype != np.uint16 or rows.dtype != SEGMENT_DTYPE or not len(rows):
            raise ValueError("no segments")
        if (
            rows["start"].min() < 0
            or rows["length"].min() < 1
            or (rows["start"] + rows["length"]).max() > len(self._tokens)
        ):
            raise ValueError("segments beyond the tokens")
        if (np.diff(rows["piece"]) < 0).any() or rows["piece"][0] < 0 or rows["piece"][-1] >= len(self.pieces):
            raise ValueError("segments of no piece")

    def tokens(self, segment: int) -> np.ndarray:
        """The ids of a segment."""
        row = self.segments[segment]
        return np.asarray(self._tokens[row["start"] : row["start"] + row["length"]])

    def batch(
        self,
        seed: int,
        step: int,
        batch_size: int,
        max_len: int,
        augmentation: Augmentation | None = None,
        *,
        layout: FeatureLayout | None = None,
        bars_dropout: float = 1.0,
        attributes: tuple[str, ...] = (),
        attribute_dropout: float = 0.0,
        no_attributes: float = 0.0,
        plan_dropout: float = 0.0,
        edit_share: float = 0.0,
    ) -> Batch:
        """The batch of one step: rows of at most `max_len` tokens, sorted by length.

        Args:
            layout: the state features to make of each row; None: none.
            bars_dropout: share of the rows whose features do not know how many bars are left of the piece.
            attributes: the kinds of facts to tell; key, tempo and register follow the augmentation.
            attribute_dropout: share of the kinds that a row is not told; each is drawn for itself.
            no_attributes: share of the rows that are told none.
            plan_dropout: share of the rows whose plan is left out.
            edit_share: share of the rows that ask for an edit; see `amt.data.edits`.
        """
        block, place = divmod(step, STEPS_PER_BLOCK)
        # The block is a high word of the counter, whose low word counts the draws: no two blocks share any.
        rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, block]))
        num_rows = STEPS_PER_BLOCK * batch_size
        pieces = np.minimum(np.searchsorted(self._cumulative, rng.random(num_rows)), len(self.pieces) - 1)
        first, last = self._first[pieces], self._first[pieces + 1]
        inner = first + (rng.random(num_rows) * (last - first)).astype(np.int64)
        chosen = np.where(rng.random(num_rows) < 0.5, first, inner)
        caption_draws = rng.random(num_rows)
        order = np.argsort(self.segments["length"][chosen], kind="stable")
        group = rng.permutation(STEPS_PER_BLOCK)[place]
        augmentation_draws = rng.random((num_rows, 4))
        bars_draws = rng.random(num_rows)
        attribute_draws = rng.random((num_rows, 1 + len(attributes)))
        plan_draws = rng.random(num_rows)
        edit_draws = rng.random(num_rows)
        num_given = np.ones(batch_size, np.int64)
        token_rows: list[np.ndarray] = []
        captions, num_bars = [], []
        told: list[list[int]] = []
        for row in order[group * batch_size : (group + 1) * batch_size]:
            texts = self.pieces[pieces[row]]["captions"]
            ids = self.tokens(chosen[row])
            if plan_draws[row] < plan_dropout:
                ids = without_plan(ids, self.tokenizer_config)
            varied = Varied(ids[:max_len], texts[int(caption_draws[row] * len(texts))])
            if augmentation is not None:
                varied = augmentation.apply(*varied[:2], augmentation_draws[row], self.tokenizer_config)
            edit = None
            if edit_draws[row] < edit_share:
                edit_rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 1, row, block]))
                edit = self._edits.edited(varied.ids, edit_rng, max_len)
            if edit is not None:
                num_given[len(token_rows)] = self._edits.num_given(edit)
            token_rows.append(varied.ids if edit is None else edit)
            captions.append(varied.caption)
            knows_bars = edit is None and layout is not None and bars_draws[row] >= bars_dropout
            num_bars.append(int(self.segments["bars"][chosen[row]]) if knows_bars else 0)
            all_draw, *draws = attribute_draws[row]
            kept = [kind for kind, draw in zip(attributes, draws, strict=True) if draw >= attribute_dropout]
            if not kept or all_draw < no_attributes:
                told.append([])
                continue
            facts = varied_facts(self.pieces[pieces[row]], varied.semitones, varied.tempo_factor)
            known = attributes_of(facts, attributes)
            told.append([number for kind in kept for number in known.get(kind, [])])
        features = None
        if layout is not None:
            rows = zip(token_rows, num_bars, strict=True)
            features = [features_of(layout, [ids[:-1]], [number]) for ids, number in rows]
        given = num_given if edit_share else None
        return Batch(pad(token_rows), captions, features, told if attributes else None, given)


def pad(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of ids as one (batch, seq_len) int64, with 0 on the right."""
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = values
    return ids
