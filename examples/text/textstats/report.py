"""What is shown and written."""

import json


def markdown(corpus, best, ease, pairs):
    lines = ["# Texts", "", "| text | words for it | reading ease |", "|---|---|---|"]
    for name, document in corpus.items():
        lines.append(f"| {document.title} | {', '.join(best[name])} | {ease[name]} |")
    (a, b), value = max(pairs.items(), key=lambda item: item[1])
    lines += ["", f"Most alike: {corpus[a].title} and {corpus[b].title} ({value:.2f})."]
    return "\n".join(lines) + "\n"


def save(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def save_index(path, counts):
    """For each word the documents that have it, with how often."""
    index = {}
    for name, counter in counts.items():
        for word, n in counter.items():
            index.setdefault(word, {})[name] = n
    with open(path, "w", encoding="utf-8") as file:
        json.dump(index, file, indent=1, sort_keys=True)
    return len(index)
