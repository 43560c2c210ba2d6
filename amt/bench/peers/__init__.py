"""What is measured side by side. An implementation is a module with `load(job)`, which returns a `Runner`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from amt.bench.cases import DecodeCase


@dataclasses.dataclass(frozen=True)
class Implementation:
    """One way to decode.

    Attributes:
        name: what rows call it.
        module: where its `load` is.
        dtypes: what it stores the weights as, for each dtype of cases that it takes part in. A peer that has no
            bfloat16 takes part with float32.
        is_peer: whether it is what a user could take instead of AMT.
        settings: environments of which the fastest is its row, by name.
        takes_shipped: whether it can run the model of the package.
    """

    name: str
    module: str
    dtypes: Mapping[str, str]
    is_peer: bool = True
    settings: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=lambda: {"": {}})
    takes_shipped: bool = False

    def takes(self, case: DecodeCase) -> bool:
        """Whether it has a row in this case."""
        if self.name == "reference" and case.batch_size > 1:
            return False  # one prompt after the other: that says nothing new
        return case.dtype in self.dtypes and (self.takes_shipped or not case.is_shipped)


ALL = {dtype: dtype for dtype in ("float32", "bfloat16", "int8")}
NO_BFLOAT16 = {"float32": "float32", "bfloat16": "float32", "int8": "int8"}

IMPLEMENTATIONS = (
    Implementation("engine", "amt.bench.peers.engine", ALL, is_peer=False, takes_shipped=True),
    Implementation("reference", "amt.bench.peers.reference", {"float32": "float32"}, is_peer=False, takes_shipped=True),
    Implementation("torch-loop", "amt.bench.peers.torch_loop", ALL),
    Implementation(
        "ctranslate2",
        "amt.bench.peers.ctranslate",
        NO_BFLOAT16,
        settings={"MKL": {"CT2_USE_MKL": "1"}, "oneDNN": {"CT2_USE_MKL": "0"}},
    ),
    Implementation("onnxruntime", "amt.bench.peers.onnx_step", NO_BFLOAT16),
    Implementation("transformers-bart", "amt.bench.peers.bart", ALL),
)
PEERS = tuple(implementation.name for implementation in IMPLEMENTATIONS if implementation.is_peer)
