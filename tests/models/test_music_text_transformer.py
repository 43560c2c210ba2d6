import inspect

import pytest
import torch

from amt.models import MusicTextTransformer
from amt.nn.config import ModelConfig
from amt.testing import assert_within_bound
from amt.training.losses import embedding_loss, token_loss

SIZES = {
    "vocab_size": 23,
    "d_model": 24,
    "nhead": 3,
    "num_layers": 2,
    "dim_feedforward": 40,
    "max_sequence_length": 32,
    "text_embedding_dim": 7,
}


def new_model(options, **sizes):
    torch.manual_seed(0)
    return MusicTextTransformer(**SIZES | sizes, **options).double().eval()


def test_signature():
    parameters = inspect.signature(MusicTextTransformer).parameters.values()
    assert [(p.name, p.default) for p in parameters if p.kind is not p.KEYWORD_ONLY] == [
        ("vocab_size", inspect.Parameter.empty),
        ("d_model", 512),
        ("nhead", 8),
        ("num_layers", 6),
        ("dim_feedforward", 2048),
        ("dropout", 0.1),
        ("max_sequence_length", 1024),
        ("text_embedding_dim", 768),
    ]


@torch.no_grad()
def test_text_to_midi_in_steps(options, draw, rounded):
    model = new_model(options)
    text, text_mask, tokens = draw()
    truth = model(text, tokens, text_mask)
    cache = model.start_cache(model.encode(text, text_mask), text_mask)
    steps = [model.decode_step(part, cache) for part in tokens.split([3, 1, 7], dim=1)]
    assert_within_bound(torch.cat(steps, 1), truth, rounded(model, text, tokens, text_mask))


@torch.no_grad()
def test_midi_to_text_ignores_padding(options, draw, rounded):
    model = new_model(options)
    _, _, tokens = draw()
    tokens[1, 8:] = 0
    tokens[2, 1:] = 0
    embeddings = model(None, tokens, mode="midi_to_text")
    assert embeddings.shape == (3, 7)
    assert torch.equal(model.midi_to_text(tokens, tokens != 0), embeddings)
    for row, seq_len in enumerate((11, 8, 1)):
        alone = tokens[row : row + 1, :seq_len]
        assert_within_bound(
            embeddings[row, None], model.midi_to_text(alone), rounded(model, None, alone, mode="midi_to_text")
        )


@torch.no_grad()
def test_midi_to_text_reads_in_both_directions(options, draw):
    model = new_model(options)
    _, _, tokens = draw()
    hidden = model.midi_encoder(model._embed(tokens))
    tokens[:, -1] = 1 + tokens[:, -1] % 22
    assert not torch.equal(model.midi_encoder(model._embed(tokens))[:, 0], hidden[:, 0])


@torch.no_grad()
def test_midi_to_text_of_nothing_is_finite(draw):
    assert new_model({}).midi_to_text(torch.zeros(2, 5, dtype=torch.int64)).isfinite().all()


def test_another_pad_token(draw):
    _, _, tokens = draw()
    model = new_model({}, pad_token_id=22)
    assert torch.equal(model.midi_to_text(tokens), model.midi_to_text(tokens, tokens != 22))


def test_gradients_are_finite_and_both_modes_reach_every_weight(options, draw):
    model = new_model(options, dropout=0.0).train()
    text, text_mask, tokens = draw()
    tokens[1, 8:] = 0

    def names_with_gradient(loss):
        model.zero_grad(set_to_none=True)
        loss.backward()
        gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
        assert all(gradient.isfinite().all() for gradient in gradients.values())
        return set(gradients)

    to_midi = names_with_gradient(token_loss(model(text, tokens[:, :-1], text_mask), tokens[:, 1:]))
    to_text = names_with_gradient(embedding_loss(model.midi_to_text(tokens), text[:, 0]))
    assert to_midi & to_text == {"token_embedding.weight"}
    assert to_midi | to_text == {name for name, _ in model.named_parameters()}


def test_both_modes_learn_together(options):
    torch.manual_seed(0)
    model = MusicTextTransformer(**SIZES | {"dropout": 0.0}, **options)
    tokens, text = torch.randint(1, 23, (4, 9)), torch.randn(4, 1, 7)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(50):
        to_midi = token_loss(model(text, tokens[:, :-1]), tokens[:, 1:])
        to_text = embedding_loss(model(None, tokens, mode="midi_to_text"), text[:, 0])
        optimizer.zero_grad()
        (to_midi + to_text).backward()
        optimizer.step()
        losses.append((to_midi.item(), to_text.item()))
    assert losses[-1][0] < losses[0][0] / 4
    assert losses[-1][1] < losses[0][1] / 4


def test_state_dict_and_config_round_trip(options, draw):
    model = new_model(options)
    sizes = {name: value for name, value in SIZES.items() if name != "num_layers"}
    assert model.config == ModelConfig(
        architecture="music_text", num_encoder_layers=2, num_decoder_layers=2, **sizes, **options
    )
    twin = MusicTextTransformer.from_config(model.config).double().eval()
    assert twin.config == model.config
    twin.load_state_dict(model.state_dict())
    text, text_mask, tokens = draw()
    assert torch.equal(twin(text, tokens, text_mask), model(text, tokens, text_mask))
    assert torch.equal(twin.midi_to_text(tokens), model.midi_to_text(tokens))


def test_configs_that_do_not_fit():
    with pytest.raises(ValueError, match='got "music"'):
        MusicTextTransformer.from_config(ModelConfig())
    with pytest.raises(ValueError, match="equal to num_decoder_layers"):
        MusicTextTransformer.from_config(ModelConfig(architecture="music_text", num_encoder_layers=2))
    with pytest.raises(ValueError, match="num_encoder_layers"):
        MusicTextTransformer(23, num_layers=0)


def test_inputs_that_do_not_fit(draw):
    model = new_model({})
    text, _, tokens = draw()
    with pytest.raises(ValueError, match="mode"):
        model(text, tokens, mode="midi_to_midi")
    with pytest.raises(ValueError, match="needs text_embeddings"):
        model(None, tokens)
    with pytest.raises(ValueError, match="33 positions"):
        model.midi_to_text(torch.ones(1, 33, dtype=torch.int64))
