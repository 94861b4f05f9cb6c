"""Copies a small subset of random graphs that covers every tag at least twice.

usage: select_graphs.py FROM TO COUNT [EXCLUDED...]
"""
import os
import shutil
import sys
from collections import Counter


def main():
    source, target, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    excluded = set(sys.argv[4:])
    tags, size = {}, {}
    for name in sorted(set(os.listdir(source)) - excluded):
        d = os.path.join(source, name)
        if not os.path.exists(os.path.join(d, "tags.txt")):
            continue
        words = open(os.path.join(d, "tags.txt")).read().split()
        form = words[0].rsplit("-", 1)
        tags[name] = set(words[1:]) | {form[0], form[1]} | {f"{form[0]}:{w}" for w in words[1:]}
        size[name] = sum(os.path.getsize(os.path.join(d, f)) for f in os.listdir(d))
    have = Counter()
    chosen = []
    while len(chosen) < count:
        rest = [n for n in tags if n not in chosen and size[n] < 16000]
        if not rest:
            break
        gain = {n: sum(1 / (1 + have[t]) ** 2 for t in tags[n]) / (1 + size[n] / 20000) / len(tags[n]) ** 0.5 for n in rest}
        best = max(rest, key=lambda n: (gain[n], n))
        chosen.append(best)
        have.update(tags[best])
    for name in chosen:
        shutil.copytree(os.path.join(source, name), os.path.join(target, name), dirs_exist_ok=True)
    missing = {t for n in tags for t in tags[n]} - set(have)
    print(len(chosen), "graphs,", sum(size[n] for n in chosen), "bytes; uncovered:", sorted(missing))


if __name__ == "__main__":
    main()
