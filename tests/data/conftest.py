"""A small corpus made by a seeded script."""

import json
import lzma
import random
import tarfile

import pytest

from amt.midi.reference.random_pieces import random_piece


def write_corpus(folder, num_pieces=12):
    """Half of the pieces lie in the folder, half in an archive; one file is no MIDI file."""
    rng = random.Random(5)
    folder.mkdir()
    rows = []
    for index in range(num_pieces):
        source = "loose" if index % 2 else "packed"
        name = f"{source}/{index}.mid"
        (folder / source).mkdir(exist_ok=True)
        (folder / name).write_bytes(random_piece(rng).to_bytes())
        split = ("train", "train", "train", "train", "valid", "test")[index // 2]
        row = {"file": name, "source": source, "form": "song", "split": split}
        rows.append(row | {"captions": [f"caption {index} {kind}" for kind in "ab"]})
    (folder / "loose" / "broken.mid").write_bytes(b"not music")
    rows.append({"file": "loose/broken.mid", "source": "loose", "caption": "noise"})
    rows.append({"file": "loose/missing.mid", "source": "loose", "caption": "silence"})
    with tarfile.open(folder / "packed.tar.xz", "w:xz") as archive:
        for path in sorted((folder / "packed").iterdir()):
            archive.add(path, f"packed/{path.name}")
            path.unlink()
    with lzma.open(folder / "metadata.jsonl.xz", "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)
    return folder


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpora") / "small")
