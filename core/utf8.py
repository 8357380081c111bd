"""Texts as UTF-8, in which some things are found faster than in the texts themselves."""

from __future__ import annotations

_ASCII = bytes(range(128))


def utf8(text: str) -> bytes:
    """UTF-8 of a text that may hold anything, halves of surrogates too."""
    return text.encode("utf-8", "surrogatepass")


def lowered(text: str) -> bytes:
    """UTF-8 with the capitals of ASCII in lower case, and no others: twice as fast as `lower` of a text."""
    return utf8(text).lower()


def beyond_ascii(encoded: bytes) -> str:
    """The characters of UTF-8 that are not ASCII: few, and looking one up costs far more than finding it."""
    return encoded.translate(None, _ASCII).decode("utf-8", "surrogatepass")
