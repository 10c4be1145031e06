"""Words and sentences."""

import re

WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*")
END = re.compile(r"(?<=[.!?])[\"']?\s+")

STOPWORDS = frozenset(
    """a about above after again all an and any are as at be because been before being below between both but by can
    could did do does down each every few for from had has have he her him his how i if in into is it its let like me
    more most much my no none nor not of off on once one only or other our out over own same she should so some such
    than that the their them then there these they this those though three through to too two under until up upon
    very was we were what when where which while who whom why will with would you your""".split()
)


def words(text):
    return WORD.findall(text.lower())


def sentences(text):
    return [part for part in END.split(text.replace("\n", " ")) if part.strip()]


def content_words(text):
    """Without the words that stand in every text, and without very short ones."""
    return [word for word in words(text) if word not in STOPWORDS and len(word) > 2]


def syllables(word):
    """A guess that is right for most English words."""
    count = len(re.findall(r"[aeiouy]+", word))
    if word.endswith("e") and not word.endswith("le") and count > 1:
        count -= 1
    return max(count, 1)
