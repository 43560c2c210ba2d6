"""Models that read attributes: beside the text, in training and through both backends."""

import dataclasses

import pytest
import torch

from amt.decoding import decode, make_request
from amt.decoding.backends import choose
from amt.decoding.backends.engine import Engine
from amt.models import MusicTransformer
from amt.ops.native import is_available
from amt.request.options import GenerationConfig
from amt.testing import assert_within_bound

SIZES = {
    "vocab_size": 37, "d_model": 24, "nhead": 3, "num_encoder_layers": 1, "num_decoder_layers": 2,
    "dim_feedforward": 20, "dropout": 0.0, "max_sequence_length": 40, "text_embedding_dim": 6,
}  # fmt: skip


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = MusicTransformer(**SIZES, attributes=("drums", "tempo"), norm_first=True).eval()
    with torch.no_grad():
        model.output_weight *= 4
    return model


@pytest.fixture
def text():
    return torch.randn(3, 2, 6, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_they_matter_and_padding_does_not(model, text):
    model, text, tokens = model.double(), text.double(), torch.arange(1, 12).expand(3, -1)
    ids = torch.tensor([[1, 7], [2, 0], [0, 0]])
    told, plain = model(text, tokens, attribute_ids=ids), model(text, tokens)
    assert not torch.equal(told[:2], plain[:2])
    with_zeros = torch.cat((ids, torch.zeros(3, 2, dtype=torch.long)), 1)
    model.attribute_embedding.weight[0] = 99.0
    assert_within_bound(model(text, tokens, attribute_ids=with_zeros), told)
    assert_within_bound(told[2], plain[2])


def test_gradients_reach_what_is_told(model, text):
    tokens = torch.arange(1, 12).expand(3, -1)
    model(text, tokens, attribute_ids=torch.tensor([[1, 7], [2, 0], [0, 0]])).square().mean().backward()
    moved = model.attribute_embedding.weight.grad.abs().sum(1).nonzero().flatten().tolist()
    assert moved == [1, 2, 7]


@pytest.mark.parametrize(
    "options",
    [{"do_sample": False}, {"num_return_sequences": 2, "guidance_scale": 2.0}, {"do_sample": False, "num_beams": 3}],
)
def test_the_engine_equals_plain_pytorch(model, text, options):
    if not is_available():
        pytest.skip("the compiled engine is not built")
    config = GenerationConfig(max_new_tokens=20, **options)
    found = []
    for decoder in (model, Engine(model)):
        negative = torch.zeros(1, 1, 6)
        request = make_request(decoder, text, None, config, negative_embeddings=negative, seeds=[1, 2, 3])
        facts = [(1, 7), (2,), ()]
        prompts = [dataclasses.replace(p, attributes=told) for p, told in zip(request.prompts, facts, strict=True)]
        request = dataclasses.replace(request, prompts=tuple(prompts))
        results = decode(choose(decoder, request, backend="plain"), request)
        found.append([[hypothesis.token_ids for hypothesis in rows] for rows in results])
    assert found[0] == found[1]


def test_a_model_without_them_refuses_them(text):
    plain = MusicTransformer(**SIZES)
    with pytest.raises(ValueError, match="reads no attributes"):
        plain.encode(text, None, torch.tensor([[1], [2], [3]]))
    with pytest.raises(ValueError, match="no attribute 'tempos'"):
        MusicTransformer(**SIZES, attributes=("tempos",))
