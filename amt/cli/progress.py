"""Progress bars: on stderr, and only on a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def progress_bar(unit: str, **options: Any) -> Iterator[Any]:
    """A bar of tqdm that is gone when the work is done."""
    from tqdm import tqdm

    with tqdm(unit=f" {unit}", disable=None, leave=False, dynamic_ncols=True, **options) as bar:
        yield bar
