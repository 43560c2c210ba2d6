"""The tables of docs/generation.md are those of the code."""

import dataclasses
import importlib.util

from pages import ROOT

from amt.request.limits import Limits
from amt.request.options import GenerationConfig

SPEC = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
tables = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tables)


def test_the_page_has_the_tables_of_the_code():
    page = tables.PAGE.read_text(encoding="utf-8")
    assert page == tables.updated(page), "run: python docs/tables.py"


def test_an_old_table_is_replaced():
    page = tables.PAGE.read_text(encoding="utf-8")
    old = page.replace("`--max-tokens`", "`--tokens`").replace("| `bars` |", "| `num_bars` |")
    assert old != page and tables.updated(old) == page


def test_every_limit_and_option_has_a_row():
    for name, table in (("limits", Limits), ("options", GenerationConfig)):
        head, _, *rows = tables.table(name).splitlines()
        assert [row.split("`")[1] for row in rows] == [field.name for field in dataclasses.fields(table)]
        assert {row.count("|") for row in rows} == {head.count("|")}
