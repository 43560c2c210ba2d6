import pytest

from amt.data.corpus import read_corpus


def test_all_pieces_come_from_folder_and_archive(small_corpus):
    pieces = {piece.name: piece for piece in read_corpus(small_corpus)}
    assert sorted(name for name in pieces if "broken" not in name) == sorted(
        f"{'loose' if index % 2 else 'packed'}/{index}.mid" for index in range(12)
    )
    assert pieces["packed/0.mid"].midi.startswith(b"MThd")
    assert pieces["packed/0.mid"].captions == ("caption 0 a", "caption 0 b")
    assert pieces["loose/broken.mid"].captions == ("noise",)


def test_sources_are_chosen(small_corpus):
    assert {piece.source for piece in read_corpus(small_corpus, ("packed",))} == {"packed"}


def test_a_folder_without_a_table_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"captions\.jsonl"):
        list(read_corpus(tmp_path))


@pytest.mark.parametrize("line", ["not json", "[1]", '{"caption": "x"}'])
def test_a_bad_line_is_named(tmp_path, line):
    (tmp_path / "captions.jsonl").write_text('{"file": "a.mid", "caption": "a"}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"captions\.jsonl, line 2"):
        list(read_corpus(tmp_path))
