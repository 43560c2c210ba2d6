"""What the instruments of General MIDI can play: the lowest and the highest pitch of each, and how many notes at once.

From the ranges that textbooks of orchestration and makers of instruments give. Synthesizers have those of a keyboard of
six octaves, sound effects any pitch, the drum kit the hits of GS.
"""

from __future__ import annotations

from amt.midi.programs import DRUMS

_RANGES: dict[tuple[int, ...], tuple[int, int]] = {
    (0, 1, 2, 3): (21, 108), (4, 5): (28, 103), (6, 7): (29, 91),
    (8,): (48, 108), (9,): (60, 108), (10,): (48, 108), (11,): (48, 91), (12,): (36, 96), (13,): (53, 108),
    (14,): (48, 84), (15,): (40, 91),
    (16, 17, 18): (36, 98), (19,): (24, 98), (20, 21, 23): (36, 96), (22,): (52, 96),
    (24, 25, 26, 27, 28): (38, 88), (29, 30): (33, 91), (31,): (40, 96),
    (32, 33, 34, 35, 36, 37): (23, 67), (38, 39): (22, 72),
    (40,): (55, 103), (41,): (48, 91), (42,): (36, 81), (43,): (24, 67), (44,): (36, 96), (45,): (28, 98),
    (46,): (24, 103), (47,): (36, 60),
    (48, 49, 50, 51): (28, 98), (52,): (38, 84), (53, 54): (43, 88), (55,): (36, 96),
    (56, 59): (52, 86), (57,): (36, 77), (58,): (24, 65), (60,): (34, 81), (61,): (36, 86), (62, 63): (36, 91),
    (64,): (54, 91), (65,): (48, 84), (66,): (43, 79), (67,): (36, 74),
    (68,): (57, 91), (69,): (50, 84), (70,): (33, 76), (71,): (48, 94),
    (72,): (62, 108), (73,): (57, 98), (74, 75, 76, 77): (53, 96), (78,): (60, 98), (79,): (57, 91),
    (80, 81, 82, 83, 84, 85, 86, 87): (33, 103),
    (88, 89, 90, 91, 92, 93, 94, 95): (33, 98), (96, 97, 98, 99, 100, 101, 102, 103): (33, 103),
    (104, 105, 106, 107): (43, 91), (108,): (48, 93), (109,): (52, 84), (110,): (55, 98), (111,): (52, 91),
    (112,): (60, 108), (113, 115): (48, 96), (114,): (52, 91), (116,): (33, 67), (117, 118): (33, 79),
    (119, 120, 121, 122, 123, 124, 125, 126, 127): (0, 127), (DRUMS,): (27, 87),
}  # fmt: skip
# Two hands, six strings; several players may share a program. What is not here has 4.
_VOICES: dict[tuple[int, ...], int] = {
    (0, 1, 2, 3, 4, 5, 6, 7): 10, (10,): 6, (16, 17, 18, 19, 20): 10, (21, 23): 8, (22,): 3,
    (24, 25, 26, 27, 28, 29, 30, 31): 6, (32, 33, 34, 35, 36, 37, 38, 39): 2,
    (44, 45): 6, (46,): 8, (47,): 2, (48, 49, 50, 51): 8, (52, 53, 54, 55): 6, (58,): 2, (61, 62, 63): 6,
    (64, 65, 66, 67, 68, 69, 70, 71): 3, (72, 73, 74, 75, 76, 77, 78, 79): 3,
    (80, 81, 82, 83, 84, 85, 86, 87): 4, (88, 89, 90, 91, 92, 93, 94, 95): 8, (96, 97, 98, 99, 100, 101, 102, 103): 6,
    (105,): 5, (110, 111): 3,
}  # fmt: skip
VOICES = dict.fromkeys(range(DRUMS), 4)
VOICES |= {program: count for programs, count in _VOICES.items() for program in programs}
_BY_PROGRAM = {program: bounds for programs, bounds in _RANGES.items() for program in programs}
LOWEST = {program: _BY_PROGRAM[program][0] for program in range(DRUMS + 1)}
HIGHEST = {program: _BY_PROGRAM[program][1] for program in range(DRUMS + 1)}
