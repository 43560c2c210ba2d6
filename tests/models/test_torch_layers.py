import copy

import pytest
import torch
from torch import nn

from amt.models import MusicTransformer
from amt.models.torch_layers import load_torch_layers, to_torch_layers
from amt.testing import assert_within_bound

TORCH_OPTIONS = [
    {"norm_first": norm_first, "activation": activation}
    for norm_first in (False, True)
    for activation in ("relu", "gelu")
]


def new_model(**options):
    torch.manual_seed(0)
    sizes = {"d_model": 24, "nhead": 3, "num_encoder_layers": 2, "num_decoder_layers": 3, "dim_feedforward": 40}
    return MusicTransformer(23, **sizes | {"text_embedding_dim": 7} | options).double().eval()


def new_torch_layers(norm_first=False, activation="relu", has_norm=None, **options):
    torch.manual_seed(1)
    options = {"dim_feedforward": 40, "batch_first": True, "dtype": torch.float64, "nhead": 3} | options
    options |= {"norm_first": norm_first, "activation": activation}

    def norm():
        return nn.LayerNorm(24, dtype=torch.float64) if (norm_first if has_norm is None else has_norm) else None

    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(24, **options), 2, norm(), enable_nested_tensor=False)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(24, **options), 3, norm())
    with torch.no_grad():  # torch's layers start as copies of one layer, with zero biases
        for weight in (*encoder.parameters(), *decoder.parameters()):
            weight.add_(torch.randn_like(weight), alpha=0.1)
    return encoder.eval(), decoder.eval()


def assert_same_outputs(model, encoder, decoder, draw):
    """In float64; in float32 torch's layers say what rounding does."""
    drawn = draw()
    ours, theirs = outputs(model, encoder, decoder, *drawn)
    in_float32 = [copy.deepcopy(module).float() for module in (model, encoder, decoder)]
    _, reference = outputs(*in_float32, *drawn)
    for our_values, values, rounded in zip(ours, theirs, reference, strict=True):
        assert_within_bound(our_values, values, rounded)


@torch.no_grad()
def outputs(model, encoder, decoder, text, text_mask, tokens):
    """The memory, the decoder's states and the logits, by our layers and by torch's."""
    dtype = model.token_embedding.weight.dtype
    text = text.to(dtype)
    token_mask = torch.arange(11) < torch.tensor([[11], [8], [1]])
    source = model.encoder.positions.add(model.text_projection(text))
    memory = encoder(source, src_key_padding_mask=~text_mask)
    target = model.decoder.positions.add(model.token_embedding(tokens) * 24**0.5)
    hidden = decoder(
        target,
        memory,
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(11, dtype=dtype),
        tgt_key_padding_mask=torch.zeros_like(token_mask, dtype=dtype).masked_fill(~token_mask, -torch.inf),
        memory_key_padding_mask=~text_mask,
    )
    our_memory = model.encode(text, text_mask)
    our_hidden = model.decoder(model._embed(tokens), our_memory, text_mask, token_mask)
    logits = model(text, tokens, text_mask, token_mask)
    their_logits = nn.functional.linear(hidden, model.output_weight, model.output_bias)
    ours = our_memory[text_mask], our_hidden[token_mask], logits[token_mask]
    return ours, (memory[text_mask], hidden[token_mask], their_logits[token_mask])


@pytest.mark.parametrize("options", TORCH_OPTIONS, ids=str)
def test_weights_load_from_torch(options, draw):
    model = new_model(**options)
    encoder, decoder = new_torch_layers(**options)
    load_torch_layers(model, encoder, decoder)
    assert_same_outputs(model, encoder, decoder, draw)


@pytest.mark.parametrize("options", TORCH_OPTIONS, ids=str)
def test_weights_go_to_torch(options, draw):
    model = new_model(**options)
    encoder, decoder = to_torch_layers(model)
    assert not encoder.training and not decoder.training
    assert_same_outputs(model, encoder, decoder, draw)


def test_there_and_back_is_exact():
    model, twin = new_model(), new_model()
    for weight in twin.parameters():
        nn.init.zeros_(weight)
    load_torch_layers(twin, *to_torch_layers(model))
    for stack in ("encoder", "decoder"):
        for name, weight in getattr(twin, stack).named_parameters():
            assert torch.equal(weight, getattr(model, stack).get_parameter(name)), name


def test_activation_modules_are_taken():
    load_torch_layers(new_model(), *new_torch_layers(activation=nn.ReLU()))


@pytest.mark.parametrize(
    ("options", "torch_options", "message"),
    [
        ({"positions": "rotary"}, {}, "positions"),
        ({"activation": "swiglu"}, {}, "activation"),
        ({"activation": "gelu"}, {}, "activation"),
        ({"norm_first": True}, {}, "has no norm after its last layer"),
        ({"norm_first": True}, {"has_norm": True}, "norm_first"),
        ({}, {"has_norm": True}, "has a norm after its last layer"),
        ({"num_encoder_layers": 3}, {}, "2 layers"),
        ({"num_decoder_layers": 2}, {}, "3 layers"),
        ({"nhead": 2}, {}, "nhead"),
        ({"dim_feedforward": 41}, {}, "a weight is"),
        ({"attention_window": 5}, {}, "attention_window 0"),
        ({"cross_attention_layers": 2}, {}, "cross-attention in every layer"),
        ({}, {"bias": False}, "bias"),
        ({}, {"layer_norm_eps": 1e-6}, "layer_norm_eps"),
    ],
    ids=str,
)
def test_layers_that_do_not_fit_change_nothing(options, torch_options, message):
    model = new_model(**options)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        load_torch_layers(model, *new_torch_layers(**torch_options))
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_options_that_torch_lacks():
    with pytest.raises(ValueError, match="positions"):
        to_torch_layers(new_model(positions="relative"))
