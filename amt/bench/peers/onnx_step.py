"""ONNX Runtime: one decoder step with past keys and values, exported from torch, called in a loop.

Its best settings: all graph optimizations (its default), the choice of tokens and the reordering of beams inside the
graph, and I/O binding, so that what a step gives is bound to the next one and no keys or values pass through Python.
The past grows by concatenation, as in the models that exporters make. int8 is its own dynamic quantization, weights for
each channel; the text's layers, which run once, stay in float32.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from amt.bench.cases import BOS, EOS, SRC_LEN, TOP_P, DecodeCase
from amt.bench.job import Job, optional, random_model, text_embeddings
from amt.nn.config import ModelConfig

FORBIDDEN = -1e9


class OnnxStep:
    """A `Runner`."""

    shared_positions: float | None = None

    def __init__(self, job: Job):
        onnxruntime = optional("onnxruntime")
        self.version = str(onnxruntime.__version__)
        self.case, self.config = job.decode_case, job.model_config
        self.text = text_embeddings(job)
        folder = Path(job.folder) / f"onnx-{self.case.mode}"
        if not (folder / "step-int8.onnx").is_file():
            _export(job, folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        suffix = "-int8" if job.dtype == "int8" else ""
        self.memory, self.step = (
            onnxruntime.InferenceSession(str(folder / file), options, providers=["CPUExecutionProvider"])
            for file in ("memory.onnx", f"step{suffix}.onnx")
        )

    def generate(self) -> list[list[int]]:
        """See `Runner`."""
        case, names = self.case, Names(self.config)
        rows = case.batch_size * case.num_beams
        head_dim = self.config.d_model // self.config.nhead
        binding = self.step.io_binding()
        memory = self.memory.io_binding()
        memory.bind_cpu_input("text", self.text)
        for name in names.memory:
            memory.bind_output(name, "cpu")
        self.memory.run_with_iobinding(memory)
        for name, value in zip(names.memory, memory.get_outputs(), strict=True):
            binding.bind_ortvalue_input(name, value)
        binding.bind_cpu_input("token_ids", np.full(rows, BOS, np.int64))
        binding.bind_cpu_input("position", np.zeros(1, np.int64))
        if case.mode == "sample":
            draws = np.random.default_rng().random((case.num_tokens, rows), dtype=np.float32)
            binding.bind_cpu_input("draws", draws)
        if case.num_beams > 1:
            scores = np.full((case.batch_size, case.num_beams), FORBIDDEN, np.float32)
            scores[:, 0] = 0.0
            binding.bind_cpu_input("scores", scores)
            binding.bind_cpu_input("rows", np.arange(rows))
        for name in names.past:
            binding.bind_cpu_input(name, np.zeros((rows, self.config.nhead, 0, head_dim), np.float32))
        outputs = [output.name for output in self.step.get_outputs()]
        given = [*names.carried(case), *names.past]
        tokens, parents = [], []
        for _ in range(case.num_tokens):
            for name in outputs:
                binding.bind_output(name, "cpu")
            self.step.run_with_iobinding(binding)
            values = dict(zip(given, binding.get_outputs(), strict=True))
            for name, value in values.items():
                binding.bind_ortvalue_input(name, value)
            tokens.append(values["token_ids"].numpy())
            if case.num_beams > 1:
                parents.append(values["rows"].numpy())
        return _sequences(tokens, parents, case)


def _sequences(tokens: list[Any], parents: list[Any], case: DecodeCase) -> list[list[int]]:
    """Each prompt's tokens; with beams the best one's, followed back."""
    if case.num_beams == 1:
        return np.stack(tokens, 1).tolist()  # type: ignore[no-any-return]
    rows = np.arange(case.batch_size) * case.num_beams
    backwards = []
    for step_tokens, step_parents in zip(reversed(tokens), reversed(parents), strict=True):
        backwards.append(step_tokens[rows])
        rows = step_parents[rows]
    return np.stack(backwards[::-1], 1).tolist()  # type: ignore[no-any-return]


class Names:
    """The inputs and outputs of the graphs."""

    def __init__(self, config: ModelConfig):
        each = [f"{index}_{which}" for index in range(config.num_decoder_layers) for which in ("key", "value")]
        self.past = [f"past_{name}" for name in each]
        self.memory = [f"memory_{name}" for name in each]

    def carried(self, case: DecodeCase) -> list[str]:
        """What a step gives to the next one, beside its past."""
        return ["token_ids", "position", *(["scores", "rows"] if case.num_beams > 1 else [])]


def _export(job: Job, folder: Path) -> None:
    """Write memory.onnx, step.onnx and step-int8.onnx."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    onnx, quantization = optional("onnx"), optional("onnxruntime.quantization")
    model = random_model(job.model_config)
    case, config = job.decode_case, job.model_config
    num_heads, num_beams, vocab_size = config.nhead, case.num_beams, config.vocab_size
    head_dim = config.d_model // num_heads

    def attend(query: Any, key: Any, value: Any) -> Any:
        return torch.softmax(query @ key.transpose(-1, -2) * head_dim**-0.5, -1) @ value

    class Memory(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.projection, self.layers, self.decoder = model.text_projection, model.encoder.layers, model.decoder
            self.register_buffer("table", model.encoder.positions.table[:SRC_LEN].clone())

        def forward(self, text: Any) -> tuple[Any, ...]:
            x = self.projection(text) + self.table
            layer: Any
            for layer in self.layers:
                qkv = layer.self_attention.query_key_value(x).reshape(-1, SRC_LEN, 3, num_heads, head_dim)
                mixed = attend(*qkv.permute(2, 0, 3, 1, 4).unbind(0)).transpose(1, 2)
                x = layer.norm1(x + layer.self_attention.output(mixed.reshape(-1, SRC_LEN, config.d_model)))
                x = layer.norm2(x + layer.feed_forward.linear2(F.relu(layer.feed_forward.linear1(x))))
            pairs: list[Any] = []
            for layer in self.decoder.layers:
                both = layer.cross_attention.key_value(x).reshape(-1, SRC_LEN, 2, num_heads, head_dim)
                pairs += both.permute(2, 0, 3, 1, 4).unbind(0)
            return tuple(pairs)

    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.layers = model.token_embedding, model.decoder.layers
            self.register_buffer("table", model.decoder.positions.table)
            self.output = nn.Linear(config.d_model, vocab_size)
            assert model.output_weight is not None
            self.output.weight, self.output.bias = nn.Parameter(model.output_weight), model.output_bias
            forbidden = torch.zeros(vocab_size)
            forbidden[EOS] = FORBIDDEN
            self.register_buffer("forbidden", forbidden)

        def forward(self, token_ids: Any, position: Any, extra: list[Any], past: list[Any], memory: list[Any]) -> Any:
            x = self.embedding(token_ids) * model.embedding_scale + F.embedding(position, self.table)  # type: ignore[arg-type]
            if num_beams > 1:
                past = [kept.index_select(0, extra[1]) for kept in past]
            new = []
            layer: Any
            for index, layer in enumerate(self.layers):
                qkv = layer.self_attention.query_key_value(x).split(config.d_model, -1)
                query, key, value = (part.reshape(-1, num_heads, 1, head_dim) for part in qkv)
                key, value = torch.cat([past[2 * index], key], 2), torch.cat([past[2 * index + 1], value], 2)
                new += [key, value]
                mixed = attend(query, key, value).reshape(-1, config.d_model)
                x = layer.norm1(x + layer.self_attention.output(mixed))
                query = layer.cross_attention.query(x).reshape(-1, num_beams, num_heads, head_dim).transpose(1, 2)
                mixed = attend(query, memory[2 * index], memory[2 * index + 1]).transpose(1, 2)
                x = layer.norm2(x + layer.cross_attention.output(mixed.reshape(-1, config.d_model)))
                x = layer.norm3(x + layer.feed_forward.linear2(F.relu(layer.feed_forward.linear1(x))))
            logits = self.output(x) + self.forbidden
            return (*self.choose(logits, position, extra), *new)

        def choose(self, logits: Any, position: Any, extra: list[Any]) -> tuple[Any, ...]:
            if case.mode == "sample":
                probs, order = torch.softmax(logits, -1).topk(vocab_size)
                probs = torch.where(probs.cumsum(-1) - probs < TOP_P, probs, 0.0)
                sums = probs.cumsum(-1)
                draw = extra[0].index_select(0, position).transpose(0, 1) * sums[:, -1:]
                place = (sums > draw).long().argmax(-1, keepdim=True)
                return order.gather(1, place).squeeze(1), position + 1
            if num_beams == 1:
                return logits.argmax(-1), position + 1
            totals = extra[0][:, :, None] + logits.log_softmax(-1).reshape(-1, num_beams, vocab_size)
            scores, best = totals.reshape(-1, num_beams * vocab_size).topk(num_beams)
            first = torch.arange(scores.shape[0])[:, None] * num_beams
            rows = (best // vocab_size + first).reshape(-1)
            return (best % vocab_size).reshape(-1), position + 1, scores, rows

    names = Names(config)
    prompts, rows = 3, 3 * num_beams
    batch, many, length = (torch.export.Dim(name, min=1, max=1 << 16) for name in ("batch", "many", "length"))
    by_rows: Any = {0: batch if num_beams == 1 else num_beams * batch}
    extra: list[torch.Tensor] = []
    extra_names: list[str] = []
    extra_shapes: list[Any] = []
    if case.mode == "sample":
        extra, extra_names, extra_shapes = [torch.rand(7, rows)], ["draws"], [{0: many, 1: batch}]
    if num_beams > 1:
        extra = [torch.zeros(prompts, num_beams), torch.arange(rows)]
        extra_names, extra_shapes = ["scores", "rows"], [{0: batch}, by_rows]

    def cached(count: int, positions: int) -> list[torch.Tensor]:
        return [torch.randn(count, num_heads, positions, head_dim) for _ in names.past]

    inputs = (
        torch.ones(rows, dtype=torch.long),
        torch.ones(1, dtype=torch.long),
        extra,
        cached(rows, 5),
        cached(prompts, SRC_LEN),
    )
    shapes = (by_rows, None, extra_shapes, [by_rows | {2: length}] * len(names.past), [{0: batch}] * len(names.past))
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    export: dict[str, Any] = {"dynamo": True, "verbose": False}
    torch.onnx.export(
        Memory().eval(),
        (torch.zeros(prompts, SRC_LEN, config.text_embedding_dim),),
        dynamic_shapes=({0: batch},),
        input_names=["text"],
        output_names=names.memory,
        **export,
    ).save(str(folder / "memory.onnx"))  # type: ignore[union-attr]
    program: Any = torch.onnx.export(
        Step().eval(),
        inputs,
        dynamic_shapes=shapes,
        input_names=["token_ids", "position", *extra_names, *names.past, *names.memory],
        output_names=[f"new_{name}" for name in (*names.carried(case), *names.past)],
        **export,
    )
    program.optimize()
    program.save(str(folder / "step.onnx"))
    step = onnx.load(str(folder / "step.onnx"))
    del step.graph.value_info[:]  # shapes of the example, which the quantizer would believe
    onnx.save(step, str(folder / "step.onnx"))
    quantization.quantize_dynamic(
        str(folder / "step.onnx"),
        str(folder / "step-int8.onnx"),
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
    )


def load(job: Job) -> OnnxStep:
    """For the worker."""
    return OnnxStep(job)
