"""Which part of the body, which side and which view some words mean, and whether two of them go together; pure.

The words are those that machines and people write in these fields: the defined terms of DICOM's
Body Part Examined (PS3.16 annex L) that a plain film can show, and usual plain words beside them.
What is not known contradicts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from xraydesk.orders.sides import Side

_WORDS: dict[str, str] = {
    "skull": "skull|head|cranium|cranial",
    "face": "face|facial|sinus|sinuses|orbit|orbits|nose|nasal|zygoma|maxilla|paranasal",
    "jaw": "jaw|mandible|tmj|jawjoint|panoramic|teeth",
    "neck": "neck|larynx|airway",
    "neck spine": "cspine|cervical",
    "chest spine": "tspine|thoracic|dorsal|dspine",
    "lower back": "lspine|lumbar|lumbosacral|lsspine",
    "sacrum": "sspine|sacrum|coccyx|sacral|sacroiliac|siJoint",
    "gullet": "esophagus|oesophagus|pharynx|swallow|swallowing",
    "chest": "chest|thorax|lung|lungs|heart",
    "ribs": "rib|ribs",
    "breastbone": "sternum|sternoclavicular|scjoint",
    "collarbone": "clavicle|collarbone|acjoint|acromioclavicular",
    "shoulder": "shoulder|humeralhead",
    "shoulder blade": "scapula",
    "upper arm": "humerus|upperarm",
    "elbow": "elbow|olecranon|radialhead",
    "forearm": "forearm|radius|ulna",
    "wrist": "wrist|carpal|scaphoid|navicular",
    "hand": "hand|hands|metacarpal|metacarpals",
    "finger": "finger|fingers|thumb|phalanx",
    "belly": "abdomen|belly|kub|abdominal|stomach|duodenum|colon|bowel|gallbladder|kidney|kidneys|bladder",
    "pelvis": "pelvis|pelvic",
    "hip": "hip|hips|femoralhead",
    "thigh": "femur|thigh|upperleg",
    "knee": "knee|knees|patella|kneecap",
    "lower leg": "tibia|fibula|lowerleg|tibfib|shin|calf",
    "ankle": "ankle|malleolus",
    "heel": "calcaneus|heel",
    "foot": "foot|feet|metatarsal|tarsal|midfoot|forefoot",
    "toe": "toe|toes|hallux",
}
"""A part, in plain words, and the words that mean it."""

_WIDE: dict[str, tuple[str, ...]] = {
    "spine": ("neck spine", "chest spine", "lower back", "sacrum"),
    "arm": ("shoulder", "upper arm", "elbow", "forearm", "wrist", "hand", "finger"),
    "leg": ("hip", "thigh", "knee", "lower leg", "ankle", "heel", "foot", "toe"),
}
_WIDE["extremity"] = (*_WIDE["arm"], *_WIDE["leg"])
_WIDE["trunk"] = ("chest", "ribs", "breastbone", "belly", "pelvis", "chest spine", "lower back")
_WIDE_WORDS = {
    "spine": "spine|vertebra|vertebrae|scoliosis|wspine",
    "arm": "arm|upperextremity",
    "leg": "leg|legs|lowerextremity",
    "extremity": "extremity|extremities|joint",
    "trunk": "trunk|chestabdomen|chestabdomenpelvis",
}

_NEIGHBOURS = frozenset(
    frozenset(pair)
    for pair in (
        ("skull", "face"),
        ("face", "jaw"),
        ("skull", "jaw"),
        ("neck", "neck spine"),
        ("neck spine", "chest spine"),
        ("chest spine", "lower back"),
        ("lower back", "sacrum"),
        ("sacrum", "pelvis"),
        ("gullet", "neck"),
        ("gullet", "neck spine"),
        ("gullet", "chest"),
        ("gullet", "belly"),
        ("chest", "ribs"),
        ("chest", "breastbone"),
        ("chest", "collarbone"),
        ("chest", "chest spine"),
        ("collarbone", "shoulder"),
        ("shoulder", "shoulder blade"),
        ("shoulder", "upper arm"),
        ("upper arm", "elbow"),
        ("elbow", "forearm"),
        ("forearm", "wrist"),
        ("wrist", "hand"),
        ("hand", "finger"),
        ("belly", "pelvis"),
        ("belly", "lower back"),
        ("belly", "chest"),
        ("pelvis", "hip"),
        ("hip", "thigh"),
        ("thigh", "knee"),
        ("knee", "lower leg"),
        ("lower leg", "ankle"),
        ("ankle", "heel"),
        ("ankle", "foot"),
        ("heel", "foot"),
        ("foot", "toe"),
    )
)

_PART_OF = {
    word.lower(): frozenset({part}) for part, words in _WORDS.items() for word in words.split("|")
} | {word: frozenset(_WIDE[name]) for name, words in _WIDE_WORDS.items() for word in words.split("|")}

_TWO_WORDS = (
    ("upper", "arm"),
    ("upper", "leg"),
    ("lower", "leg"),
    ("upper", "extremity"),
    ("lower", "extremity"),
    ("c", "spine"),
    ("t", "spine"),
    ("l", "spine"),
    ("d", "spine"),
    ("ls", "spine"),
    ("si", "joint"),
    ("ac", "joint"),
    ("sc", "joint"),
    ("tib", "fib"),
    ("radial", "head"),
    ("femoral", "head"),
    ("humeral", "head"),
)
"""Words that mean something else together than apart."""

_NARROWING = frozenset({"cervical", "thoracic", "lumbar", "lumbosacral", "sacral", "dorsal"})
"""Beside these, "spine" says nothing of its own."""

Parts = frozenset[str]
"""Parts of the body that a text may mean; empty where it names none that is known."""


def parts_named(text: str) -> Parts:
    """The parts that a text names: "Chest PA" names the chest, "Lower leg" the lower leg, "SPINE" every part of it.

    Of several parts in one text ("chest and ribs") any is meant.
    """
    words = re.findall(r"[^\W\d_]+", text.lower())
    found: set[str] = set()
    at = 0
    while at < len(words):
        pair = tuple(words[at : at + 2])
        joined = "".join(pair) if pair in _TWO_WORDS else words[at]
        if not (joined == "spine" and _NARROWING & set(words)):
            found |= _PART_OF.get(joined, frozenset())
        at += 2 if pair in _TWO_WORDS else 1
    return frozenset(found)


class Fit(StrEnum):
    """How two texts about parts go together."""

    SAME = "same"
    NEAR = "near"
    OTHER = "other"
    UNKNOWN = "unknown"


def fit(one: Parts, other: Parts) -> Fit:
    """Whether two texts mean the same part, neighbours (a film of one shows much of the other), or others."""
    if not one or not other:
        return Fit.UNKNOWN
    if one & other:
        return Fit.SAME
    near = any(frozenset({a, b}) in _NEIGHBOURS for a in one for b in other)
    return Fit.NEAR if near else Fit.OTHER


def in_words(parts: Parts) -> str:
    """Parts as people read them: "hand", "spine" for all of it; "" where none is known."""
    wide = next((name for name, inner in _WIDE.items() if parts == frozenset(inner)), "")
    return wide or " or ".join(sorted(parts))


# Machines keep the language that they were set up in: German, Dutch, French, Spanish, Italian, Portuguese, Scandinavian.
_LEFT = re.compile(
    r"\b(?:left|lt|l|links|linke[nrs]?|linker|gauche|izq(?:uierd[ao])?|sinistr[ao]|esquerd[ao]|vänster|venstre)\b",
    re.IGNORECASE,
)
_RIGHT = re.compile(
    r"\b(?:right|rt|r|rechts|rechte[nrs]?|rechter|droite?|derech[ao]|destr[ao]|direit[ao]|höger|høyre|højre)\b",
    re.IGNORECASE,
)
_BOTH = re.compile(
    r"\b(?:bilateral\w*|bilat|both|comparison|beidseit\w*|beide[rn]?|beiderseits|bds|ambos|ambas)\b",
    re.IGNORECASE,
)
_NO_SIDE = re.compile(
    r"\b(?:[lr][\s.-]*(?:s?[\s-]*spine)|l\s*-?\s*s\b|r\s*/\s*o\b|l\s*[1-5]\b"
    r"|(?:left|right|lt|rt|l|r)\s+(?:(?:ant(?:erior)?|post(?:erior)?)\s+obl(?:ique)?|lat(?:eral)?\s+dec\w*|decub\w*)"
    r"|(?:links|rechts)seitenlage|d[eé]c[uú]b\w*\s+lat[eé]r\w+\s+\w+)",
    re.IGNORECASE,
)
"""Where left and right say how somebody lay, or L is the lower back."""


def side_marked(texts: Iterable[str]) -> Side:
    """The sides that a machine's own words name: "HAND PA L", "R_KNEE", "Left wrist"; none where both are named.

    Machines write less and shorter than people, so one letter by itself counts here.
    """
    found = Side.NONE
    for text in texts:
        plain = _NO_SIDE.sub(" ", text.replace("_", " "))
        if _BOTH.search(plain):
            return Side.NONE
        found |= (Side.LEFT if _LEFT.search(plain) else Side.NONE) | (
            Side.RIGHT if _RIGHT.search(plain) else Side.NONE
        )
    return found if found in (Side.LEFT, Side.RIGHT) else Side.NONE


_VIEWS: dict[str, str] = {
    "front": "pa|ap|front|frontal|dp|pad|apax",
    "side": "lat|lateral|ll|rl|llat|rlat|lm|ml|latlat",
    "oblique": "obl|oblique|rao|lao|rpo|lpo|llo|rlo",
    "axial": "axial|ax|axillary|harris",
    "mortise": "mortise",
    "tunnel": "tunnel|notch|intercondylar",
    "skyline": "skyline|sunrise|merchant|patellar",
    "dens": "dens|odontoid|openmouth|peg",
    "waters": "waters|om|occipitomental",
    "swimmer": "swimmer|swimmers",
    "outlet": "outlet|inlet|judet",
    "frog": "frog|froglat|frogleg",
    "scaphoid": "scaphoid|ulnardeviation|navicular",
    "outlet y": "y|scapy|yview",
}
_VIEW_OF = {word: view for view, words in _VIEWS.items() for word in words.split("|")}

_VIEW_SHOWS: dict[str, Parts] = {
    "mortise": frozenset({"ankle"}),
    "tunnel": frozenset({"knee"}),
    "skyline": frozenset({"knee"}),
    "dens": frozenset({"neck spine"}),
    "waters": frozenset({"face", "skull", "jaw"}),
    "swimmer": frozenset({"neck spine", "chest spine"}),
    "outlet": frozenset({"pelvis", "hip"}),
    "frog": frozenset({"hip", "pelvis"}),
    "scaphoid": frozenset({"wrist"}),
    "outlet y": frozenset({"shoulder", "shoulder blade"}),
}
"""Views that only some parts have."""


def view_named(text: str) -> str:
    """The kind of view that a text names, PA and AP one kind; "" where it is not known."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    return next((view for word in ["".join(words), *words] if (view := _VIEW_OF.get(word, ""))), "")


def is_asked_for(view: str, planned: Iterable[str]) -> bool:
    """Whether a kind of view is among a procedure's; True where either is not known."""
    known = [kind for word in planned if (kind := view_named(word))]
    return not view or not known or view in known


def is_view_of(view: str, parts: Parts) -> bool:
    """Whether a part can have a view; True where either is not known."""
    shows = _VIEW_SHOWS.get(view, frozenset())
    return not shows or not parts or bool(shows & parts)
