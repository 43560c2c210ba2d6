"""Ensembles: who plays in each, how many of them, and whether others may join."""

from __future__ import annotations

from typing import NamedTuple


class Ensemble(NamedTuple):
    """Players by the name of their instrument; one that is open has no fixed set of players."""

    members: tuple[tuple[str, int], ...]
    is_open: bool = False
    aliases: str = ""


_SYMPHONIC = (("strings", 0), ("woodwinds", 0), ("brass", 0), ("timpani", 1), ("percussion", 0), ("harp", 1))
_RHYTHM = (("piano", 1), ("double bass", 1), ("drums", 1))

ENSEMBLES: dict[str, Ensemble] = {
    "string quartet": Ensemble((("violin", 2), ("viola", 1), ("cello", 1)), aliases="quartet of strings | string 4tet"),
    "string trio": Ensemble((("violin", 1), ("viola", 1), ("cello", 1))),
    "string quintet": Ensemble((("violin", 2), ("viola", 2), ("cello", 1))),
    "string sextet": Ensemble((("violin", 2), ("viola", 2), ("cello", 2))),
    "string octet": Ensemble((("violin", 4), ("viola", 2), ("cello", 2))),
    "piano trio": Ensemble((("piano", 1), ("violin", 1), ("cello", 1))),
    "piano quartet": Ensemble((("piano", 1), ("violin", 1), ("viola", 1), ("cello", 1))),
    "piano quintet": Ensemble((("piano", 1), ("violin", 2), ("viola", 1), ("cello", 1))),
    "wind quintet": Ensemble(
        (("flute", 1), ("oboe", 1), ("clarinet", 1), ("french horn", 1), ("bassoon", 1)), aliases="woodwind quintet"
    ),
    "woodwind quartet": Ensemble((("flute", 1), ("oboe", 1), ("clarinet", 1), ("bassoon", 1)), aliases="wind quartet"),
    "clarinet quintet": Ensemble((("clarinet", 1), ("violin", 2), ("viola", 1), ("cello", 1))),
    "brass quintet": Ensemble((("trumpet", 2), ("french horn", 1), ("trombone", 1), ("tuba", 1))),
    "brass quartet": Ensemble((("trumpet", 2), ("french horn", 1), ("trombone", 1))),
    "saxophone quartet": Ensemble(
        (("soprano sax", 1), ("alto sax", 1), ("tenor sax", 1), ("baritone sax", 1)), aliases="sax quartet"
    ),
    "jazz trio": Ensemble(_RHYTHM, aliases="piano jazz trio | jazz piano trio | piano trio jazz"),
    "jazz quartet": Ensemble((("saxophone", 1), *_RHYTHM)),
    "jazz quintet": Ensemble((("trumpet", 1), ("saxophone", 1), *_RHYTHM)),
    "jazz combo": Ensemble((("saxophone", 1), *_RHYTHM), is_open=True, aliases="jazz band | jazz ensemble | combo"),
    "rhythm section": Ensemble((("piano", 1), ("bass", 1), ("drums", 1)), is_open=True),
    "organ trio": Ensemble((("hammond organ", 1), ("jazz guitar", 1), ("drums", 1))),
    "power trio": Ensemble((("electric guitar", 1), ("bass guitar", 1), ("drums", 1))),
    "rock band": Ensemble(
        (("electric guitar", 0), ("bass guitar", 1), ("drums", 1)),
        is_open=True,
        aliases="metal band | punk band | garage band | indie band",
    ),
    "pop band": Ensemble(
        (("piano", 1), ("electric guitar", 1), ("bass guitar", 1), ("drums", 1)), is_open=True, aliases="boy band"
    ),
    "brass band": Ensemble(
        (("trumpet", 0), ("french horn", 0), ("trombone", 0), ("tuba", 0), ("drums", 0)),
        is_open=True,
        aliases="second line band",
    ),
    "marching band": Ensemble(
        (("trumpet", 0), ("trombone", 0), ("tuba", 0), ("clarinet", 0), ("piccolo", 0), ("drums", 0)),
        is_open=True,
        aliases="military band",
    ),
    "concert band": Ensemble(
        (("woodwinds", 0), ("trumpet", 0), ("french horn", 0), ("trombone", 0), ("tuba", 0), ("percussion", 0)),
        is_open=True,
        aliases="wind band | wind orchestra | symphonic band | wind ensemble | harmony orchestra",
    ),
    "big band": Ensemble(
        (("saxophone", 5), ("trumpet", 4), ("trombone", 4), *_RHYTHM), is_open=True, aliases="jazz orchestra | bigband"
    ),
    "bluegrass band": Ensemble(
        (("banjo", 1), ("fiddle", 1), ("mandolin", 1), ("acoustic guitar", 1), ("double bass", 1)), is_open=True
    ),
    "mariachi band": Ensemble((("trumpet", 2), ("violin", 2), ("nylon guitar", 2), ("double bass", 1)), is_open=True),
    "klezmer band": Ensemble((("clarinet", 1), ("violin", 1), ("accordion", 1), ("double bass", 1)), is_open=True),
    "steel band": Ensemble((("steel drums", 0),), is_open=True),
    "orchestra": Ensemble(
        _SYMPHONIC,
        is_open=True,
        aliases="symphony orchestra | full orchestra | philharmonic | philharmonic orchestra | "
        "full symphony orchestra | symphonic orchestra | orchestras",
    ),
    "chamber orchestra": Ensemble((("strings", 0), ("woodwinds", 0), ("french horn", 2)), is_open=True),
    "chamber ensemble": Ensemble((("strings", 0), ("woodwinds", 0), ("piano", 1)), is_open=True),
    "gamelan": Ensemble((("vibraphone", 0), ("marimba", 0), ("tubular bells", 0), ("percussion", 0)), is_open=True),
    "a cappella": Ensemble((("choir", 0),), aliases="acappella | a capella | acapella"),
    "barbershop quartet": Ensemble((("voice", 4),), aliases="vocal quartet"),
    "drum corps": Ensemble((("drums", 0), ("percussion", 0)), aliases="drumline | drum line"),
}

# Names of a number of players.
SIZES: dict[str, int] = {
    "duo": 2, "duet": 2, "trio": 3, "quartet": 4, "quintet": 5, "sextet": 6, "septet": 7, "octet": 8, "nonet": 9,
}  # fmt: skip

# Words after which others may play, too.
OPENERS = (
    "and more | and so on | etc | et cetera | among others | and others | other instruments | and other instruments | "
    "several instruments | more instruments | full band | whole band | with band | a band | the band | backing band | "
    "accompanied by a band | or similar | and the like | lots of instruments | many instruments | "
    "all kinds of instruments | full arrangement | full production | fully orchestrated | orchestrated | "
    "orchestration | full ensemble | all instruments | everything"
)
