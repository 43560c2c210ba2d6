"""Damaged MIDI files, the same ones every time. `python malformed.py FOLDER` writes them."""

import random
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

NUM_MUTATIONS = 400


def var_len(value: int) -> bytes:
    """A variable-length quantity."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(value & 0x7F | 0x80)
    return bytes(reversed(out))


def track(*events: tuple[int, bytes], end: int | None = 0) -> bytes:
    """A track chunk of (delta time, bytes) events; `end` is the delta time of its end, None leaves that out."""
    body = b"".join(var_len(delta) + event for delta, event in events)
    return chunk(b"MTrk", body + (b"" if end is None else var_len(end) + b"\xff\x2f\x00"))


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    """A chunk, which may lie about its size."""
    return name + struct.pack(">I", len(body) if size is None else size) + body


def smf(*tracks: bytes, format: int = 1, num_tracks: int | None = None, division: int = 480) -> bytes:
    """A file of these track chunks."""
    count = len(tracks) if num_tracks is None else num_tracks
    return chunk(b"MThd", struct.pack(">HHH", format, count, division)) + b"".join(tracks)


def note_on(pitch: int, velocity: int = 64, channel: int = 0) -> bytes:
    """A note-on message; velocity 0 ends the note."""
    return bytes((0x90 | channel, pitch, velocity))


def note_off(pitch: int, channel: int = 0) -> bytes:
    """A note-off message."""
    return bytes((0x80 | channel, pitch, 0))


def meta(kind: int, body: bytes) -> bytes:
    """A meta event."""
    return bytes((0xFF, kind)) + var_len(len(body)) + body


def small_file() -> bytes:
    """A sound file with a bit of everything."""
    conductor = track(
        (0, meta(0x03, b"Waltz")),
        (0, meta(0x51, b"\x07\xa1\x20")),
        (0, meta(0x58, b"\x03\x02\x18\x08")),
        (0, meta(0x59, b"\xfe\x01")),
        (960, meta(0x51, b"\x06\x1a\x80")),
        end=480,
    )
    piano = track(
        (0, b"\xc0\x05"),
        (0, b"\xb0\x40\x7f"),
        (0, note_on(60)),
        (10, bytes((64, 70))),  # running status
        (470, note_on(60, 0)),
        (0, bytes((64, 0))),
        (0, b"\xb0\x40\x00"),
        (0, b"\xf0" + var_len(4) + b"\x43\x12\x00\xf7"),
        (130, note_on(67)),
        (480, note_off(67)),
    )
    drums = track(*[(0 if i % 2 == 0 else 240, note_on(38, 90 * (1 - i % 2), 9)) for i in range(12)])
    return smf(conductor, piano, drums)


def _truncated() -> Iterator[tuple[str, bytes]]:
    data = small_file()
    for size in range(len(data)):
        yield f"cut_at_{size}", data[:size]


def _lying() -> Iterator[tuple[str, bytes]]:
    data = small_file()
    starts = [i for i in range(len(data)) if data[i : i + 4] in (b"MTrk", b"MThd")]
    for index, start in enumerate(starts):
        size = struct.unpack(">I", data[start + 4 : start + 8])[0]
        for lie in (0, 1, size - 1, size + 1, size + 9, len(data), 1 << 31, (1 << 32) - 1):
            yield f"chunk_{index}_says_{lie}", data[: start + 4] + struct.pack(">I", lie) + data[start + 8 :]
    for count in (0, 1, 2, 4, 65535):
        yield f"header_says_{count}_tracks", data[:10] + struct.pack(">H", count) + data[12:]
    for format in (0, 2, 3, 65535):
        yield f"format_{format}", data[:8] + struct.pack(">H", format) + data[10:]
    for division in (0, 0x8000, 0x80FF, 0xE700, 0xFFFF, 0x7FFF):
        yield f"division_{division}", data[:12] + struct.pack(">H", division) + data[14:]
    for kind in (0x01, 0x51, 0x58, 0x59, 0x2F):
        for size in (0, 1, 127, (1 << 28) - 1, 1 << 60):
            event = bytes((0xFF, kind)) + var_len(size) + b"\x01"
            yield f"meta_{kind:x}_says_{size}", smf(track((0, note_on(60)), (5, event), (5, note_off(60))))
    yield "sysex_says_2_28", smf(track((0, note_on(60)), (5, b"\xf0" + var_len((1 << 28) - 1) + b"\x01")))
    yield "riff_lies", b"RIFF\xff\xff\xff\xffRMIDdata\xff\xff\xff\x7f" + data
    yield "riff_without_data", b"RIFF\x04\x00\x00\x00RMIDjunk\xff\xff\xff\x7f" + data


def _garbage() -> Iterator[tuple[str, bytes]]:
    data = small_file()
    rng = random.Random(1)
    for name, junk in {
        "zeros": bytes(100),
        "ones": b"\xff" * 100,
        "noise": rng.randbytes(100),
        "one_byte": b"\n",
        "half_a_name": b"MTr",
        "empty_track": b"MTrk",
        "text": b"This is no chunk at all. " * 4,
    }.items():
        yield f"{name}_at_the_end", data + junk
        yield f"{name}_alone", junk
        yield f"{name}_between_chunks", smf(track((0, note_on(60)), (9, note_off(60)))) + junk + track((3, note_on(61)))
        yield f"{name}_as_track", smf(chunk(b"MTrk", junk))
    yield "wrong_magic", b"MThe" + data[4:]
    yield "no_tracks", smf()
    yield "data_bytes_first", smf(track((0, b"\x3c\x40"), (5, note_on(60)), (5, note_off(60))))
    yield "high_data_bytes", smf(track((0, bytes((0x90, 0xBC, 0xC0))), (5, bytes((0x80, 0xBC, 0x00)))))
    yield "system_messages", smf(track(*[(1, bytes((status, 0, 0))) for status in range(0xF1, 0xFF)]))
    yield "tempo_zero", smf(track((0, meta(0x51, bytes(3))), (0, note_on(60)), (5, note_off(60))))
    yield "time_signature_over_2_255", smf(track((0, meta(0x58, b"\x00\xff\x18\x08"))))


def _mutated() -> Iterator[tuple[str, bytes]]:
    rng = random.Random(2)
    for index in range(NUM_MUTATIONS):
        data = bytearray(small_file())
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(len(data))
            kind = rng.randrange(4)
            if kind == 0:
                data[place] = rng.randrange(256)
            elif kind == 1:
                del data[place : place + rng.randint(1, 9)]
            elif kind == 2:
                data[place:place] = rng.randbytes(rng.randint(1, 9))
            else:
                data[place:place] = data[rng.randrange(len(data)) :][:30]
            data = data or bytearray(b"\0")
        yield f"mutation_{index}", bytes(data)


def small_cases() -> dict[str, bytes]:
    """Hundreds of small damaged files by name."""
    return {name: data for group in (_truncated, _lying, _garbage, _mutated) for name, data in group()}


def _many_notes() -> bytes:
    return smf(chunk(b"MTrk", b"\0" + b"".join(b"\x90\x3c\x40\x01\x3c\0\0" for _ in range(500_000))[:-1]))


def _overlapping_notes() -> bytes:
    body = b"\0" + note_on(60) + b"\x01\x3c\x40" * 499_999 + b"\x01\x3c\x00" * 500_000
    return smf(chunk(b"MTrk", body + b"\0\xff\x2f\0"))


# Large files, which must cost time and memory in proportion to their size.
LARGE_CASES: dict[str, Callable[[], bytes]] = {
    "500000_notes": _many_notes,
    "500000_overlapping_notes": _overlapping_notes,
    "500000_unclosed_notes": lambda: smf(chunk(b"MTrk", b"\0" + note_on(60) + b"\x01\x3c\x40" * 499_999)),
    "500000_note_offs": lambda: smf(chunk(b"MTrk", b"\0" + note_off(60) + b"\x01\x3c\x00" * 499_999)),
    "500000_pedals": lambda: smf(chunk(b"MTrk", b"\0\xb0\x40\x7f" + b"\x01\x40\x00\x01\x40\x7f" * 499_999)),
    "500000_tempos_backwards": lambda: smf(
        *(track((9_999 - i, meta(0x51, b"\x07\xa1\x20") + (b"\0" + meta(0x51, b"\1\1\1")) * 50)) for i in range(10_000))
    ),
    "20000_tracks": lambda: smf(*[track((1, note_on(60, channel=i % 16)), end=None) for i in range(20_000)]),
    "20000_empty_tracks": lambda: smf(*[track(end=None)] * 20_000),
    "20000_tracks_that_lie": lambda: smf(*[chunk(b"MTrk", b"\0" + note_on(60), 1 << 30)] * 20_000),
    "1_MB_of_var_len": lambda: smf(chunk(b"MTrk", b"\xff" * 1_000_000)),
    "1_MB_of_delta_time": lambda: smf(track((0, note_on(60)), end=None) + b"\x81" * 1_000_000),
    "1_MB_of_running_status": lambda: smf(chunk(b"MTrk", b"\0" + note_on(60) + bytes(1_000_000))),
    "1_MB_of_chunk_names": lambda: smf() + b"MTrk" * 250_000,
    "1_MB_of_empty_chunks": lambda: smf() + b"junk\0\0\0\0" * 125_000 + small_file()[14:],
    "1_MB_of_zeros": lambda: small_file() + bytes(1_000_000),
    "rest_of_2_28_ticks": lambda: smf(track(((1 << 28) - 1, note_on(60)), (1, note_off(60)))),
    "rest_of_2_33_ticks": lambda: smf(track(*[((1 << 28) - 1, note_on(60))] * 32)),
}


def main() -> None:
    """Write all cases into the folder that the command line names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in small_cases().items():
        (folder / f"{name}.mid").write_bytes(data)
    for name, make in LARGE_CASES.items():
        (folder / f"{name}.mid").write_bytes(make())


if __name__ == "__main__":
    main()
