"""Finds the word that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

# The search is quadratic: what is longer, or would come later, is not worth the time of somebody who waits.
_LONGEST_WORD = 100
MOST_CANDIDATES = 200


def nearest(word: str, candidates: Iterable[str]) -> str:
    """The candidate that looks most like the word, whatever the case; empty when none is near."""
    if len(word) > _LONGEST_WORD:
        return ""
    near = [candidate for candidate in candidates if abs(len(candidate) - len(word)) <= 4]
    near.sort(key=lambda one: (one[:3] != word[:3], abs(len(one) - len(word)), one))
    folded = {candidate.casefold(): candidate for candidate in near[:MOST_CANDIDATES]}
    found = get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else ""


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """The nearest candidate as a question; empty when none is near."""
    match = nearest(word, candidates)
    return f"did you mean {match!r}?" if match else ""
