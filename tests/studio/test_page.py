"""The studio in a real browser: what a musician does, from the prompt to the file."""

import base64
import dataclasses
import os

import pytest
from browsers import num_colored_pixels, open_browser, until
from studio_servers import ROOT, running, wait_until

import amt
from amt.cli.serve import page_address
from amt.midi.config import TokenizerConfig
from amt.midi.edits import BarLines, to_steps
from amt.ops import native
from amt.views.piano_roll import PianoRoll

pytestmark = pytest.mark.skipif(not native.is_available(), reason="needs the compiled engine")

PROMPT = "a rock song with electric guitar, bass and drums, 100 bpm, 12 bars"
SHOTS = os.environ.get("AMT_SCREENSHOTS")  # "docs": the pictures of the documentation are made anew


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(browser, client):
    context = browser.new_context(viewport={"width": 1200, "height": 1000}, accept_downloads=True)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if "Content Security" in message.text else None)
    page.goto(f"http://127.0.0.1:{client.port}/")
    until(page, "window.amtStudio?.isReady")
    yield page
    context.close()
    assert not errors


def write(page, prompt=PROMPT, seed=7, versions=1):
    page.fill("#prompt", prompt)
    page.fill("#seed", str(seed))
    page.select_option("#versions", str(versions))
    page.click("#generate")
    until(page, "amtStudio.state.writing === null && amtStudio.state.piece?.id")
    return page.evaluate("amtStudio.state.piece")


def notes_outside(piece, first, last):
    """All notes but those that start in these bars."""
    music = amt.read_midi(base64.b64decode(piece["midi"]))
    config = TokenizerConfig(version=2)
    bars = BarLines.of_midi(music, config).bar(to_steps(music.notes.start_ticks, music.ticks_per_beat, config)) + 1
    return [row for row, bar in zip(music.notes, bars.tolist(), strict=True) if not first <= bar <= last]


def test_a_prompt_becomes_notes_as_they_are_written(page):
    page.fill("#prompt", PROMPT)
    until(page, "document.querySelector('[data-wish=tempo] b')?.textContent === '100'")
    chips = {name: page.text_content(f"[data-wish={name}] b") for name in ("instruments", "bars", "key", "style")}
    assert "bass" in chips["instruments"] and chips["bars"] == "12" and chips["key"] == "open"
    page.fill("#seed", "7")
    page.click("#generate")
    drafts = until(page, "amtStudio.state.piece?.isDraft && amtStudio.state.piece.notes.length")
    assert drafts > 0, "notes were shown before the piece was done"
    until(page, "amtStudio.state.writing === null")
    piece = page.evaluate("amtStudio.state.piece")
    expected = amt.stream(PROMPT, seed=7)
    for _ in expected:
        pass
    assert base64.b64decode(piece["midi"]) == expected.result().to_bytes()
    assert len(piece["bars_s"]) == len(PianoRoll.of(expected.result().music).bar_s) in (12, 13)
    assert len(piece["notes"]) == len(expected.result().notes)
    until(page, "amtStudio.player.isPlaying")  # it began while it was written
    page.click("#play")
    page.wait_for_timeout(100)
    assert num_colored_pixels(page, "#roll") > 500
    assert "seed 7" in page.text_content("#facts") and page.text_content("#kept")
    names = page.eval_on_selector_all(".track span", "all => all.map(each => each.textContent)")
    assert names == [track["name"] for track in piece["tracks"]] and "Drums" in names


def test_chips_that_are_set_hold(page):
    page.fill("#prompt", "a song for piano, 8 bars")
    until(page, "document.querySelector('[data-wish=bars] b')?.textContent === '8'")
    page.click("[data-wish=tempo]")
    page.fill("#editor-value", "90")
    page.click("#editor [value=set]")
    until(page, "document.querySelector('[data-wish=tempo] b').textContent === '90'")  # a dialog closes a moment later
    page.click("[data-wish=style]")
    page.fill("#editor-value", "waltz")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('[data-wish=metre] b')?.textContent === '3/4'")
    assert page.input_value("#prompt") == "a song for piano, 8 bars, waltz"
    piece = write(page, page.input_value("#prompt"))
    tempo = amt.read_midi(base64.b64decode(piece["midi"])).tempos[0]
    assert round(tempo.bpm) == 90
    page.click("[data-wish=tempo]")
    page.click("#editor [value=clear]")
    until(page, "document.querySelector('[data-wish=tempo] b').textContent !== '90'")


def test_what_no_chip_can_mean_is_told(page):
    page.fill("#prompt", "a song for piano, 4 bars")
    for wish, value, message in (
        ("tempo", "fast", "tempo: Input should be a valid number"),
        ("tempo", "90-x", "tempo[1]: Input should be a valid number"),
        ("bars", "many", "bars: Input should be a valid integer"),
    ):
        page.click(f"[data-wish={wish}]")
        page.fill("#editor-value", value)
        page.click("#editor [value=set]")
        until(page, f"document.querySelector('[data-wish={wish}] b').textContent === '{value}'")
        page.click("#generate")
        until(page, "amtStudio.state.writing === null && !document.getElementById('toast').hidden")
        assert page.text_content("#toast").startswith(message)
        page.evaluate("document.getElementById('toast').hidden = true")
        page.click(f"[data-wish={wish}]")
        page.click("#editor [value=clear]")
        until(page, f"document.querySelector('[data-wish={wish}] b').textContent !== '{value}'")


def test_a_style_takes_the_place_of_its_words(page):
    page.fill("#prompt", "  a waltz for piano")
    until(page, "document.querySelector('[data-wish=style] b')?.textContent === 'waltz'")
    page.click("[data-wish=style]")
    page.fill("#editor-value", "tango")
    page.click("#editor [value=set]")
    until(page, "document.getElementById('prompt').value === 'a tango for piano'")


def test_the_token_of_the_address_becomes_a_cookie(browser, settings, tmp_path):
    token = 'a&b#c+d e%20f/=?;,"'
    with running(dataclasses.replace(settings, token=token, history=tmp_path / "x.sqlite")) as client:
        context = browser.new_context()
        page = context.new_page()
        page.goto(page_address(f"http://127.0.0.1:{client.port}/", token))
        until(page, "window.amtStudio?.isReady")
        assert page.evaluate("location.href") == f"http://127.0.0.1:{client.port}/"
        page.fill("#prompt", "a waltz for piano, 84 bpm")
        until(page, "document.querySelector('[data-wish=tempo] b')?.textContent === '84'")
        page.reload()
        until(page, "window.amtStudio?.isReady")
        context.close()


def test_play_sounds_and_stop_is_silent(page):
    page.uncheck("#play-along")
    write(page)
    assert page.evaluate("amtStudio.player.isPlaying") is False
    page.click("#play")
    until(page, "amtStudio.player.loudness() > 0.005")
    before = page.evaluate("amtStudio.player.position")
    until(page, f"amtStudio.player.position > {before} + 0.3")
    page.keyboard.press("Escape")
    assert page.evaluate("amtStudio.player.isPlaying") is False
    until(page, "amtStudio.player.loudness() < 0.0005")
    for button in page.query_selector_all("[aria-label^=Mute]"):
        button.click()
    page.focus("#roll")
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    until(page, "amtStudio.player.position > 1")
    assert page.evaluate("amtStudio.player.loudness()") < 0.0005
    page.click("[aria-label='Solo Drums']")
    until(page, "amtStudio.player.loudness() > 0.005")
    page.keyboard.press("Escape")


def test_writing_can_be_stopped(page, client):
    page.fill("#prompt", "a calm piano piece, 500 seconds long")
    page.click("#generate")
    until(page, "amtStudio.state.piece?.notes.length > 10")
    page.click("#stop-writing")
    until(page, "amtStudio.state.writing === null")
    assert page.is_hidden("#stop-writing") and page.is_enabled("#generate")
    assert page.text_content("#status") == "Stopped."
    wait_until(lambda: client.state.music.batch.num_rows == 0)


def test_a_fill_leaves_all_else_as_it_was_and_can_be_undone(page):
    page.uncheck("#play-along")
    before = write(page)
    box = page.locator("#roll").bounding_box()
    x = [box["x"] + page.evaluate(f"amtStudio.roll.x(amtStudio.state.piece.bars_s[{bar - 1}])") + 6 for bar in (5, 8)]
    page.mouse.move(x[0], box["y"] + 60)
    page.mouse.down()
    page.mouse.move(x[1], box["y"] + 70, steps=8)
    page.mouse.up()
    assert page.evaluate("amtStudio.state.selection") == [5, 8]
    assert "bars 5 to 8, all instruments" in page.text_content("#selection")
    page.click("#fill")
    until(page, f"amtStudio.state.writing === null && amtStudio.state.piece.id !== '{before['id']}'")
    after = page.evaluate("amtStudio.state.piece")
    assert notes_outside(after, 5, 8) == notes_outside(before, 5, 8)
    assert after["midi"] != before["midi"] and after["parent"] == before["id"]
    page.click("#undo")
    until(page, f"amtStudio.state.piece.id === '{before['id']}'")
    assert page.evaluate("amtStudio.state.piece.midi") == before["midi"] and page.is_disabled("#undo")
    page.focus("#roll")
    page.keyboard.press("Control+Shift+Z")
    until(page, f"amtStudio.state.piece.id === '{after['id']}'")
    assert page.is_disabled("#redo")


def test_one_instrument_is_varied_in_two_versions(page):
    page.uncheck("#play-along")
    before = write(page)
    page.evaluate("amtStudio.select(3, 4)")
    index = next(index for index, track in enumerate(before["tracks"]) if track["name"] == "Drums")
    page.locator(".track input").nth(index).check()
    assert "bars 3 to 4, Drums" in page.text_content("#selection")
    page.click("#vary")
    until(page, "amtStudio.state.writing === null && amtStudio.state.candidates.length === 2")
    versions = page.evaluate("amtStudio.state.candidates")
    old = amt.read_midi(base64.b64decode(before["midi"])).notes
    for version in versions:
        new = amt.read_midi(base64.b64decode(version["midi"])).notes
        assert [note for note in new if not note.is_drum] == [note for note in old if not note.is_drum]
    assert page.locator(".candidate").count() == 2
    page.locator(".candidate").nth(1).click()
    assert page.evaluate("amtStudio.state.piece.id") == versions[1]["id"]


def test_a_piece_is_continued(page):
    page.uncheck("#play-along")
    before = write(page, "a jig for fiddle, 6 bars")
    page.click("#continue")
    until(page, f"amtStudio.state.writing === null && amtStudio.state.piece.id !== '{before['id']}'", 120)
    after = page.evaluate("amtStudio.state.piece")
    assert len(after["bars_s"]) == 14 and after["notes"][: len(before["notes"])] == before["notes"]


def test_a_reload_keeps_the_history(page):
    page.uncheck("#play-along")
    piece = write(page, "a waltz for cello, 4 bars", seed=11)
    page.reload()
    until(page, "window.amtStudio?.isReady")
    assert page.evaluate("amtStudio.state.piece.midi") == piece["midi"]
    page.click("#history-toggle")
    rows = page.locator("#history-list li")
    assert "a waltz for cello" in rows.first.text_content() and "seed 11" in rows.first.text_content()
    num = rows.count()
    rows.first.locator("button").nth(1).click()
    until(page, f"document.querySelectorAll('#history-list li').length === {num - 1}")
    page.keyboard.press("Escape")
    assert page.is_hidden("#history")


def test_files_go_in_and_out(page, tmp_path):
    song = amt.arrange("bossa nova", seed=3, bars=8)
    song.save(tmp_path / "a <b>song.mid")
    page.set_input_files("#file", tmp_path / "a <b>song.mid")
    until(page, "amtStudio.state.piece?.title === 'a <b>song'")
    assert page.evaluate("amtStudio.state.piece.notes.length") == len(song.notes)
    assert page.text_content("#title") == "a <b>song" and page.locator("#title b").count() == 0
    with page.expect_download() as download:
        page.click("#save-midi")
    assert download.value.path().read_bytes() == song.to_bytes() and download.value.suggested_filename == "a-b-song.mid"
    with page.expect_download() as download:
        page.click("#save-wav")
    assert download.value.path().read_bytes()[:4] == b"RIFF"


def test_a_broken_midi_file_gives_a_message(page, tmp_path):
    (tmp_path / "broken.mid").write_bytes(b"MThd\x00\x00\x00\x06junk")
    page.set_input_files("#file", tmp_path / "broken.mid")
    until(page, "!document.getElementById('toast').hidden")
    message = page.text_content("#toast")
    assert message.startswith("broken.mid cannot be opened: ") and page.is_hidden("#work")
    assert page.get_attribute("#toast", "role") == "alert"


def test_everything_has_a_name_and_is_reached_by_keys(page):
    page.uncheck("#play-along")
    write(page, "a march for trumpet and drums, 8 bars")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, a, input, select, textarea, canvas:not([aria-hidden])")]
          .filter(each => !each.closest("[hidden], dialog") && !each.hidden)
          .filter(each => !(each.getAttribute("aria-label") || each.textContent.trim() || each.labels?.length
            || each.closest("label"))).map(each => each.outerHTML)"""
    )
    assert not nameless
    page.focus("#roll")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("amtStudio.player.position === amtStudio.state.piece.bars_s[1]")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate("amtStudio.state.selection") == [2, 3]
    page.keyboard.press("Escape")
    assert page.evaluate("amtStudio.state.selection") is None
    scale = page.evaluate("amtStudio.roll.scale")
    page.keyboard.press("+")
    assert page.evaluate("amtStudio.roll.scale") == pytest.approx(scale * 1.5)


@pytest.mark.parametrize(
    ("name", "scheme", "width", "height"),
    [("light", "light", 1200, 1080), ("dark", "dark", 1200, 1080), ("phone", "light", 390, 844)],
)
def test_it_fits_and_is_readable(browser, client, tmp_path, name, scheme, width, height):
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{client.port}/")
    until(page, "window.amtStudio?.isReady")
    page.uncheck("#play-along")
    write(page, "a lofi hip hop beat with electric piano, bass and drums, 84 bpm, 16 bars", seed=3, versions=2)
    page.evaluate("amtStudio.select(5, 8)")
    page.evaluate("amtStudio.player.seek(amtStudio.state.piece.bars_s[4])")
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out to the right"
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        ".map(each => each.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0))"
    )
    assert (ink > paper) == (scheme == "dark") and abs(ink - paper) > 400
    folder = ROOT / "docs" if SHOTS == "docs" else tmp_path
    page.screenshot(path=folder / f"studio-{name}.png", full_page=name == "phone")
    assert (folder / f"studio-{name}.png").stat().st_size > 20_000
    context.close()
