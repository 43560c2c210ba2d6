"""AdamW, or Muon for the matrices of the layers with AdamW for the rest."""

from __future__ import annotations

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from amt.training.config import TrainConfig
from amt.training.muon import Muon

# What Muon leaves to AdamW (embeddings, norms, biases) learns at this share of the learning rate. The shipped model was
# trained so; other shares were not tried.
ADAMW_SHARE_BESIDE_MUON = 0.4
STACKS = ("encoder.", "decoder.", "midi_encoder.")


def make_optimizers(model: torch.nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """The optimizers of a model's parameters; their groups' `share` is the part of the learning rate that they take.

    Matrices decay, norms and biases do not. "muon" orthogonalises the momentum of the layers' matrices and scales it
    to the size of an AdamW update (Jordan et al. 2024; Liu et al. 2025, arXiv:2502.16982); embeddings and the output
    layer are not such matrices.
    """
    parameters = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    is_muon = config.optimizer == "muon"
    inner = {name for name, p in parameters if p.dim() == 2 and name.startswith(STACKS)}
    of_muon = [p for name, p in parameters if is_muon and name in inner and not name.endswith("relative_bias")]
    of_adamw = [p for _, p in parameters if not any(p is other for other in of_muon)]
    share = ADAMW_SHARE_BESIDE_MUON if is_muon else 1.0
    adamw = torch.optim.AdamW(
        [
            {"params": [p for p in of_adamw if p.dim() >= 2], "weight_decay": config.weight_decay, "share": share},
            {"params": [p for p in of_adamw if p.dim() < 2], "weight_decay": 0.0, "share": share},
        ],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        fused=True,
    )
    if not is_muon:
        return [adamw]
    muon = Muon([{"params": of_muon, "share": 1.0}], lr=config.learning_rate, weight_decay=config.weight_decay)
    return [muon, adamw]


def set_learning_rate(optimizers: list[torch.optim.Optimizer], learning_rate: float) -> None:
    """The learning rate of the next step."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * group["share"]


def make_average(model: torch.nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average of a model's weights: it keeps the share `decay` of itself each step."""
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
    average.n_averaged = average.n_averaged.cpu()  # it is looked at in each step: no GPU should be waited for
    return average
