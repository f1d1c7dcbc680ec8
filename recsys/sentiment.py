"""Sentiment: whether a comment is kind or unkind, by the words in it.

VADER: a lexicon of words and emojis with how strongly they are felt, and rules for negation, emphasis and contrast. Hutto,
Gilbert, 2014, "VADER: a parsimonious rule-based model for sentiment analysis of social media text". It knows English alone, and
neither irony nor what the comment is about.
"""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vader import SentimentIntensityAnalyzer

LANGUAGE = "en"
READ = 1000
"""Characters of a comment that are read: a stranger's text must not hold a worker up."""
SCALE = 10_000
"""A sentiment is a whole number of these parts, for the rules tell it no finer, and sums of whole numbers are exact."""


def sentiment(comment: str, language: str | None) -> int | None:
    """The sentiment of a comment, from −10 000 (unkind) over 0 to 10 000; None where its language is not told, or another one.

    `language` is a tag of BCP 47, of which the first part counts.

    >>> sentiment("I love it, GREAT mug!", "en-GB"), sentiment("The handle broke. Never again.", "EN")
    (8840, -4215)
    >>> sentiment("Schöne Tasse!", "de"), sentiment("Great!", None)
    (None, None)
    """
    if language is None or language.replace("_", "-").partition("-")[0].lower() != LANGUAGE:
        return None
    return round(_analyzer().polarity_scores(comment[:READ])["compound"] * SCALE)


@cache
def _analyzer() -> "SentimentIntensityAnalyzer":
    """Made at the first comment: it takes some hundredths of a second, and most shops have none."""
    from vader import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
