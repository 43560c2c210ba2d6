import json

import numpy as np
import pytest

from amt.data.prepare import SEGMENT_DTYPE
from amt.midi.config import TokenizerConfig


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Scales, up for one caption and down for the other."""
    folder = tmp_path_factory.mktemp("data")
    TokenizerConfig().save(folder / "tokenizer.json")
    for split in ("train", "valid", "test"):
        (folder / split).mkdir()
        rows, tokens, pieces = [], [], []
        for index in range(8):
            pitches = range(60, 72) if index % 2 else range(71, 59, -1)
            ids = [1, *(token for pitch in pitches for token in (3 + pitch, 270, 131 + pitch)), 2]
            rows.append((sum(map(len, tokens)), len(ids), index, 1, True))
            tokens.append(ids)
            pieces.append({"source": "", "form": "", "captions": ["up" if index % 2 else "down"]})
        np.save(folder / split / "tokens.npy", np.concatenate(tokens).astype(np.uint16))
        np.save(folder / split / "segments.npy", np.array(rows, SEGMENT_DTYPE))
        (folder / split / "pieces.jsonl").write_text("".join(json.dumps(piece) + "\n" for piece in pieces))
    return folder
