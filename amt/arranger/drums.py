"""Drums: grooves from pools of patterns, fills, crashes, solos."""

from __future__ import annotations

from amt.arranger.drum_names import DRUM_PITCHES, drum_velocity
from amt.arranger.form import FALLBACKS, Section
from amt.arranger.metre import Metre
from amt.arranger.patterns import Bar, bars, decided, for_metre
from amt.arranger.stage import PartNote, Stage
from amt.arranger.style import DrumSpec

HIT = 6  # steps that a hit is written long
QUIET = ("intro", "break", "outro", "bridge")  # no crash at their beginning
AROUND = ("snare", "tom1", "tom2", "tom4", "floor1", "kick")
HANDS = ("conga", "conga_mute", "tumba", "bongo1", "bongo2", "timbale1", "timbale2")
PLAN = (0, 1, 0, 2, 0, 1, 0, 3)  # which variant of a groove each of eight bars has
PLAN_ALONE = (0, 1, 2, 3, 0, 1, 2, 3)  # of drums alone: nothing else tells the bars apart
Hits = dict[tuple[int, str], str]


def groove_name(spec: DrumSpec, section: str) -> str:
    """The groove that a section has."""
    while section not in spec.grooves:
        if section not in FALLBACKS:
            return "main"
        section = FALLBACKS[section]
    return section


def _groove(stage: Stage, spec: DrumSpec, name: str) -> list[list[Hits]]:
    """A groove's variants, each bar by bar of its longest pattern: one pattern of each pool, drawn once for the piece.

    In a variant some drums have another pattern.
    """
    if ("groove", name) in stage.memo:
        made: list[list[Hits]] = stage.memo["groove", name]
        return made
    rows: dict[str, tuple[Bar, ...]] = {}
    made = []
    for _ in range(spec.variants):
        for drum, pool in spec.grooves[name].items():
            if drum not in rows or stage.rng.random() < 0.5:
                usable = for_metre(pool, stage.metre, stage.is_first_metre)
                rows[drum] = bars(decided(stage.rng.choice(usable), stage.rng), stage.metre.bar)
        made.append(_together(rows))
        if spec.solo_sections:  # drums alone: each variant has hits of its own
            drums = [drum for drum in rows if drum in AROUND or drum in HANDS]
            for hits in made[-1]:
                for _ in range(stage.rng.choice((1, 1, 2, 2))):
                    hits.setdefault((stage.rng.randrange(8) * stage.metre.bar // 8, stage.rng.choice(drums)), "g")
    stage.memo["groove", name] = made
    return made


def _together(rows: dict[str, tuple[Bar, ...]]) -> list[Hits]:
    """The hits of all drums, bar by bar."""
    made = []
    for number in range(max(len(row) for row in rows.values())):
        hits: Hits = {}
        for drum, row in rows.items():
            for cell in row[number % len(row)]:
                hits[cell.start, drum] = cell.symbol
        made.append(hits)
    return made


def _add_fill(spec: DrumSpec, fill: dict[str, str], metre: Metre, hits: Hits) -> Hits:
    """The hits of a bar with its end replaced by a fill."""
    cells = max((len(text) for text in fill.values()), default=0)
    begin = max(0, metre.bar - cells * spec.fill_width)
    kept = {key: symbol for key, symbol in hits.items() if key[0] < begin or key[1] in ("pedal", "maracas", "cabasa")}
    for drum, text in fill.items():
        for place, symbol in enumerate(text):
            step = metre.bar - (cells - place) * spec.fill_width
            if symbol in "xog" and step >= 0:
                kept[step, drum] = symbol
    return kept


def _solo_bar(stage: Stage, spec: DrumSpec) -> Hits:
    """A bar of a drum solo: fills one behind the other."""
    hits: Hits = {}
    end = stage.metre.bar
    while end > 0:
        fill = stage.rng.choice(spec.fills)
        cells = max(len(text) for text in fill.values())
        for drum, text in fill.items():
            for place, symbol in enumerate(text):
                step = end - (cells - place) * spec.fill_width
                if symbol in "xog" and step >= 0 and stage.rng.random() < 0.92:
                    is_moved = drum in AROUND and stage.rng.random() < 0.35  # the same rhythm around the kit
                    hits[step, stage.rng.choice(AROUND) if is_moved else drum] = symbol
        end -= cells * spec.fill_width
    return hits


def play_drums(stage: Stage, section: Section, before: Section | None, is_last: bool) -> list[PartNote]:
    """The drums of a section.

    Args:
        before: the section before it, if there is one.
        is_last: whether the piece ends after it; then there is no fill but into the end.
    """
    spec = stage.style.drums
    assert spec is not None, "play_drums of a style without drums"
    rng, metre = stage.rng, stage.metre
    variants = _groove(stage, spec, groove_name(spec, section.name))
    solos = section.name in spec.solo_sections and spec.fills
    phrases = [_solo_bar(stage, spec) for _ in range(4)] if solos else []
    plan = rng.choice(("abac", "aabc", "abcd", "abab", "aaab")) if solos else ""
    notes: list[PartNote] = []
    pick_up = rng.random() < 0.5
    for number in range(section.bars):
        turn = PLAN_ALONE if spec.solo_sections else PLAN
        groove = variants[turn[number % len(turn)] % len(variants)]
        hits = groove[number % len(groove)]
        is_end = number == section.bars - 1
        if solos:
            hits = (
                phrases["abcd".index(plan[number % 4])]
                if number < 8
                else dict(phrases["abcd".index(plan[(number + 1) % 4])])
            )
        elif spec.fills and (is_end or number % spec.fill_every == spec.fill_every - 1) and section.bars > 1:
            hits = _add_fill(spec, rng.choice(spec.fills), metre, hits)
        elif number % 4 == 3 and pick_up and not spec.is_steady and (0, "kick") in hits:
            hits = {**hits, (metre.bar - 12, "kick"): "o"}
        if (
            number == 0
            and spec.has_crash
            and before is not None
            and section.name not in QUIET
            and before.name != section.name
        ):
            hits = {key: symbol for key, symbol in hits.items() if key not in ((0, "hat"), (0, "open"), (0, "ride"))}
            hits[0, "crash"] = "x"
        base = number * metre.bar
        for (start, drum), symbol in hits.items():
            velocity = int(spec.volume * drum_velocity(drum, symbol))
            notes.append((base + start, HIT, DRUM_PITCHES[drum], velocity, False))
    return notes
