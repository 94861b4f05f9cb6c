"""BLAKE3, plain and keyed, 32 bytes of output, from its public specification."""

import struct

_IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
       0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_CHUNK_START, _CHUNK_END, _PARENT, _ROOT, _KEYED = 1, 2, 4, 8, 16
_CHUNK, _BLOCK = 1024, 64

_MIX = """
 {a} = ({a} + {b} + {x}) & M; {d} ^= {a}; {d} = ({d} >> 16 | {d} << 16) & M
 {c} = ({c} + {d}) & M; {b} ^= {c}; {b} = ({b} >> 12 | {b} << 20) & M
 {a} = ({a} + {b} + {y}) & M; {d} ^= {a}; {d} = ({d} >> 8 | {d} << 24) & M
 {c} = ({c} + {d}) & M; {b} ^= {c}; {b} = ({b} >> 7 | {b} << 25) & M
"""


def _unrolled():
    """Source of the compression function; a loop would take three times as long."""
    columns = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
    diagonals = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
    lines = ["def compress(cv, block, counter, length, flags):\n M = 0xFFFFFFFF\n"]
    lines.append(" " + ", ".join(f"m{i}" for i in range(16)) + " = block\n")
    lines.append(" " + ", ".join(f"v{i}" for i in range(8)) + " = cv\n")
    lines += [f" v{8 + i} = {_IV[i]}\n" for i in range(4)]
    lines.append(" v12 = counter & M; v13 = counter >> 32 & M; v14 = length; v15 = flags\n")
    order = list(range(16))
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(columns + diagonals):
            words = {"x": f"m{order[2 * i]}", "y": f"m{order[2 * i + 1]}"}
            lines.append(_MIX.format(a=f"v{a}", b=f"v{b}", c=f"v{c}", d=f"v{d}", **words))
        order = [order[i] for i in _PERMUTATION]
    lines.append(" return " + ", ".join(f"v{i} ^ v{i + 8}" for i in range(8)) + "\n")
    return "".join(lines)


_names = {}
exec(_unrolled(), _names)  # the source is a constant of this file
_compress = _names["compress"]


def _words(block):
    return struct.unpack("<16I", block.ljust(_BLOCK, b"\0"))


def _chunk(data, counter, key, flags, root):
    """The chaining value of one chunk."""
    value = key
    blocks = [data[i:i + _BLOCK] for i in range(0, len(data), _BLOCK)] or [b""]
    for i, block in enumerate(blocks):
        f = flags | (_CHUNK_START if i == 0 else 0)
        if i == len(blocks) - 1:
            f |= _CHUNK_END | root
        value = _compress(value, _words(block), counter, len(block), f)
    return value


def _tree(chunks, first, key, flags, root):
    """The chaining value of a subtree; `first` is the number of its first chunk."""
    if len(chunks) == 1:
        return _chunk(chunks[0], first, key, flags, root)
    half = 1 << (len(chunks) - 1).bit_length() - 1
    left = _tree(chunks[:half], first, key, flags, 0)
    right = _tree(chunks[half:], first + half, key, flags, 0)
    return _compress(key, left + right, 0, _BLOCK, flags | _PARENT | root)


def _digest(data, key, flags):
    chunks = [data[i:i + _CHUNK] for i in range(0, len(data), _CHUNK)] or [b""]
    return struct.pack("<8I", *_tree(chunks, 0, key, flags, _ROOT))


def blake3(data):
    """Plain BLAKE3."""
    return _digest(data, _IV, 0)


def keyed(key, data):
    """BLAKE3 in keyed mode; the key is text, padded with spaces to 32 bytes."""
    return _digest(data, struct.unpack("<8I", key.ljust(32)), _KEYED)
