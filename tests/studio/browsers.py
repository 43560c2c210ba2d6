"""Debian's Chromium, driven by Playwright."""

import contextlib
import shutil
import time

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextlib.contextmanager
def open_browser():
    """A browser without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("needs a browser: apt install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def until(page, expression, seconds=60):
    """Wait for something of the page; its policy lets no text become a script, so Playwright's own wait cannot."""
    end = time.monotonic() + seconds
    while not (value := page.evaluate(expression)):
        assert time.monotonic() < end, f"it did not come: {expression}"
        time.sleep(0.03)
    return value


def num_colored_pixels(page, canvas):
    """How many pixels of a canvas are no greys: notes, not paper and lines."""
    return page.evaluate(
        """canvas => {
          const found = document.querySelector(canvas), context = found.getContext("2d");
          const data = context.getImageData(0, 0, found.width, found.height).data;
          let num = 0;
          for (let i = 0; i < data.length; i += 4)
            num += Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 60;
          return num;
        }""",
        canvas,
    )
