"""Lines fit a terminal, links and paths lead somewhere, and each public name is explained."""

import re

import pytest
from pages import PAGES, ROOT, prose, shown

import amt

RECORDS = sorted((ROOT / "docs" / "records").glob("*.md"))
MAX_COLUMNS = 120
# The lines on the build belong to the installation, whose commands are as wide as they need to be.
WIDE = "`AMT_BUILD=off` installs without a compiler"


@pytest.mark.parametrize("page", [*PAGES, *RECORDS], ids=shown)
def test_prose_fits_a_terminal(page):
    too_wide = [(n, len(line)) for n, line in prose(page) if len(line) > MAX_COLUMNS and not line.startswith(WIDE)]
    assert not too_wide, f"{shown(page)}: lines (number, columns) {too_wide}; wrap them at {MAX_COLUMNS}"


@pytest.mark.parametrize("page", [*PAGES, *RECORDS], ids=shown)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            file, _, section = target.partition("#")
            linked = (page.parent / file).resolve() if file else page
            assert linked.exists(), f"{shown(page)}: {target}"
            if section:
                titles = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
                anchors = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
                assert section in anchors, f"{shown(page)}: {target}"


def test_files_of_the_architecture_are_there():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:amt|csrc|tests|docs|kernels)/[\w/.]*)`", text)
    assert len(named) > 30
    missing = [path for path in named if "NAME" not in path and not (ROOT / path).exists()]
    assert not missing


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/reliability.md", "fuzz/README.md"])
def test_what_shows_a_promise_is_there(page):
    named = re.findall(
        r"`(?:python -m pytest |python )?((?:tests|fuzz)/[\w/.]*)", (ROOT / page).read_text(encoding="utf-8")
    )
    assert len(named) >= 2
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_public_name_is_in_the_reference():
    words = set(re.findall(r"\w+", (ROOT / "docs" / "api.md").read_text(encoding="utf-8")))
    assert not set(amt.__all__) - {"__version__"} - words
