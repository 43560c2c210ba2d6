"""What a run needs to go on where it stopped, on disk, without pickle.

Each save makes a new folder `state-STEP`; it counts once `state.json` is in it, which is written last.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

_PREFIX = "state-"


def _complete(run: Path) -> list[Path]:
    return sorted(path.parent for path in run.glob(f"{_PREFIX}*/state.json"))


def save_state(
    run: Path, step: int, model: torch.nn.Module, optimizers: Sequence[torch.optim.Optimizer], extra: dict[str, Any]
) -> None:
    """Save after `step` steps; older states go once the new one is whole."""
    older = list(run.glob(f"{_PREFIX}*"))
    folder = run / f"{_PREFIX}{step:010d}"
    if (folder / "state.json").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors")
    moments = {
        f"{place}.{index}.{name}": value.contiguous()
        for place, optimizer in enumerate(optimizers)
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }
    save_file(moments, folder / "optimizer.safetensors")
    for path in folder.iterdir():
        with open(path, "rb") as stream:
            os.fsync(stream.fileno())
    temporary = folder / "state.json.tmp"
    temporary.write_text(json.dumps({"step": step, **extra}) + "\n", encoding="utf-8")
    os.replace(temporary, folder / "state.json")
    for path in older:
        shutil.rmtree(path, ignore_errors=True)


def load_state(run: Path, model: torch.nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Any] | None:
    """Load the newest whole state into model and optimizers; None if there is none."""
    found = _complete(run)
    if not found:
        return None
    folder = found[-1]
    model.load_state_dict(load_file(folder / "model.safetensors"))
    moments: list[dict[int, dict[str, torch.Tensor]]] = [{} for _ in optimizers]
    for name, value in load_file(folder / "optimizer.safetensors").items():
        place, index, key = name.split(".")
        moments[int(place)].setdefault(int(index), {})[key] = value
    for optimizer, own in zip(optimizers, moments, strict=True):
        optimizer.load_state_dict({"state": own, "param_groups": optimizer.state_dict()["param_groups"]})
    state: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    return state
