"""Sums up a run of tests/differential.rs over a directory of random graphs.

usage: fuzz_summary.py DIR

Reads DIR/report.txt and the graphs' tags, prints what became of them by operator and by reason, and copies every graph
that was not computed bit for bit, or caused a panic, to DIR/failures. Exit code 1 if there is one.
"""
import os
import re
import shutil
import sys
from collections import Counter, defaultdict

FAILURES = ("mismatch", "panic", "crash")


def read(root):
    """Name, class and message of each graph; a graph begun and not finished crashed the process."""
    rows = {}
    with open(os.path.join(root, "report.txt")) as f:
        for line in f:
            name, word, message = (line.rstrip("\n").split(" ", 2) + [""])[:3]
            if word == "begin":
                rows[name] = ("crash", "the process ended")
            elif name in rows or re.fullmatch(r"equal|refused|mismatch|panic", word):
                rows[name] = (word, message)
    return rows


def reason(message):
    """The message without the parts that differ from graph to graph."""
    text = re.sub(r"`[^`]*`", "`..`", message)
    text = re.sub(r"\[[^]]*\]", "[..]", text)
    return re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "#", text)[:150]


def main():
    root = sys.argv[1]
    rows = read(root)
    totals, operators, reasons, samples = Counter(), defaultdict(Counter), Counter(), {}
    for name, (word, message) in rows.items():
        totals[word] += 1
        with open(os.path.join(root, name, "tags.txt")) as f:
            tags = set(f.read().split()[1:])
        for tag in tags:
            operators[tag][word] += 1
        if word != "equal":
            key = f"{word}: {reason(message)}"
            reasons[key] += 1
            samples.setdefault(key, name)
        if word in FAILURES:
            shutil.copytree(os.path.join(root, name), os.path.join(root, "failures", name), dirs_exist_ok=True)
    print(f"{'operator':32} {'equal':>6} {'refused':>8} {'failed':>7}")
    for tag, row in sorted(operators.items()):
        print(f"{tag:32} {row['equal']:6} {row['refused']:8} {sum(row[w] for w in FAILURES):7}")
    print()
    for key, count in reasons.most_common():
        print(f"{count:6}  {key}  ({samples[key]})")
    print("\n" + ", ".join(f"{totals[w]} {w}" for w in ("equal", "refused", *FAILURES)))
    sys.exit(any(totals[w] for w in FAILURES))


if __name__ == "__main__":
    main()
