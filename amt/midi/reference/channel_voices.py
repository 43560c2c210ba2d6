"""What plays on the channels of a file: programs, banks and drum parts, over all its tracks.

The twin of csrc/midi/channel_voices.h and channel_voices.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

DRUM_CHANNEL = 9
GM2_DRUMS, GM2_MELODIC = 120, 121
XG_KITS = (126, 127)
BANK_CONTROL = 0


class Voice(NamedTuple):
    """A program, or the kit of drums."""

    program: int
    is_drum: bool


class ProgramChange(NamedTuple):
    """`is_drum` is what the bank says; None: that of the channel counts."""

    tick: int
    track: int
    program: int
    is_drum: bool | None


TimedTrack = Sequence[tuple[int, Any]]  # (tick, mido message)


class ChannelVoices:
    """What plays on each channel of each track.

    - A track's own program changes hold. Before the first one, those of the other tracks do, up to that tick.
    - Bank 120 (GM2), 126 and 127 (XG) are drum kits, bank 121 (GM2) is melodic. The bank is the track's own.
    - With other banks, channel 10 is drums, and what GS "use for rhythm part" or XG "part mode" made one, in any track.

    Args:
        tracks: the messages of each track.
        shares_programs: False: each track is a piece of its own.
    """

    def __init__(self, tracks: Sequence[TimedTrack], shares_programs: bool):
        self._shares_programs = shares_programs
        self._parts: dict[int, list[tuple[int, bool]]] = {channel: [] for channel in range(16)}
        resets = set()
        for tick, message in sorted(
            (item for track in tracks for item in track if item[1].type == "sysex"), key=lambda item: item[0]
        ):
            kind, part = _exclusive(message.data)
            if kind == "part":
                self._parts[part[0]].append((tick, part[1]))
            else:
                resets.add(kind)
        self._is_gs = "gs" in resets and "xg" not in resets
        self._programs: dict[int, list[ProgramChange]] = {channel: [] for channel in range(16)}
        for number, track in enumerate(tracks):
            banks: dict[int, int] = {}
            for tick, message in track:
                if message.type == "control_change" and message.control == BANK_CONTROL:
                    banks[message.channel] = message.value
                elif message.type == "program_change":
                    is_drum = self._bank_is_drum(banks.get(message.channel, 0))
                    self._programs[message.channel].append(ProgramChange(tick, number, message.program, is_drum))

    def at(self, track: int, channel: int, tick: int, num_own: int) -> Voice:
        """What plays at a tick of a track, behind so many of its own program changes of that channel."""
        changes = self._programs[channel]
        own = [change for change in changes if change.track == track][:num_own]
        others = [change for change in changes if change.track != track and change.tick <= tick]
        program, is_drum = 0, None
        if own:
            program, is_drum = own[-1].program, own[-1].is_drum
        elif others and self._shares_programs:
            latest = max(others, key=lambda change: (change.tick, change.track))
            # Of equal ones `max` takes the first, but the last one counts.
            last = [change for change in others if change[:2] == latest[:2]][-1]
            program, is_drum = last.program, last.is_drum
        if is_drum is None:
            parts = [is_part for part_tick, is_part in self._parts[channel] if part_tick <= tick]
            is_drum = parts[-1] if parts else channel == DRUM_CHANNEL
        return Voice(program, is_drum)

    def _bank_is_drum(self, bank: int) -> bool | None:
        if bank in XG_KITS:
            return None if self._is_gs else True  # a Roland GS has other instruments there
        return {GM2_DRUMS: True, GM2_MELODIC: False}.get(bank)


def _exclusive(data: Sequence[int]) -> tuple[str, tuple[int, bool]]:
    """What a system exclusive message says: "gs" or "xg" resets; "part": this channel is drums or not; "" anything."""
    gs = len(data) == 9 and data[0] == 0x41 and tuple(data[2:5]) == (0x42, 0x12, 0x40)
    xg = len(data) == 7 and data[0] == 0x43 and data[1] & 0xF0 == 0x10 and data[2] == 0x4C
    if gs and tuple(data[5:8]) == (0x00, 0x7F, 0x00):
        return "gs", (0, False)
    if gs and data[5] & 0xF0 == 0x10 and data[6] == 0x15:
        part = data[5] & 0x0F  # 0 is channel 10, 1 to 9 those up to 9, then 11 to 16
        return "part", (DRUM_CHANNEL if part == 0 else part - 1 if part <= 9 else part, data[7] != 0)
    if xg and tuple(data[3:6]) == (0x00, 0x00, 0x7E):
        return "xg", (0, False)
    if xg and data[3] == 0x08 and data[4] < 16 and data[5] == 0x07:
        return "part", (data[4], data[6] != 0)
    return "", (0, False)
