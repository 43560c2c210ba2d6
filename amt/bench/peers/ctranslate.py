"""CTranslate2: the same weights as a TransformerSpec, decoded by its Translator.

Its best settings: one call for the whole batch (`max_batch_size=0`), `inter_threads=1`, malloc settings that keep its
growing caches from being mapped anew at every step (see `amt.bench.process`), and the faster of its two backends,
CT2_USE_MKL=1 (MKL) and 0 (oneDNN): which that is depends on processor and dtype. int8 quantizes weights for each
channel and activations for each row, as its converters do by default.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from amt.bench.cases import TOP_P
from amt.bench.job import Job, optional, random_model, text_embeddings


class CTranslate:
    """A `Runner`. Each text position is a source token of its own, whose embedding is the projected text embedding."""

    shared_positions: float | None = None

    def __init__(self, job: Job):
        ctranslate2 = optional("ctranslate2")
        self.version = str(ctranslate2.__version__)
        self.case = job.decode_case
        batch_size, src_len, _ = text_embeddings(job).shape
        folder = Path(job.folder) / f"ctranslate2-b{batch_size}"
        if not folder.is_dir():
            _save(job, folder)
        self.translator = ctranslate2.Translator(
            str(folder), device="cpu", compute_type=job.dtype, intra_threads=job.threads, inter_threads=1
        )
        self.source = [[f"s{row * src_len + place}" for place in range(src_len)] for row in range(batch_size)]

    def generate(self) -> list[list[int]]:
        """See `Runner`."""
        options: dict[str, Any] = {}
        if self.case.mode == "sample":
            options = {"sampling_topk": 0, "sampling_topp": TOP_P}
        results = self.translator.translate_batch(
            self.source,
            beam_size=self.case.num_beams,
            min_decoding_length=self.case.num_tokens,
            max_decoding_length=self.case.num_tokens,
            max_batch_size=0,
            **options,
        )
        return [[_token_id(word) for word in result.hypotheses[0]] for result in results]


SPECIAL = ("<unk>", "<s>", "</s>")  # ids 0 to 2, as AMT's pad, bos, eos


def _token_id(word: str) -> int:
    return SPECIAL.index(word) if word in SPECIAL else int(word[1:])


def _save(job: Job, folder: Path) -> None:
    import torch

    specs = optional("ctranslate2.specs")
    model = random_model(job.model_config)
    config = model.config
    scale = math.sqrt(config.d_model)  # it multiplies embeddings by this, and ours are projected texts already
    with torch.no_grad():
        text = model.text_projection(torch.from_numpy(text_embeddings(job))).flatten(0, 1).numpy() / scale
    source_words = [*SPECIAL, *(f"s{index}" for index in range(len(text)))]
    spec = specs.TransformerSpec.from_config(
        (config.num_encoder_layers, config.num_decoder_layers), config.nhead, pre_norm=False
    )
    spec.encoder.embeddings[0].weight = np.concatenate([np.zeros((len(SPECIAL), config.d_model), np.float32), text])
    spec.decoder.embeddings.weight = model.token_embedding.weight.numpy()
    for side, stack in ((spec.encoder, model.encoder), (spec.decoder, model.decoder)):
        side.position_encodings.encodings = stack.positions.table.numpy()
        for target, layer in zip(side.layer, stack.layers, strict=True):
            _set_layer(target, layer)
    _set(spec.decoder.projection, model.output_weight, model.output_bias)
    spec.register_source_vocabulary(source_words)
    spec.register_target_vocabulary([*SPECIAL, *(f"t{index}" for index in range(len(SPECIAL), config.vocab_size))])
    spec.validate()
    spec.optimize(quantization=None)
    folder.mkdir(parents=True)
    spec.save(str(folder))


def _set_layer(target: Any, layer: Any) -> None:
    _set(
        target.self_attention.linear[0],
        layer.self_attention.query_key_value.weight,
        layer.self_attention.query_key_value.bias,
    )
    _set(target.self_attention.linear[1], layer.self_attention.output.weight, layer.self_attention.output.bias)
    _set_norm(target.self_attention.layer_norm, layer.norm1)
    norm = layer.norm2
    if hasattr(layer, "cross_attention"):
        cross = layer.cross_attention
        for linear, module in zip(target.attention.linear, (cross.query, cross.key_value, cross.output), strict=True):
            _set(linear, module.weight, module.bias)
        _set_norm(target.attention.layer_norm, norm)
        norm = layer.norm3
    _set(target.ffn.linear_0, layer.feed_forward.linear1.weight, layer.feed_forward.linear1.bias)
    _set(target.ffn.linear_1, layer.feed_forward.linear2.weight, layer.feed_forward.linear2.bias)
    _set_norm(target.ffn.layer_norm, norm)


def _set(target: Any, weight: Any, bias: Any) -> None:
    target.weight, target.bias = weight.numpy(), bias.numpy()


def _set_norm(target: Any, norm: Any) -> None:
    target.gamma, target.beta = norm.weight.numpy(), norm.bias.numpy()


def load(job: Job) -> CTranslate:
    """For the worker."""
    return CTranslate(job)
