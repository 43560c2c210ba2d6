"""A place where the examples of the docs can run."""

import dataclasses
import shutil
from pathlib import Path

import pytest

NUM_TOKENS = 40  # of each piece that an example writes
NUM_CAPTIONS = 10  # of the bank that examples describe with


@pytest.fixture(scope="session")
def short_models(tmp_path_factory):
    """The models of the package, with few captions, which write short pieces unless a call says more."""
    from amt.models.opened import packaged_models
    from amt.request.options import GenerationConfig

    folder = tmp_path_factory.mktemp("weights")
    for name, model in packaged_models().items():
        shutil.copytree(model, folder / name)
        bank = folder / name / "captions.txt"
        if bank.is_file():
            captions = bank.read_text(encoding="utf-8").splitlines()[:NUM_CAPTIONS]
            bank.write_text("\n".join(captions), encoding="utf-8")
        file = folder / name / "generation_config.json"
        dataclasses.replace(GenerationConfig.load(file), max_new_tokens=NUM_TOKENS).save(file)
    return folder


@pytest.fixture
def workplace(tmp_path, monkeypatch, short_models):
    """A folder with the files that examples speak of. Models write short pieces there, and training takes a step."""
    import amt
    import amt.models.opened
    import amt.training.train

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setattr(amt.models.opened, "WEIGHTS", short_models)
    monkeypatch.setattr(amt.training.train, "train", _one_step(amt.training.train.train))
    bar = [65, 282, 193, 69, 282, 197, 72, 282, 200]  # D, F sharp and A, a quarter note each
    song = amt.EventTokenizer().decode([1, 587, 545, 427, 376, *bar, *bar, *bar, 2])
    for name in ("song.mid", "start.mid", "music/one.mid", "music/two.mid", "corpus/17.mid", "jig.mid"):
        Path(name).parent.mkdir(exist_ok=True)
        song.save(name)
    row = '{"file": "17.mid", "captions": ["a slow waltz for piano"], "split": "train", "source": "mine"}\n'
    Path("corpus/pieces.jsonl").write_text(row, encoding="utf-8")
    return tmp_path


def _one_step(train):
    """`amt.train` that stops after a step of one short row, so that an example of hours runs in seconds."""

    def train_one_step(data, run, *, config, **options):
        short = dataclasses.replace(config, max_steps=1, batch_size=1, max_len=32, warmup_steps=0, decay_steps=0)
        return train(data, run, config=short, **options)

    return train_one_step
