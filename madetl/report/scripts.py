"""Which script a text is written in, by most of its letters: a stand-in for its language. Pure."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

# The letters of the scripts that most of the world writes in; all others are told by their Unicode name.
_RANGES = {
    "Latin": "A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff",
    "Han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "Kana": "\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9d",
    "Hangul": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "Cyrillic": "\u0400-\u052f",
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Arabic": "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff",
    "Hebrew": "\u0590-\u05ff",
    "Devanagari": "\u0900-\u097f",
    "Bengali": "\u0980-\u09ff",
    "Thai": "\u0e00-\u0e7f",
}


def script_of(text: str) -> str:
    """The script of most letters of the text, 'none' where it has no letters; kana make Han letters Japanese."""
    if text.isascii():
        return "Latin" if re.search("[A-Za-z]", text) else "none"
    letters = Counter({name: len(pattern.findall(text)) for name, pattern in _patterns().items()})
    if letters["Kana"]:
        letters["Kana"] += letters["Han"]
        letters["Han"] = 0
    name, most = letters.most_common(1)[0]
    other = sum(c.isalpha() for c in text) - letters.total()
    if other > most:
        return "another"
    return {"Kana": "Japanese"}.get(name, name) if most else "none"


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    return {name: re.compile(f"[{letters}]") for name, letters in _RANGES.items()}
