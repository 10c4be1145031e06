"""Numbers about texts: frequencies, keywords, readability, similarity."""

import math
from collections import Counter

from .words import content_words, sentences, syllables, words


def count_words(corpus):
    """How often each content word stands in each document."""
    return {name: Counter(content_words(document.body)) for name, document in corpus.items()}


def rarity(counts):
    """Inverse document frequency: words that few documents have weigh more."""
    total = len(counts)
    documents = Counter(word for counter in counts.values() for word in counter)
    return {word: math.log((1 + total) / (1 + n)) + 1 for word, n in documents.items()}


def keywords(counts, weights, limit=5):
    """The words that tell each document from the others."""
    best = {}
    for name, counter in counts.items():
        scores = {word: n * weights[word] for word, n in counter.items()}
        best[name] = sorted(scores, key=lambda word: (-scores[word], word))[:limit]
    return best


def readability(corpus):
    """Flesch reading ease: 90 is easy, 30 is hard."""
    result = {}
    for name, document in corpus.items():
        all_words = words(document.body)
        per_sentence = len(all_words) / len(sentences(document.body))
        per_word = sum(syllables(word) for word in all_words) / len(all_words)
        result[name] = round(206.835 - 1.015 * per_sentence - 84.6 * per_word, 1)
    return result


def similarity(counts, weights):
    """Cosine of the weighted word counts, for each pair of documents."""
    vectors = {name: {word: n * weights[word] for word, n in counter.items()} for name, counter in counts.items()}
    lengths = {name: math.sqrt(sum(x * x for x in vector.values())) for name, vector in vectors.items()}
    names = sorted(vectors)
    pairs = {}
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            product = sum(x * vectors[b].get(word, 0.0) for word, x in vectors[a].items())
            pairs[a, b] = product / (lengths[a] * lengths[b])
    return pairs
