"""What a step of decoding on a GPU should cost, by a model of bytes, products and launches. Needs no GPU.

    python benchmarks/gpu_costs.py

prints the table of docs/gpu.md. It counts what kernels/cuda reads and writes; nothing of it was measured.
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


def cost(gpu: Gpu, model: Model, num_prompts: int, num_beams: int, length: int, trunk: float) -> Cost:
    """A step of so many prompts and beams over caches of this length, of which the share `trunk` is common to beams."""
    rows = num_prompts * num_beams
    launches = 8 * model.num_layers + 2
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
    """Print a row for each GPU and number of streams."""
    print("| GPU | streams | launches | weights, MB | cached, MB | launching, us | products, us | attention, us | us |")
    print("|---|---|---|---|---|---|---|---|---|")
    for gpu in GPUS:
        for num_prompts, num_beams in ((1, 1), (1, 4), (32, 1), (128, 4)):
            found = cost(gpu, Model(), num_prompts, num_beams, 512, 0.75 if num_beams > 1 else 0.0)
            megabytes = f"{found.weight_bytes / 1e6:.0f} | {found.cached_bytes / 1e6:.0f}"
            parts = (found.launching, found.products, found.attention, found.total)
            times = " | ".join(f"{1e6 * part:.0f}" for part in parts)
            print(f"| {gpu.name} | {num_prompts} x {num_beams} | {found.launches} | {megabytes} | {times} |")


if __name__ == "__main__":
    main()
