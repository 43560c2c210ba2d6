"""What a run needs to go on where it stopped, on disk, without pickle.

Each save makes a new folder `state-STEP`, which gets this name when it is whole; then the older ones go.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from amt.files import new_folder, remove_folder, remove_leftovers, writing_tensors
from amt.training.ranks import spread_like, whole

_PREFIX = "state-"


def _states(run: Path) -> list[Path]:
    """The folders of the states, the oldest first."""
    return sorted(path.parent for path in run.glob(f"{_PREFIX}*/state.json"))


def save_state(
    run: Path,
    step: int,
    model: torch.nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    average: torch.nn.Module | None,
    extra: dict[str, Any],
    *,
    is_writer: bool = True,
) -> None:
    """Save after `step` steps; older states go once the new one is whole.

    Among several processes each must call it, since the weights may be spread over them; one is the writer.

    Raises:
        DiskFullError: there is no room for it; the older states are all there. OSError: `run` cannot be written.
    """
    files = {"model": _whole_state(model)}
    if average is not None:
        files["average"] = _whole_state(average)
    files["optimizer"] = {
        f"{place}.{index}.{name}": whole(value)
        for place, optimizer in enumerate(optimizers)
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }
    folder = run / f"{_PREFIX}{step:010d}"
    if not is_writer or (folder / "state.json").exists():
        return
    size = sum(tensor.nbytes for tensors in files.values() for tensor in tensors.values())
    with new_folder(folder, size) as new:
        for name, tensors in files.items():
            with writing_tensors():
                save_file(tensors, new / f"{name}.safetensors")
        (new / "state.json").write_text(json.dumps({"step": step, **extra}) + "\n", encoding="utf-8")
    keep_newest_state(run)


def keep_newest_state(run: Path) -> None:
    """Remove the older states, and what killed processes left. Nobody else may write to the run's folder now."""
    remove_leftovers(run)
    newest = _states(run)[-1:]
    for folder in run.glob(f"{_PREFIX}*"):
        if folder not in newest:  # older, or half of one by an AMT that gave it the name before it was whole
            remove_folder(folder)


def load_state(
    run: Path,
    model: torch.nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    average: torch.nn.Module | None = None,
) -> dict[str, Any] | None:
    """Load the newest whole state into model, optimizers and average; None if there is none.

    A run that gets an average later begins it with the weights it has then.
    """
    found = _states(run)
    if not found:
        return None
    folder = found[-1]
    _load_spread(model, folder / "model.safetensors")
    if average is not None:
        if (folder / "average.safetensors").exists():
            _load_spread(average, folder / "average.safetensors")
        else:
            average.module.load_state_dict(model.state_dict())  # type: ignore[union-attr]
    moments: list[dict[int, dict[str, torch.Tensor]]] = [{} for _ in optimizers]
    parameters = [[p for group in optimizer.param_groups for p in group["params"]] for optimizer in optimizers]
    for name, value in load_file(folder / "optimizer.safetensors").items():
        place, index, key = name.split(".")
        like = parameters[int(place)][int(index)]
        # Counters of steps have no dimension; the rest is shaped like its parameter.
        moments[int(place)].setdefault(int(index), {})[key] = spread_like(value, like) if value.dim() else value
    for optimizer, own in zip(optimizers, moments, strict=True):
        optimizer.load_state_dict({"state": own, "param_groups": optimizer.state_dict()["param_groups"]})
    state: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    return state


def _whole_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: whole(value) for name, value in model.state_dict().items()}


def _load_spread(model: torch.nn.Module, path: Path) -> None:
    own = model.state_dict()
    model.load_state_dict(
        {name: spread_like(value, own[name]) if name in own else value for name, value in load_file(path).items()}
    )
