"""The pages of the project, and what is in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def prose(page: Path) -> list[tuple[int, str]]:
    """The lines outside of fenced blocks, indented blocks and tables, with their numbers."""
    lines, is_fenced = [], False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("```"):
            is_fenced = not is_fenced
        elif not is_fenced and not line.startswith(("|", "    ")):
            lines.append((number, line))
    return lines


def shown(page: Path) -> str:
    """The path of a page, for the name of a test."""
    return str(page.relative_to(ROOT))
