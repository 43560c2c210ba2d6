"""A model made of tables, and the same logits behind `transformers.GenerationMixin`."""

import types

import pytest
import torch
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

FILL = 1 << 20  # what transformers pads with; no token


class TableModel:
    """Logits looked up by prompt, position, last token and a hash of the whole history.

    The first number of a prompt's embeddings is its key.

    Args:
        is_coarse: rounds to halves, so that many scores tie.
    """

    NUM_PROMPTS, NUM_POSITIONS, NUM_HASHES = 4, 5, 31

    def __init__(self, vocab_size, seed, *, sharpness=2.0, is_coarse=False, max_sequence_length=64):
        generator = torch.Generator().manual_seed(seed)
        shape = (self.NUM_PROMPTS, self.NUM_POSITIONS, vocab_size, vocab_size)
        self.by_position = torch.randn(shape, generator=generator) * sharpness
        self.by_history = torch.randn(self.NUM_PROMPTS, self.NUM_HASHES, vocab_size, generator=generator) * sharpness
        if is_coarse:
            self.by_position = (self.by_position * 2).round() / 2
            self.by_history = (self.by_history * 2).round() / 2
        self.config = types.SimpleNamespace(vocab_size=vocab_size, max_sequence_length=max_sequence_length)

    @staticmethod
    def prompts(batch_size):
        embeddings = torch.zeros(batch_size, 2, 3)
        embeddings[:, 0, 0] = torch.arange(batch_size)
        return embeddings

    def logits_of(self, key, ids):
        history = 0
        for token in ids:
            history = (history * 7 + token + 1) % 1_000_003
        last = ids[-1] % self.config.vocab_size  # transformers feeds finished rows with FILL
        return self.by_position[key, len(ids) % self.NUM_POSITIONS, last] + self.by_history[key, history % 31]

    def encode(self, text_embeddings, text_mask):
        return text_embeddings

    def start_cache(self, memory, memory_mask):
        return TableCache(memory[:, 0, 0].long().tolist(), [[] for _ in memory])

    def decode_step(self, token_ids, cache):
        logits = []
        for key, ids, new in zip(cache.keys, cache.histories, token_ids.tolist(), strict=True):
            for token in new:
                ids.append(token)
                logits.append(self.logits_of(key, ids))
        return torch.stack(logits).view(*token_ids.shape, -1)


class TableCache:
    def __init__(self, keys, histories):
        self.keys, self.histories = keys, histories

    def select(self, index):
        return TableCache([self.keys[i] for i in index], [list(self.histories[i]) for i in index])


class TransformersModel(PreTrainedModel, GenerationMixin):
    """The same logits for transformers' generate: `next_logits(ids (rows, length), prompt)`, (rows, vocab_size)."""

    config_class = PretrainedConfig
    main_input_name = "input_ids"
    _supports_cache_class = False

    def __init__(self, next_logits, vocab_size):
        super().__init__(PretrainedConfig(vocab_size=vocab_size))
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.next_logits = next_logits

    def prepare_inputs_for_generation(self, input_ids, prompt=None, **kwargs):
        return {"input_ids": input_ids, "prompt": prompt}

    def forward(self, input_ids, prompt=None, **kwargs):
        return CausalLMOutput(logits=self.next_logits(input_ids, prompt)[:, None])


def run_transformers(next_logits, vocab_size, prompt, prefix_ids, config, **more):
    """For each prompt a list of (token ids, score); score None without beams."""
    options = {
        "max_new_tokens": config.max_new_tokens,
        "min_new_tokens": config.min_new_tokens or None,
        "do_sample": False,
        "num_beams": config.num_beams,
        "repetition_penalty": float(config.repetition_penalty),
        "no_repeat_ngram_size": config.no_repeat_ngram_size,
        "num_return_sequences": config.num_return_sequences,
        "suppress_tokens": list(config.suppress_tokens) or None,
        "begin_suppress_tokens": list(config.begin_suppress_tokens) or None,
        "forced_bos_token_id": config.forced_bos_token_id,
        "forced_eos_token_id": config.forced_eos_token_id,
    }
    if config.num_beams > 1:
        options |= {"length_penalty": config.length_penalty, "early_stopping": config.early_stopping}
    output = TransformersModel(next_logits, vocab_size).generate(
        torch.tensor(prefix_ids),
        prompt=prompt,
        use_cache=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=FILL,
        return_dict_in_generate=True,
        output_scores=True,
        **options,
        **more,
    )
    rows = [tuple(token for token in row if token != FILL) for row in output.sequences.tolist()]
    scores = output.sequences_scores.tolist() if config.num_beams > 1 else [None] * len(rows)
    pairs = list(zip(rows, scores, strict=True))
    n = config.num_return_sequences
    return [pairs[i : i + n] for i in range(0, len(pairs), n)]


def stable_topk(scores, k, dim=-1):
    """`torch.topk` with equal values in ascending order of index."""
    assert dim == -1
    result = torch.sort(scores, dim=dim, descending=True, stable=True)
    return torch.return_types.topk((result.values[..., :k], result.indices[..., :k]))


@pytest.fixture(scope="session")
def tables():
    """The helpers of this file, as a namespace."""
    return types.SimpleNamespace(Model=TableModel, run_transformers=run_transformers)


@pytest.fixture
def ordered_topk(monkeypatch):
    """Give transformers our order of equal scores; its own is whatever `torch.topk` does."""
    monkeypatch.setattr(torch, "topk", stable_topk)
