"""Text from outside, made safe and steady for a terminal.

Promises of `clean` and `clean_lines`, for any input:
- no control character, escape sequence or bidirectional override reaches the terminal, and markup is plain text;
- every terminal agrees on the width: the width of the result is the sum of the widths of its characters.

How each kind of character is shown:

    line breaks (LF, CR LF, NEL, LS, PS, …)     " ⏎ " by clean, a new line by clean_lines
    tab, every other space                      one space
    other C0 controls and DEL                   their pictures: ␛ ␀ ␡
    C1 controls, lone surrogates, private use,
    unassigned                                  �
    format characters (bidi overrides and
    isolates, zero-width space, soft hyphen,
    BOM, language tags, Hangul fillers)         dropped; a zero-width non-joiner stays between two letters
    variation selectors, skin tones, joiners    dropped: terminals disagree on their width, so a joined emoji is
                                                shown as its members, in order
    regional indicators                         their letters: a flag is shown as its country code
    combining marks                             at most 4 on one character
    spacing vowel signs (हि, को …)               as they are where the terminal was asked (signs.py); else the
                                                vowel's letter: Rich counts no cell for a sign, most terminals one
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from rich.cells import get_character_cell_size

from core.marks import bounded
from core.utf8 import beyond_ascii, utf8

MOST_MARKS = 4
_NEWLINE = "\n"
_BREAKS = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")
_NON_JOINER = "\u200c"
_KEYCAP = "\u20e3"


_signs: frozenset[str] = frozenset()  # spacing signs on whose width the terminal and Rich agree


def show_signs(signs: frozenset[str]) -> None:
    """Show these spacing signs as they are from now on."""
    global _signs  # noqa: PLW0603 - there is one terminal
    _signs = signs
    _shown.cache_clear()
    _is_plain.cache_clear()


@lru_cache(maxsize=4096)
def _shown(char: str) -> str:
    """A character as it is shown; empty when it is dropped. Line breaks and the non-joiner are not asked for."""
    code = ord(char)
    category = unicodedata.category(char)
    if category == "Cc":
        if char == "\t":
            return " "
        if code < 0x20:
            return chr(0x2400 + code)
        return "\u2421" if code == 0x7F else "\ufffd"
    if category in {"Cs", "Co", "Cn"}:
        return "\ufffd"
    if category == "Zs":
        return " "
    if category == "Cf" or char in _FILLERS or char == _KEYCAP:
        return ""
    if 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF or 0x1F3FB <= code <= 0x1F3FF:
        return ""
    if category == "Mc":
        return char if char in _signs else _vowel_letter(char)
    if 0x1F1E6 <= code <= 0x1F1FF:
        return chr(ord("A") + code - 0x1F1E6)
    return char


def _vowel_letter(char: str) -> str:
    """The independent letter of a vowel sign, or nothing when the sign has none."""
    name = unicodedata.name(char, "")
    try:
        return unicodedata.lookup(name.replace(" VOWEL SIGN ", " LETTER ")) if " VOWEL SIGN " in name else ""
    except KeyError:
        return ""


def _is_letter(char: str) -> bool:
    return unicodedata.category(char)[0] in "LM"


def _walk(text: str) -> str:
    """The text with every line break as one LF and everything else as it is shown."""
    text = unicodedata.normalize("NFC", bounded(_BREAKS.sub(_NEWLINE, text)))
    out: list[str] = []
    marks = 0
    for index, char in enumerate(text):
        if " " <= char <= "~" or char == _NEWLINE:
            out.append(char)
            marks = 0
            continue
        if char == _NON_JOINER:
            if out and 0 < index < len(text) - 1 and _is_letter(out[-1]) and _is_letter(text[index + 1]):
                out.append(char)
            continue
        shown = _shown(char)
        if not shown:
            continue
        if get_character_cell_size(shown) == 0:
            marks += 1
            if marks > MOST_MARKS or not out or out[-1] in " \n":
                continue
        else:
            marks = 0
        out.append(shown)
    return "".join(out)


def clean(text: str) -> str:
    """The text on one line, line breaks shown as ` ⏎ `, outer white space removed."""
    if _is_clean(text):
        return text.strip()
    lines = _BREAKS.sub(_NEWLINE, text.strip()).split(_NEWLINE)
    return " ⏎ ".join((line if _is_clean(line) else _walk(line)).strip() for line in lines)


def _is_clean(text: str) -> bool:
    """Whether every character is shown as it is; most texts are known to be so without looking at each."""
    if not text.isprintable():
        return False
    return text.isascii() or (
        all(map(_is_plain, beyond_ascii(utf8(text)))) and unicodedata.is_normalized("NFC", text)
    )


@lru_cache(maxsize=4096)
def _is_plain(char: str) -> bool:
    return _shown(char) == char and unicodedata.category(char)[0] != "M" and get_character_cell_size(char) > 0


def clean_lines(text: str) -> list[str]:
    """The text line by line, for places that have the room."""
    return _walk(text).split(_NEWLINE)
