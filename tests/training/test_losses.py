import math

import torch

from amt.testing import assert_within_bound
from amt.training.losses import embedding_loss, token_loss


def test_token_loss_is_the_mean_over_real_targets():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 5, dtype=torch.float64)
    targets = torch.tensor([[4, 2, 0], [1, 0, 0]])
    log_probs = logits.log_softmax(-1)
    truth = -(log_probs[0, 0, 4] + log_probs[0, 1, 2] + log_probs[1, 0, 1]) / 3
    assert_within_bound(token_loss(logits, targets), truth)


def test_another_pad_token():
    logits = torch.zeros(1, 3, 7, dtype=torch.float64)
    logits[0, 2] = torch.arange(7)
    loss = token_loss(logits, torch.tensor([[0, 1, 6]]), pad_token_id=6)
    assert_within_bound(loss, torch.tensor(math.log(7), dtype=torch.float64))


def test_padding_alone_gives_zero_and_no_gradient():
    logits = torch.randn(2, 3, 5, requires_grad=True)
    loss = token_loss(logits, torch.zeros(2, 3, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros(2, 3, 5))


def test_half_precision_is_summed_in_float32():
    logits = torch.randn(2, 3, 659, generator=torch.Generator().manual_seed(0)).bfloat16()
    targets = torch.tensor([[1, 2, 3], [4, 5, 0]])
    assert token_loss(logits, targets).dtype == torch.float32
    assert_within_bound(token_loss(logits, targets), token_loss(logits.double(), targets))


def test_embedding_loss_is_the_mean_square():
    assert embedding_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 3.0]])).item() == 2.5
