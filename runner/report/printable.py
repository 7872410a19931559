"""Foreign text made fit for a terminal: a benchmark's name, a failure's message or a path cannot speak to it."""

from __future__ import annotations

import unicodedata

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of what a terminal does and does not show: controls, formats, lone surrogates, separators."""
_KEPT = "\n\t\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Words of some languages, and some emoji, are spelt with the joiners; they move nothing."""


def printable(text: str) -> str:
    """The text with `REPLACEMENT` for each character that a terminal would obey and not show, or cannot be given.

    Those are control characters (escape sequences begin with one), bidirectional overrides and their like, and lone
    surrogates. Line ends and tabs are kept.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in _KEPT or unicodedata.category(one) not in _OBEYED else REPLACEMENT
                   for one in text)
