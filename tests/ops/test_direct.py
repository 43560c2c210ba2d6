import pytest
import torch

from amt.ops.direct import direct


@pytest.fixture
def called():
    calls = []
    return calls, direct(lambda *given: calls.append("op"), lambda *given: calls.append("function"))


def test_the_op_is_called_for_gradients_and_graphs_only(called, monkeypatch):
    calls, call = called
    tensor, leaf = torch.ones(3), torch.ones(3, requires_grad=True)
    call(tensor, None, 3)
    call(torch.nn.Parameter(tensor, requires_grad=False))
    call(tensor, leaf)
    with torch.no_grad():
        call(tensor, leaf)
    with torch._subclasses.FakeTensorMode() as mode:
        call(mode.from_tensor(tensor))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    call(tensor)
    assert calls == ["function", "function", "op", "function", "op", "op"]
