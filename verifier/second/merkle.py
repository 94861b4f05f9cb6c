"""Merkle trees of opened rows (section 4.6)."""

from blake3 import keyed
from reject import require

_LEAF = b"vinfer merkle leaf v1"
_NODE = b"vinfer merkle node v1"


def check_rows(root, depth, positions, opened, name):
    """Checks the rows at ascending positions against the root."""
    require(len(opened.rows) == len(positions), f"{name}: not one row per position")
    level = [(at, keyed(_LEAF, row.data)) for at, row in zip(positions, opened.rows)]
    siblings = iter(opened.siblings)
    for _ in range(depth):
        above, i = [], 0
        while i < len(level):
            at, node = level[i]
            if i + 1 < len(level) and level[i + 1][0] == at ^ 1:
                other = level[i + 1][1]
                i += 1
            else:
                other = next(siblings, None)
                require(other is not None, f"{name}: digests run out")
            i += 1
            above.append((at >> 1, keyed(_NODE, node + other if at % 2 == 0 else other + node)))
        level = above
    require(next(siblings, None) is None, f"{name}: digests left over")
    require(level[0][1] == root, f"{name}: rows do not belong to the root")
