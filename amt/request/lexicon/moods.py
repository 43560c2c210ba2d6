"""Moods: how happy and how lively each is, the mode that suits it, and the words for it."""

from __future__ import annotations

from typing import NamedTuple


class Mood(NamedTuple):
    """Valence and energy from -1 to 1 (the circumplex of Russell 1980); a mode, or "" where both suit it."""

    valence: float
    energy: float
    mode: str = ""
    aliases: str = ""


MOODS: dict[str, Mood] = {
    "happy": Mood(
        0.9, 0.5, "major",
        "cheerful | joyful | joyous | merry | jolly | cheery | glad | sunny | carefree | happiness | joy | "
        "delightful | feel good | feelgood | gleeful | blissful",
    ),
    "upbeat": Mood(0.7, 0.7, "major", "peppy | perky | bouncy | bubbly | up beat"),
    "sad": Mood(
        -0.8, -0.5, "minor",
        "sorrowful | mournful | tearful | heartbroken | heartbreaking | sadness | tragic | gloomy | lament | weeping | "
        "depressing | depressed | sorrow | grieving | broken hearted | despairing | doleful",
    ),
    "melancholic": Mood(-0.5, -0.4, "minor", "melancholy | wistful | pensive | plaintive | melancholia | moody | "
    "brooding"),
    "nostalgic": Mood(-0.1, -0.3, "", "nostalgia | sentimental | reminiscent | yearning | longing"),
    "bittersweet": Mood(-0.1, -0.2, "", "bitter sweet | happy sad"),
    "calm": Mood(
        0.4, -0.8, "",
        "peaceful | relaxing | relaxed | relaxation | serenity | tranquility | calmness | tranquil | serene | "
        "soothing | chill | chilled | mellow | restful | quiet mood | peace | calming | meditative | zen | calmer | "
        "chill vibes | laid back mood | placid | chilled out | easygoing",
    ),
    "pleasant": Mood(0.5, -0.1, "", "easy going | agreeable | amiable | good natured"),
    "tender": Mood(0.4, -0.5, "", "gentle | gently | delicate | intimate | loving | caressing | sweet | tenderly | "
    "lovely"),
    "romantic": Mood(0.5, -0.2, "", "romance mood | romantic mood | amorous | passionate love | romantically"),
    "dreamy": Mood(
        0.3, -0.5, "",
        "dreamlike | dreaminess | ethereal | floating | airy | celestial | otherworldly | hazy | spacey | surreal | "
        "heavenly | angelic",
    ),
    "warm": Mood(0.5, -0.3, "", "cozy | cosy | heartwarming | heart warming | warmth"),
    "hopeful": Mood(0.6, 0.2, "major", "optimistic | hope | positive"),
    "uplifting": Mood(0.7, 0.5, "major", "inspiring | inspirational | motivational | euphoric | soaring | inspiration"),
    "energetic": Mood(
        0.5, 0.9, "",
        "high energy | excitement | driving | vigorous | vibrant | exciting | excited | powerful | lively mood | "
        "spirited | pumping | energy | animated | hyper | punchy | frenetic | exhilarating | pumped up",
    ),
    "playful": Mood(
        0.6, 0.4, "major",
        "quirky | whimsical | humorous | funny | comical | silly | goofy | mischievous | cute | comedic | childlike | "
        "light hearted | lighthearted | cheeky | fun",
    ),
    "epic": Mood(0.2, 0.8, "", "grand | colossal | larger than life | monumental"),
    "heroic": Mood(0.5, 0.7, "major", "triumphant | victorious | triumph | victory | brave | courageous | valiant"),
    "majestic": Mood(0.4, 0.3, "major", "regal | royal | stately | noble | ceremonial | glorious | pompous"),
    "solemn": Mood(-0.2, -0.4, "", "serious | reverent | dignified | sacred mood | austere | sombre | somber"),
    "dark": Mood(-0.6, 0.1, "minor", "darkness | grim | bleak | gritty | evil | demonic | infernal"),
    "mysterious": Mood(-0.2, -0.1, "minor", "mystery | enigmatic | mystical | mystic | secretive | sneaky | arcane"),
    "scary": Mood(
        -0.7, 0.4, "minor",
        "spooky | creepy | eerie | haunting | horror | scary movie | terrifying | ghostly | sinister | frightening | "
        "haunted | macabre | ominous | unsettling | eerie mood | horror music | menacing",
    ),
    "tense": Mood(-0.5, 0.6, "minor", "suspenseful | restless | agitated | suspense | anxious | nervous | tension | "
    "nail biting | urgent | uneasy"),
    "angry": Mood(-0.6, 0.9, "minor", "aggressive | furious | rage | violent | brutal | ferocious | hostile | anger | "
    "savage"),
    "dramatic": Mood(-0.1, 0.6, "minor", "theatrical | drama | stormy | turbulent"),
    "intense": Mood(-0.1, 0.8, "", "fierce | relentless | intensity | fiery | passionate | wild | explosive"),
    "heavy": Mood(-0.3, 0.8, "minor", "crushing"),
    "lonely": Mood(-0.6, -0.6, "minor", "loneliness | solitary | desolate | isolated | loneliness mood | "
    "alone in the dark"),
    "emotional": Mood(-0.1, 0.0, "", "moving | touching | heartfelt | expressive | poignant | soulful | soulfully | "
        "deeply felt"),
    "groovy": Mood(0.5, 0.5, "", "grooving | danceable | head nodding | infectious groove"),
    "smooth": Mood(0.4, -0.3, "", "silky | suave | sultry | sensual | sexy | cool mood | slick"),
    "bright": Mood(0.6, 0.4, "major", "sparkling | shimmering | sparkly | radiant | shiny | glittering"),
    "catchy": Mood(0.6, 0.4, "major", "hooky | memorable | infectious | earworm"),
    "festive": Mood(0.8, 0.6, "major", "celebratory | celebration | jubilant | rousing"),
    "magical": Mood(0.4, 0.1, "", "enchanting | enchanted | fairy tale | fairytale | wonder | wondrous | magic"),
    "hypnotic": Mood(0.0, 0.2, "", "trance like | mesmerizing | mesmerising | trippy | repetitive groove | "
    "hypnotizing"),
    "elegant": Mood(0.4, -0.1, "major", "graceful | refined | classy | sophisticated | dainty"),
}  # fmt: skip
