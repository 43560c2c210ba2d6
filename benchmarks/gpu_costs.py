"""What a step of decoding on a GPU should cost, and a prefix, by a model of bytes, products and launches. Needs no GPU.

    python benchmarks/gpu_costs.py

prints the tables of docs/gpu.md. It counts what kernels/cuda reads and writes; nothing of it was measured.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Gpu:
    """What a GPU gives: bytes/s of its memory and of its L2 cache, products/s in bfloat16, s from kernel to kernel."""

    name: str
    memory: float
    cache: float
    products: float
    gap: float
    cache_bytes: float


@dataclasses.dataclass(frozen=True)
class Model:
    """The sizes of a decoder; the default is that of `amt.ModelConfig`, with 512 tokens."""

    d_model: int = 512
    num_layers: int = 6
    hidden: int = 2048
    vocab_size: int = 512
    text_len: int = 64

    @property
    def weights(self) -> int:
        """Numbers of the matrices that a step multiplies by."""
        of_layer = 4 * self.d_model**2 + 2 * self.d_model**2 + 2 * self.d_model * self.hidden
        return self.num_layers * of_layer + self.vocab_size * self.d_model


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one step, in seconds but for the first three."""

    launches: int
    weight_bytes: float
    cached_bytes: float
    launching: float
    products: float
    attention: float

    @property
    def total(self) -> float:
        """Kernels wait for each other, so that the parts add up."""
        return self.launching + self.products + self.attention


# Assumptions: what a copy and a product of matrices reach in practice, and 1.3 us from kernel to kernel in a CUDA
# graph, published for an H100 by Hazy Research in 2025. `benchmarks/gpu.py` measures them.
GPUS = (
    Gpu("H200", 4.3e12, 5.5e12, 550e12, 1.3e-6, 50e6),
    Gpu("RTX 4090", 0.95e12, 3.5e12, 150e12, 1.3e-6, 72e6),
)
ROWS_AT_ONCE = 8  # kRows: the weights are read once for so many rows
BYTES = 2  # of a number in bfloat16
# Of a prefix: rows of a pass (Prefixes::kMostRows), rows and features of a tile (prefix_linear.cu), queries of a block
# (prefix_attention.cu), and s from kernel to kernel without a graph, an assumption.
PASS_ROWS, TILE, QUERIES, GAP_WITHOUT_GRAPH = 2048, 64, 64, 3e-6


def launches_of_step(num_layers: int, *, is_loop: bool = True) -> int:
    """Kernels of a step of a decoder with its norms before the sublayers, and cross-attention in every layer."""
    return 9 * num_layers + 4 + (1 if is_loop else 0)


def launches_of_pass(num_layers: int, *, turns: bool = False) -> int:
    """Kernels of a pass over prefixes; of the last layer only keys and values are made."""
    return 12 * (num_layers - 1) + 4 + (1 if turns else 0)


@dataclasses.dataclass(frozen=True)
class PrefixCost:
    """Of reading prefixes, in seconds but for the first three: what is read of the L2 cache."""

    launches: int
    tile_bytes: float
    key_bytes: float
    launching: float
    products: float
    attention: float

    @property
    def total(self) -> float:
        """Kernels wait for each other, so that the parts add up."""
        return self.launching + self.products + self.attention


def prefix_cost(gpu: Gpu, model: Model, num_prompts: int, length: int) -> PrefixCost:
    """So many prompts, each with a prefix of so many tokens."""
    rows = num_prompts * (length - 1)
    d, hidden, num_layers = model.d_model, model.hidden, model.num_layers
    num_passes = -(-rows // PASS_ROWS)
    launches = num_passes * launches_of_pass(num_layers)
    whole_layers = num_layers - 1
    weights = num_layers * 3 * d * d + whole_layers * (3 * d * d + 2 * d * hidden)
    tile_bytes = rows * weights / TILE * (BYTES + 4)  # inputs are float32
    pairs = num_prompts * length * length / 2 + rows * model.text_len
    key_bytes = whole_layers * pairs / QUERIES * 2 * BYTES * d
    attention = max(key_bytes / gpu.cache, whole_layers * 4 * pairs * d / gpu.products)
    return PrefixCost(
        launches,
        tile_bytes,
        key_bytes,
        launches * GAP_WITHOUT_GRAPH,
        max(tile_bytes / gpu.cache, 2 * weights * rows / gpu.products),
        attention,
    )


def cost(gpu: Gpu, model: Model, num_prompts: int, num_beams: int, length: int, trunk: float) -> Cost:
    """A step of so many prompts and beams over caches of this length, of which the share `trunk` is common to beams."""
    rows = num_prompts * num_beams
    launches = launches_of_step(model.num_layers)
    weight_bytes = BYTES * model.weights
    # They fit the cache of both GPUs: the first 8 rows read them from memory, the others from there.
    turns = -(-rows // ROWS_AT_ONCE)
    reading = weight_bytes / gpu.memory + (turns - 1) * weight_bytes / gpu.cache
    products = max(reading, 2 * model.weights * rows / gpu.products)
    of_position = 2 * BYTES * model.d_model * model.num_layers
    read_rows = num_prompts * (trunk + (1 - trunk) * num_beams)
    cached = of_position * (read_rows * length + num_prompts * model.text_len)
    return Cost(launches, turns * weight_bytes, cached, launches * gpu.gap, products, cached / gpu.memory)


def main() -> None:
    """Print a row for each GPU and number of streams, then one for each GPU and number of prefixes."""
    print("| GPU | streams | launches | weights, MB | cached, MB | launching, us | products, us | attention, us | us |")
    print("|---|---|---|---|---|---|---|---|---|")
    for gpu in GPUS:
        for num_prompts, num_beams in ((1, 1), (1, 4), (32, 1), (128, 4)):
            found = cost(gpu, Model(), num_prompts, num_beams, 512, 0.75 if num_beams > 1 else 0.0)
            megabytes = f"{found.weight_bytes / 1e6:.0f} | {found.cached_bytes / 1e6:.0f}"
            parts = (found.launching, found.products, found.attention, found.total)
            times = " | ".join(f"{1e6 * part:.0f}" for part in parts)
            print(f"| {gpu.name} | {num_prompts} x {num_beams} | {found.launches} | {megabytes} | {times} |")
    print("\n| GPU | prefixes | launches | tiles, MB | keys, MB | launching, us | products, us | attention, us | us |")
    print("|---|---|---|---|---|---|---|---|---|")
    for gpu in GPUS:
        for num_prompts in (1, 32):
            prefix = prefix_cost(gpu, Model(), num_prompts, 1024)
            megabytes = f"{prefix.tile_bytes / 1e6:.0f} | {prefix.key_bytes / 1e6:.0f}"
            parts = (prefix.launching, prefix.products, prefix.attention, prefix.total)
            times = " | ".join(f"{1e6 * part:.0f}" for part in parts)
            print(f"| {gpu.name} | {num_prompts} x 1,024 | {prefix.launches} | {megabytes} | {times} |")


if __name__ == "__main__":
    main()
