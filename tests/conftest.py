"""Fixtures for all tests."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import traceback
from pathlib import Path

import pytest

FILES_PER_SOURCE = 22

# Small tensors gain nothing from threads that wait for each other, also in the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell's "&" ignores Ctrl-C, and processes that tests start would, too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def corpus_files() -> list[tuple[str, bytes]]:
    """About 200 real MIDI files (name, bytes), the same ones every time, from all sources of the corpus.

    The corpus is a folder of SOURCE.tar.xz: $AMT_CORPUS, or shared/corpus beside the repository.
    """
    default = Path(__file__).parents[2] / "shared" / "corpus"
    folder = Path(os.environ.get("AMT_CORPUS", default))
    archives = sorted(folder.glob("*.tar.xz"))
    if not archives:
        pytest.skip(f"no corpus in {folder}; set AMT_CORPUS to a folder of SOURCE.tar.xz with MIDI files")
    files: list[tuple[str, bytes]] = []
    for archive in archives:
        num_files = 0
        with tarfile.open(archive) as tar:
            for member in tar:
                is_drawn = hashlib.sha256(member.name.encode()).digest()[0] % 4 == 0
                if not (is_drawn and member.isfile() and member.name.endswith(".mid")):
                    continue
                content = tar.extractfile(member)
                assert content is not None
                files.append((member.name, content.read()))
                num_files += 1
                if num_files == FILES_PER_SOURCE:
                    break
    return files


@pytest.fixture(scope="session")
def make_generator(tmp_path_factory):
    """Opens a small model with random weights: what it writes is noise, but in every detail valid."""
    import torch

    import amt
    from amt.errors import TextEncoderError
    from amt.midi.config import TokenizerConfig
    from amt.models import build_model
    from amt.nn.config import ModelConfig
    from amt.request.options import GenerationConfig
    from amt.text.encoder import TextEncoderSpec, find_encoder_files

    try:
        find_encoder_files(TextEncoderSpec())
    except TextEncoderError as error:
        pytest.skip(str(error))

    def make(max_sequence_length):
        torch.manual_seed(3)
        config = ModelConfig(
            vocab_size=659, d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=24,
            max_sequence_length=max_sequence_length, text_embedding_dim=384, positions="rotary", tie_output=True,
        )  # fmt: skip
        folder = tmp_path_factory.mktemp("models") / "small"
        model = build_model(config).eval()
        amt.save_checkpoint(folder, model, TokenizerConfig(), TextEncoderSpec(), GenerationConfig())
        return amt.load(folder)

    return make


@pytest.fixture
def small_disk(tmp_path):
    """Makes a folder of a file system of its own with room for so many bytes (in pages of 4096); `fill` takes room."""
    mounted = []

    def make(num_bytes):
        folder = tmp_path / f"disk-{len(mounted)}"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", str(folder)]
        if shutil.which("mount") is None:
            pytest.skip("there is no command to mount a small file system")
        done = subprocess.run(mount, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"a small file system cannot be mounted here, as by root it can: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def leave_room():
    """Fills a small disk but for so many bytes; 0: a disk that is full."""

    def fill(folder, num_bytes):
        (folder / "ballast").unlink(missing_ok=True)
        (folder / "ballast").write_bytes(bytes(max(0, shutil.disk_usage(folder).free - num_bytes)))

    return fill


CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.truncate"}


@pytest.fixture(autouse=True)
def same_threads():
    """No test leaves another number of threads to those behind it, which may fork."""
    yield
    if "torch" in sys.modules:
        threads = int(os.environ["OMP_NUM_THREADS"])
        if sys.modules["torch"].get_num_threads() != threads:
            sys.modules["torch"].set_num_threads(threads)


@pytest.fixture
def killed():
    """Calls a function in a child that is killed (-9) right before its `number`-th operation on the files of a folder.

    Returns whether it was killed: False where the function has fewer operations.
    """

    def run(function, folder, number):
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
            return os.WIFSIGNALED(status)
        count = 0

        def watch(event, arguments):
            nonlocal count
            if event in CHANGES or (event == "open" and str(arguments[0]).startswith(str(folder))):
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        exit_code = 1
        try:
            if "torch" in sys.modules:  # the threads of OpenMP are not there in a child
                sys.modules["torch"].set_num_threads(1)
            sys.addaudithook(watch)
            function()
            exit_code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(exit_code)

    return run
