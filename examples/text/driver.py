"""What is each text about, how hard is it to read, and which two are alike?"""

import argparse
import os
import time

from textstats import report
from textstats.corpus import read_corpus
from textstats.statistics import count_words, keywords, rarity, readability, similarity

HERE = os.path.dirname(os.path.abspath(__file__))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", default=os.path.join(HERE, "corpus"), help="folder of .txt files")
    parser.add_argument("--keywords", type=int, default=5, help="how many for each text")
    return parser.parse_args()


args = parse_arguments()
start = time.time()

corpus = read_corpus(args.corpus)
counts = count_words(corpus)
weights = rarity(counts)

best = keywords(counts, weights, limit=args.keywords)
ease = readability(corpus)
pairs = similarity(counts, weights)

text = report.markdown(corpus, best, ease, pairs)
report.save("report.md", text)
n_words = report.save_index("index.json", counts)

for name in sorted(corpus):
    print(f"{name:<12} {ease[name]:5.1f}  {' '.join(best[name])}")

if time.time() - start > 60:
    print("that took long")

print(f"{len(corpus)} texts, {n_words} different words")
