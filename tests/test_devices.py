"""Where models run: names, reasons and remedies; a GPU is made up where there is none."""

import pytest
import torch

import amt
from amt import devices
from amt.cli import main
from amt.decoding.backends import choose
from amt.decoding.plain import start
from amt.devices import best_device, explain_device, open_device, why_no_gpu
from amt.errors import BackendUnavailableError, DeviceError
from amt.models import build_model
from amt.nn.config import ModelConfig
from amt.ops import cuda, fused

MODEL = ModelConfig(
    vocab_size=659, d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=24,
    max_sequence_length=32, text_embedding_dim=384,
)  # fmt: skip
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


@pytest.fixture
def gpu(monkeypatch):
    """Two GPUs as torch would tell of them; a test may change what it tells."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "H200")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (100 << 30, 140 << 30))
    return monkeypatch


def test_names():
    assert open_device(None) == open_device("cpu") == torch.device("cpu")
    for name in ("gpu", "cuda:", "cuda:-1", "mps", "cpu:0", ""):
        with pytest.raises(ValueError, match="device must be cpu, cuda or cuda:N"):
            open_device(name)


def test_gpus_that_are_there(gpu):
    assert open_device("cuda") == torch.device("cuda", 0) and open_device("cuda:1") == torch.device("cuda", 1)
    assert best_device() == torch.device("cuda", 0) and fused.why_no_triton(torch.device("cuda", 1)) is None
    assert explain_device() == "H200, compute capability 9.0, 100.0 of 140.0 GiB free, and 1 more"


def test_a_number_that_is_too_large(gpu):
    with pytest.raises(DeviceError, match="there is no cuda:2 here: there are 2, counted from 0; choose one of them"):
        open_device("cuda:2")


def test_a_gpu_that_is_too_old(gpu):
    gpu.setattr(torch.cuda, "get_device_capability", lambda index: (7, 5))
    reason = "H200 has compute capability 7.5, and 8.0 or newer is needed"
    assert why_no_gpu() == reason and fused.why_no_triton(torch.device("cuda", 0)) == reason
    assert best_device() == torch.device("cpu")


def test_a_driver_that_is_too_old(gpu):
    def init():
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040). Please update it.")

    gpu.setattr(torch.cuda, "init", init)
    with pytest.raises(
        DeviceError, match=r"driver on your system is too old \(found version 11040\). Please update it; nvidia-smi"
    ):
        open_device("cuda")


def test_a_torch_without_cuda(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(DeviceError, match=r"has no CUDA; install one that has it, .* or leave device out"):
        open_device("cuda")
    assert explain_device().startswith("none: torch ")


@no_gpu
def test_every_call_refuses_a_gpu_that_is_not_there(capsys, tmp_path):
    for call in (
        lambda: amt.generate("a waltz", device="cuda"),
        lambda: amt.stream("a waltz", device="cuda"),
        lambda: amt.edit(tmp_path / "none.mid", device="cuda", bars=1),
        lambda: amt.load(device="cuda"),
    ):
        with pytest.raises(DeviceError, match="there is no cuda here: "):
            call()
    with pytest.raises(SystemExit) as stop:
        raise SystemExit(main(["generate", "a waltz", "-o", str(tmp_path / "a.mid"), "--device", "cuda"]))
    assert stop.value.code == 1 and capsys.readouterr().err.startswith("amt: there is no cuda here: ")


def test_the_backend_says_where_it_runs(monkeypatch):
    model = build_model(MODEL)
    monkeypatch.setattr(type(model), "device", torch.device("cuda", 0))
    choice = choose(model)
    assert (choice.label, choice.backend.name) == ("plain PyTorch on cuda:0", "plain")
    assert choice.reason == "the model is on cuda:0, and the compiled engine has no GPU"
    assert choose(model, backend="plain").reason == "asked for"
    with pytest.raises(BackendUnavailableError, match="use device='cpu' or backend='plain'"):
        choose(model, backend="engine")
    with pytest.raises(ValueError, match="dtype='int8' needs the compiled engine, and so device='cpu'"):
        choose(model, dtype="int8")


def test_the_cuda_kernels_run_or_say_why_not(monkeypatch, tmp_path):
    model = build_model(MODEL)
    with pytest.raises(BackendUnavailableError, match="the model is on the processor; use device='cuda'"):
        choose(model, backend="cuda")
    monkeypatch.setattr(type(model), "device", torch.device("cuda", 0))
    monkeypatch.setattr(cuda, "LIBRARY", tmp_path / "_cuda.so")
    cuda.library.cache_clear()
    with pytest.raises(BackendUnavailableError, match="not built; install the CUDA toolkit and reinstall"):
        choose(model, backend="cuda")
    assert cuda.explain().startswith("the GPU kernels are not built")
    (tmp_path / "_cuda.so").write_bytes(b"no library")
    with pytest.raises(BackendUnavailableError, match="the library of GPU kernels does not load"):
        choose(model, backend="cuda")
    with pytest.raises(ValueError, match="dtype must be one of float32, bfloat16; got 'int8'"):
        choose(model, backend="cuda", dtype="int8")


def test_a_text_goes_to_where_the_model_is():
    """The text encoder leaves its states on the processor; `meta` stands for any other device."""
    model = build_model(MODEL).to("meta").eval()
    states, mask = torch.zeros(1, 3, 384), torch.ones(1, 3, dtype=torch.bool)
    memory, memory_mask = start.encode(model, states, mask)
    assert memory.device.type == memory_mask.device.type == start.device_of(model).type == "meta"


def test_a_model_on_its_own_device_is_itself(monkeypatch, tmp_path):
    opened = amt.load()
    assert opened.on(None) is opened.on("cpu") is amt.load(device="cpu") is opened
    monkeypatch.setattr("amt.models.opened.open_device", lambda name: torch.device("meta"))
    elsewhere = opened.on("cuda")
    assert elsewhere.device.type == "meta" and opened.device.type == "cpu" and opened.on("cuda") is elsewhere


def test_info_tells_of_the_gpu(gpu):
    assert amt.info()["gpu"] == devices.explain_device()
