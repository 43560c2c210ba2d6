"""One process, or several that `torchrun` started and that train one model together."""

from __future__ import annotations

import dataclasses
import os
from typing import Literal

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor, distribute_tensor

from amt.devices import best_device, open_device
from amt.nn.layers import Decoder, Encoder
from amt.training.objective import Objective

Parallel = Literal["ddp", "fsdp"]


@dataclasses.dataclass(frozen=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank, world_size: which one it is, and how many there are.
        device: where it computes.
    """

    rank: int
    world_size: int
    device: torch.device

    @classmethod
    def join(cls, device: str | None) -> Ranks:
        """Join the group that `torchrun` describes in the environment; without it, this process alone.

        Args:
            device: "cpu", "cuda" or "cuda:N"; None: a GPU if there is one.
        """
        place = best_device() if device is None else open_device(device)
        world_size = int(os.environ.get("WORLD_SIZE", "1"))
        if world_size == 1:
            return cls(0, 1, place)
        if place.type == "cuda":
            if device not in (None, "cuda"):
                raise ValueError(
                    f"several processes take the GPUs of their numbers; give cuda or nothing, not {device}"
                )
            place = open_device(f"cuda:{os.environ['LOCAL_RANK']}")
            torch.cuda.set_device(place)
        if not dist.is_initialized():
            dist.init_process_group("gloo" if place.type == "cpu" else "nccl")
        return cls(dist.get_rank(), world_size, place)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def shard(self, objective: Objective) -> None:
        """Spread the parameters over all processes (FSDP2), stack by stack. Call it before an optimizer sees them."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(self.device.type, (self.world_size,))
        # Not layer by layer: the decoder projects the text for all its layers before it calls the first.
        for stack in objective.model.children():
            if isinstance(stack, (Encoder, Decoder)):
                fully_shard(stack, mesh=mesh)
        fully_shard(objective.model, mesh=mesh)

    def replicate(self, objective: Objective) -> torch.nn.Module:
        """The objective with gradients that are averaged over all processes; itself where there is one."""
        if self.world_size == 1:
            return objective
        # A process whose rows all lost their captions has no gradient for MIDI -> text.
        is_partial = objective.config.caption_dropout > 0
        return torch.nn.parallel.DistributedDataParallel(objective, find_unused_parameters=is_partial)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def of_first(self, value: float) -> float:
        """The first process's value, in all of them."""
        if self.world_size == 1:  # the device is not asked
            return value
        return float(self.sum(torch.tensor(value if self.is_first else 0.0, dtype=torch.float64, device=self.device)))

    def wait(self) -> None:
        """Until every process is here."""
        if self.world_size > 1:
            dist.barrier()


def whole(value: torch.Tensor) -> torch.Tensor:
    """A tensor that may be spread over processes, as one on the CPU. Every process must call it."""
    value = value.detach()
    return (value.full_tensor() if isinstance(value, DTensor) else value).cpu().contiguous()


def spread_like(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A whole tensor, spread over processes as `like` is and on its device."""
    value = value.to(like.device)
    if isinstance(like, DTensor) and value.shape == like.shape:
        return distribute_tensor(value, like.device_mesh, like.placements)
    return value
