import pytest
import torch

from amt.ops import native_attention
from amt.testing import assert_within_bound
from amt.training.muon import Muon

SHAPES = [(24, 40), (70, 33), (8, 8)]


def parameters_after_steps(make, dtype=torch.float32, num_steps=4):
    """A gradient for each of some steps, one of them without."""
    generator = torch.Generator().manual_seed(0)
    parameters = [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in SHAPES]
    optimizer = make([{"params": parameters, "share": 1.0}])
    for step in range(num_steps):
        for index, parameter in enumerate(parameters):
            grad = torch.randn(parameter.shape, generator=generator).to(dtype)
            parameter.grad = None if (step, index) == (1, 2) else grad
        optimizer.step()
    return [parameter.detach() for parameter in parameters], optimizer.state_dict()


def torchs(groups):
    return torch.optim.Muon(groups, lr=0.1, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")


def ours(groups):
    return Muon(groups, lr=0.1, weight_decay=0.1)


def test_without_kernels_it_is_torchs_to_the_bit(monkeypatch):
    monkeypatch.setattr(native_attention, "is_fast", lambda: False)
    results = [parameters_after_steps(make) for make in (torchs, ours)]
    for one, other in zip(*(parameters for parameters, _ in results), strict=True):
        assert torch.equal(one, other)
    states = [state["state"] for _, state in results]
    for key in states[0]:
        assert torch.equal(states[0][key]["momentum_buffer"], states[1][key]["momentum_buffer"])


@pytest.mark.skipif(not native_attention.is_fast(), reason="no fast kernels here")
def test_with_kernels_it_is_as_near_to_the_truth_as_torchs(monkeypatch):
    from amt.ops.reference import newton_schulz
    from amt.training import muon

    got, own = (parameters_after_steps(make)[0] for make in (ours, torchs))
    monkeypatch.setattr(muon, "orthogonalize", lambda matrices: [newton_schulz.orthogonalize(m) for m in matrices])
    truth = parameters_after_steps(ours, torch.float64)[0]
    for one, exact, other in zip(got, truth, own, strict=True):
        assert_within_bound(one.bfloat16(), exact, other.bfloat16())


def test_the_state_of_torchs_can_be_resumed():
    _, state = parameters_after_steps(torchs)
    parameters = [torch.zeros(shape, requires_grad=True) for shape in SHAPES]
    optimizer = ours([{"params": parameters, "share": 1.0}])
    optimizer.load_state_dict(state)
    for index, parameter in enumerate(parameters):
        parameter.grad = torch.ones(parameter.shape)
        assert torch.equal(optimizer.state[parameter]["momentum_buffer"], state["state"][index]["momentum_buffer"])
    optimizer.step()
    assert all(parameter.isfinite().all() and parameter.abs().max() > 0 for parameter in parameters)
