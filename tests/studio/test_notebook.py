"""What a notebook shows of a piece, in a real browser: it plays offline, several instruments and drums."""

import pytest
from browsers import num_colored_pixels, open_browser, until

import amt

# The player makes its own AudioContext; what it is connected to is watched.
WATCH = """
window.heard = 0;
const Real = window.AudioContext;
window.AudioContext = class extends Real {
  constructor() {
    super();
    const analyser = this.createAnalyser(), samples = new Float32Array(analyser.fftSize);
    const connect = AudioNode.prototype.connect, real = this.destination;
    AudioNode.prototype.connect = function (target, ...more) {
      if (target === real) connect.call(this, analyser);
      return connect.call(this, target, ...more);
    };
    setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      window.heard = Math.max(window.heard, ...samples.map(Math.abs));
    }, 20);
  }
};
"""


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.mark.parametrize("instruments", [None, ["drums"]], ids=["band", "drums"])
def test_a_piece_shows_its_roll_and_plays_offline(browser, tmp_path, instruments):
    piece = amt.arrange("disco", seed=3, bars=4)
    notes = piece.notes
    if instruments:
        piece = amt.Piece((), piece.music.replace(notes=notes[notes.is_drum]))
    assert instruments or (len(piece.music.notes) and notes.is_drum.any() and len(set(notes.program.tolist())) > 3)
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8>{piece._repr_html_()}", encoding="utf-8")
    context = browser.new_context(offline=True)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_init_script(WATCH)
    page.goto((tmp_path / "page.html").as_uri())
    assert page.locator("svg path").count() > 1
    page.click("button")
    until(page, "window.heard > 0.005")
    until(page, "document.querySelector('output').textContent.startsWith('0:01')")
    page.click("button")
    assert page.text_content("button") == "▶ Play" and not errors
    context.close()


def test_the_picture_of_a_canvas_is_counted(browser):
    page = browser.new_page()
    page.set_content("<canvas id=c width=10 height=10></canvas>")
    page.evaluate("document.getElementById('c').getContext('2d').fillRect(0, 0, 5, 5)")
    assert num_colored_pixels(page, "#c") == 0
    page.evaluate("{const c = document.getElementById('c').getContext('2d'); c.fillStyle = 'red'; c.fillRect(0,0,3,3)}")
    assert num_colored_pixels(page, "#c") == 9
    page.close()
