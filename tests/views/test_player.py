import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from amt.midi.data import MidiData
from amt.midi.elements import Note
from amt.midi.reader import read_midi
from amt.views.player import MAX_NOTES, player_html

EVIL = '<b>sad</b> "waltz" & </script><script>alert(1)</script> <img src=x onerror=alert(2)> \' ID NOTES = NOTES {x}'
NOTES = [Note(480 * i, 480 * i + 400, 60 + i, 80, 8 * i) for i in range(16)]
NOTES += [Note(240 * i, 240 * i + 100, pitch, 90, 0, True) for i, pitch in enumerate(range(35, 82))]


class Page(HTMLParser):
    """The tags, texts and attributes of a page, as a browser would see them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("line", "path", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)


def script(page):
    (text,) = page.texts["script"]
    return text


def test_the_page_is_whole_and_loads_nothing():
    text = player_html(MidiData(NOTES), title="a waltz")
    page = Page(text)
    assert page.open == [] and page.tags.count("script") == page.tags.count("svg") == 1
    assert "http" not in text and "url(" not in text and "import" not in text and "fetch" not in text
    links = [value for name, value in page.attributes if name in ("src", "href")]
    assert len(links) == 1 and links[0].startswith("data:audio/midi;base64,")
    assert not {"src", "onclick", "onload", "onerror"} & {name for name, _ in page.attributes}


def test_the_download_is_the_file():
    score = MidiData(NOTES)
    (link,) = [value for name, value in Page(player_html(score)).attributes if name == "href"]
    assert read_midi(base64.b64decode(link.partition(",")[2])) == score


def test_text_cannot_become_html():
    plain = Page(player_html(MidiData(NOTES), title="x", facts=["x"], warnings=["x"]))
    text = player_html(MidiData(NOTES), title=EVIL, facts=[EVIL], warnings=[EVIL])
    page = Page(text)
    assert page.tags == plain.tags and "".join(page.texts["h4"]) == EVIL
    assert EVIL in "".join(page.texts["p"])
    assert re.sub("amt-[0-9a-f]{32}", "", script(page)) == re.sub("amt-[0-9a-f]{32}", "", script(plain))


def test_two_pages_share_no_names():
    first, second = (re.search('<div id="(.*?)"', player_html(MidiData(NOTES)))[1] for _ in range(2))
    assert first != second


def test_a_long_piece_is_cut_in_the_picture_but_not_in_the_file():
    score = MidiData([Note(i, i + 1, i % 128, 80) for i in range(MAX_NOTES + 3)])
    text = player_html(score)
    assert f"the first {MAX_NOTES}" in text
    shown = json.loads(re.search(r"notes = (\[\[.*?\]\]),", text)[1])
    assert len(shown) == MAX_NOTES and shown == sorted(shown, key=lambda note: note[0])
    (svg,) = re.findall("<svg.*</svg>", text)
    assert sum(path.count("M") for path in re.findall('<path d="([^"]*)" fill="#4477AA"', svg)) == MAX_NOTES


@pytest.mark.parametrize("score", [MidiData(), MidiData([Note(0, 0, 60, 1)]), MidiData([Note(0, 1 << 30, 0, 1)])])
def test_odd_pieces_have_a_page(score):
    text = player_html(score)
    assert Page(text).open == [] and len(text) < 100_000
    assert "nan" not in text.lower().replace("sans", "") and "inf" not in text


@pytest.mark.parametrize("notes", [NOTES, []], ids=["notes", "empty"])
def test_the_player_plays_each_note_at_its_time(notes, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node, to run the player's script")
    text = player_html(MidiData(notes))
    (tmp_path / "player.js").write_text(script(Page(text)))
    root = re.search('<div id="(.*?)"', text)[1]
    page = Path(__file__).with_name("player_page.js")
    result = subprocess.run([node, page, tmp_path / "player.js", root], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    played = json.loads(result.stdout)
    expected = sorted({round(note.start_ticks / 960 + 0.1, 3) for note in notes})
    assert sorted(set(played["times"])) == expected and len(played["times"]) >= len(notes) and played["closed"] == 1
    assert played["button"] == "▶ Play" and played["clock"].startswith("0:00 / ")
    seeks = [time for time in expected if time - 0.1 >= 2.0]
    assert len(set(played["afterSeek"])) == len(seeks)
