"""Calls of all ops with wrong numbers, tensors and texts: `python boundary_calls.py SEED NUM`, a process of its own.

Each call is a good one in which one to three things are changed. It may work or raise; what it may not do is end the
process, hang, or take more memory than MAX_BYTES. Prints how many worked and how many of each kind of error there were.
"""

import json
import random
import re
import resource
import sys

import torch

from amt.midi.config import TokenizerConfig
from amt.midi.limits import Constraints
from amt.ops import native
from amt.ops.decode import empty_block

MAX_BYTES = 6 << 30  # of addresses; what torch takes for itself included
HUGE = (
    0, 1, -1, 2, 3, 7, 64, 65, 1 << 16, 1 << 20, 1 << 31, (1 << 31) - 1, -(1 << 31), 1 << 32, (1 << 32) + 1, 1 << 40,
    (1 << 62) + 1, (1 << 63) - 1, -(1 << 63),
)  # fmt: skip
WORDS = ("nan", "inf", "-inf", "1e999", "-1e30", "0", "-1", "2", "1e-30", "abc", "", "1 2 3", "\0", *map(str, HUGE))
SHAPE = {
    "vocab_size": 259 + 4 + 8, "d_model": 16, "num_heads": 2, "num_layers": 2, "hidden_size": 24,
    "max_sequence_length": 24, "norm_first": 1, "activation": "swiglu", "positions": "rotary", "dtype": "float32",
}  # fmt: skip
VOCABULARY = TokenizerConfig("performance", max_time_shift=4, num_velocities=8)


def text(values):
    return "".join(f"{name} {value}\n" for name, value in values.items())


def zeros(*size, dtype=torch.float32):
    return torch.zeros(*size, dtype=dtype)


def attention_tensors(backward):
    big, lse = (2, 3, 5, 8), (2, 3, 5)
    empty = [zeros(0, dtype=torch.uint8), zeros(0, dtype=torch.int32), zeros(0, dtype=torch.int32), zeros(0), zeros(0)]
    options, factors, isa = [1, 1, 0, 0, 0], [1.0, 1.0, 0.0, 1e-6], "generic"
    tensors = [torch.randn(*big) for _ in range(4)]
    more = [torch.randn(*big), zeros(*lse), *(zeros(*big) for _ in range(3))] if backward else []
    return [*tensors, zeros(*lse), *more, *empty, options, factors, isa]


def packed_decoder(shape=SHAPE, make=zeros):
    ops = native.ops()
    packed = empty_block(ops.packed_decoder_bytes(text(shape)))
    sizes = []
    while True:  # the sizes of its tensors, as the op tells them
        try:
            ops.pack_decoder_(packed, text(shape), [make(size) for size in sizes])
            return packed, sizes
        except RuntimeError as error:
            if found := re.search(r"have (\d+) tensors", str(error)):
                sizes = [0] * int(found[1])
            elif found := re.search(r"tensor (\d+) has \d+ numbers, expected (\d+)", str(error)):
                sizes[int(found[1])] = int(found[2])
            else:
                raise


def start_call(packed, draw):
    options = {"mode": draw.choice(["greedy", "sample", "beams"]), "num_rows": 1, "eos_token_id": 2, "temperature": 1}
    options |= {"top_p": 0.9, "top_k": 5, "prompt_lookup_num_tokens": draw.choice([0, 3])}
    if options["mode"] != "greedy":
        options["num_rows"] = 3
    has_search = draw.random() < 0.8
    if not has_search:
        options = {"has_search": 0, "num_rows": 2}
    lists = {
        "memory": 0, "prefix_len": 1, "max_new_tokens": 9, "seed": 3, "first_sequence": 0, "num_bars": 0,
        "grammar": 0, "history_len": 0, "num_before": 0, "tokens_left": 0, "room": 6, "negative_memory": -1,
    }  # fmt: skip
    options["min_new_tokens"] = 0
    limits = Constraints(max_steps=50, max_polyphony=3).to_text()
    if not has_search:
        del options["min_new_tokens"]
    memory = torch.randn(2, 2, 2, 3, 8)
    return [
        packed, text(options), text(lists), VOCABULARY.to_text(), [limits], "", [memory],
        [zeros(0, dtype=torch.uint8)], torch.tensor([1], dtype=torch.int32), zeros(0, dtype=torch.int32),
    ]  # fmt: skip


def changed_text(value, draw):
    lines = value.splitlines() or [""]
    place = draw.randrange(len(lines))
    name, _, _ = lines[place].partition(" ")
    kind = draw.random()
    if kind < 0.8:
        lines[place] = f"{name} {draw.choice(WORDS)}"
    elif kind < 0.9:
        lines.append(draw.choice(lines))
    else:
        del lines[place]
    return "\n".join(lines)


def changed_tensor(value, draw):
    kind = draw.randrange(11)
    if value.is_meta or value.untyped_storage().nbytes() < value.numel() * value.itemsize:  # changed twice
        return value
    if kind == 0:
        return value.to(draw.choice([torch.float64, torch.int64, torch.uint8, torch.bool, torch.bfloat16]))
    if kind == 1:
        return value.flatten()[: draw.randrange(value.numel() + 1)]
    if kind == 2:
        return value.new_zeros(draw.choice([(0,), (1,), (3, 0, 5), (2, 3, 4, 5, 6), ()]))
    if kind == 3 and value.dim() > 1:
        return value.transpose(0, value.dim() - 1)
    if kind == 4:  # its memory is gone
        value = value.clone()
        value.untyped_storage().resize_(draw.choice([0, value.untyped_storage().nbytes() // 2]))
        return value
    if kind == 5:
        return value.to("meta")
    if kind == 6 and value.numel():
        return value.flatten()[:1].expand(draw.choice([7, 1 << 20]))
    if kind == 7:
        return torch.randint(0, 256, value.shape).to(value.dtype)
    if kind == 8 and value.numel():
        return torch.full_like(value, draw.choice([-1, 1, 100]) if value.dtype != torch.uint8 else 255)
    if kind == 9:
        return torch.cat([value.flatten(), value.flatten()])
    if kind == 10 and value.dim() == 4 and value.shape[3]:
        return value[:, :, :, :1].expand(*value.shape)  # the stride of head_dim is 0
    return value[None]


def changed(value, draw):
    if isinstance(value, torch.Tensor):
        return changed_tensor(value, draw)
    if isinstance(value, str):
        return changed_text(value, draw) if "\n" in value else draw.choice(["generic", "none", "", "avx512", "\0"])
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return draw.choice(HUGE)
    if isinstance(value, float):
        return draw.choice([float("nan"), float("inf"), -1.0, 0.0, 1e300])
    if isinstance(value, list):
        if value and draw.random() < 0.8:
            place = draw.randrange(len(value))
            return [*value[:place], changed(value[place], draw), *value[place + 1 :]]
        return value + value[-1:] if draw.random() < 0.5 else value[:-1]
    return value


class Caller:
    def __init__(self, seed):
        self.draw = random.Random(seed)
        self.packed, self.sizes = packed_decoder()
        self.counts = {}

    def call(self, name, arguments, most=3):
        for _ in range(self.draw.randrange(most + 1)):
            place = self.draw.randrange(len(arguments))
            arguments = [*arguments[:place], changed(arguments[place], self.draw), *arguments[place + 1 :]]
        result = None
        try:
            result = getattr(native.ops(), name)(*arguments)
            kind = "worked"
        except (RuntimeError, NotImplementedError) as error:  # NotImplementedError: on no such device
            told = native.translated(error)
            kind = type(told).__name__
        key = f"{name} {kind}"
        self.counts[key] = self.counts.get(key, 0) + 1
        return result

    def generation(self):
        packed = self.packed.clone() if self.draw.random() < 0.1 else self.packed
        number, other = (self.call("generation_start", start_call(packed, self.draw), most=2) for _ in range(2))
        if number is None:
            return
        progress = zeros(7, dtype=torch.int64)
        int32 = torch.int32
        for _ in range(self.draw.randrange(1, 8)):
            rows = self.draw.choice([1, 2, 3])
            tokens = torch.ones(rows, 2, dtype=int32)
            calls = [
                ("generation_run_", [number, progress, 1, self.draw.choice([0, 1, 3, 20, 20]), 10, False, "generic"]),
                ("generation_append_", [number, zeros(rows, dtype=int32), tokens, zeros(rows, 2, 271), 1, "generic"]),
                ("generation_read_", [number, zeros(1, rows, 3, dtype=torch.int64), zeros(1, rows, 10, dtype=int32),
                                      zeros(1, rows, 10), zeros(1, rows, dtype=torch.float64)]),
                ("generation_new_tokens_", [number, 0, 0, zeros(64, dtype=int32), zeros(64)]),
                ("generation_status_", [number, 0, zeros(3, dtype=torch.int64)]),
                ("generation_restart", [number, 0, torch.ones(1, dtype=int32), 3, 0, zeros(0, dtype=int32), 0, 0]),
                ("generation_join", [number, other or 0]),
                ("generation_leave", [number, 0]),
            ]  # fmt: skip
            self.call(*self.draw.choice([calls[0], calls[0], *calls]), most=1)
        native.ops().generation_end(number)
        native.ops().generation_end(other or 0)

    def any_call(self):
        kind = self.draw.randrange(10)
        if kind < 5:
            self.generation()
        elif kind == 5:
            self.call("native_attention_forward_", attention_tensors(False))
        elif kind == 6:
            self.call("native_attention_backward_", attention_tensors(True))
        elif kind == 7:
            is_back = self.draw.random() < 0.5
            grad, output = (zeros(5, 6), zeros(5, 12)) if is_back else (zeros(0), zeros(5, 6))
            self.call("native_swiglu_", [torch.randn(5, 12), grad, output, [1], "generic"])
        elif kind == 8:
            self.call("native_orthogonalize_", [[torch.randn(5, 7), torch.randn(3, 3)], [1, 2], [1.0] * 4, "generic"])
        else:
            self.call("packed_decoder_bytes", [text(SHAPE)])
            self.call("packed_vocab_size", [self.packed.clone()])
            tensors = [zeros(size) for size in self.sizes]
            self.call("pack_decoder_", [empty_block(len(self.packed)), text(SHAPE), tensors])


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    torch.set_num_threads(1)
    caller = Caller(int(sys.argv[1]))
    for _ in range(int(sys.argv[2])):
        caller.any_call()
    print(json.dumps(caller.counts, indent=1, sort_keys=True))
