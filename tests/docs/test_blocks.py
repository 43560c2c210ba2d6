"""Every Python block of the README and the docs runs, and every `amt` command that they show exists."""

import re
import shlex

import pytest
from pages import PAGES, ROOT, blocks, shown
from typer.main import get_command

from amt.cli import app, main

WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]
RUN = [ROOT / "docs" / "quickstart.md", ROOT / "docs" / "concepts.md"]  # their commands run, too


def commands(page):
    """Every command line that begins with amt, in blocks and within the text; comments are left out."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^(?:    )?(amt [^\n]*)$", text, re.MULTILINE) + re.findall(r"`(amt [a-z][^`]*)`", text)
    return [re.split(r"\s#\s", line)[0].strip() for line in found]


def command_of(words):
    """The command that a line names, and the words behind its name."""
    command, rest = get_command(app), words[1:]
    while getattr(command, "commands", None) and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"there is no command {shlex.join(words)}"
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


@pytest.mark.parametrize("page", WITH_PYTHON, ids=shown)
def test_python_blocks_run(page, workplace):
    names = {}
    for number, block in enumerate(blocks(page, "python"), start=1):
        exec(compile(block, f"{shown(page)}, block {number}", "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_commands_have_the_options_that_are_shown(page):
    for line in commands(page):
        command, rest = command_of(shlex.split(line))
        options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        for word in rest:
            if re.match(r"--?[a-z]", word):
                assert word.split("=")[0] in options | {"--help"}, f"{shown(page)}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_command_lines_of_blocks_parse(page):
    for line in (line for block in blocks(page, "sh") for line in block.splitlines()):
        if line.startswith("amt ") and "…" not in line:
            command, rest = command_of(shlex.split(line, comments=True))
            if rest and "--help" not in rest:
                command.make_context("amt", list(rest), resilient_parsing=False)


@pytest.mark.parametrize("page", RUN, ids=shown)
def test_quick_commands_run(page, workplace, capsys):
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    assert lines and all(line.startswith("amt ") for line in lines)
    for line in lines:
        assert main(shlex.split(line)[1:]) == 0, f"{line}: {capsys.readouterr().err}"
    assert capsys.readouterr().out
