import copy
import itertools

import pytest
import torch

OPTIONS = [
    {"norm_first": norm_first, "activation": activation, "positions": positions, "tie_output": tie_output}
    for norm_first, activation, positions, tie_output in itertools.product(
        (False, True), ("relu", "gelu", "swiglu"), ("sinusoidal", "rotary", "relative"), (False, True)
    )
]
# Every option in both norm orders, and not every product of them.
FEW_OPTIONS = [
    option
    for option in OPTIONS
    if (option["activation"], option["positions"], option["tie_output"])
    in [("relu", "sinusoidal", False), ("gelu", "relative", True), ("swiglu", "rotary", False)]
]
# Local attention, and layers that do not read the text.
ECONOMIES = [
    {"attention_window": 3, "cross_attention_layers": 2},
    {"attention_window": 4},
    {"cross_attention_layers": 1},
]
for option, economy in zip(list(FEW_OPTIONS), itertools.cycle(ECONOMIES)):
    OPTIONS.append(option | economy)
    FEW_OPTIONS.append(option | economy)


def option_id(option):
    order = "pre" if option["norm_first"] else "post"
    words = [order, option["activation"], option["positions"], "tied" if option["tie_output"] else "untied"]
    words += [f"window{option['attention_window']}"] if "attention_window" in option else []
    words += [f"cross{option['cross_attention_layers']}"] if "cross_attention_layers" in option else []
    return "-".join(words)


@pytest.fixture(params=FEW_OPTIONS, ids=option_id)
def options(request):
    return request.param


@pytest.fixture(params=OPTIONS, ids=option_id)
def every_options(request):
    return request.param


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def rounded():
    """Calls a model in float32: how far that is from float64 says what rounding does to its answer."""

    def call(model, *inputs, **options):
        in_float32 = [x.float() if x is not None and x.is_floating_point() else x for x in inputs]
        return copy.deepcopy(model).float()(*in_float32, **options)

    return call


@pytest.fixture
def draw():
    """Seeded inputs: text embeddings with a text mask, and token ids, for 3 rows."""
    generator = torch.Generator().manual_seed(0)

    def make(seq_len=11, src_len=5, vocab_size=23, text_embedding_dim=7):
        text = torch.randn(3, src_len, text_embedding_dim, generator=generator, dtype=torch.float64)
        lengths = torch.tensor([src_len, max(1, src_len - 2), 1])
        tokens = torch.randint(1, vocab_size, (3, seq_len), generator=generator)
        return text, torch.arange(src_len) < lengths[:, None], tokens

    return make
