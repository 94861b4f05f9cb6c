"""The transcript and its proofs of work (section 3)."""

import struct

from blake3 import keyed
from field import P
from reject import require

_TRANSCRIPT = b"vinfer transcript v1"
_WORK = b"vinfer proof of work v1"
_BYTES, _EXTENSION, _CHALLENGE, _INDICES, _NONCE = 0, 1, 3, 4, 5


def encode(elements):
    """Elements of K as bytes."""
    return b"".join(struct.pack("<QQ", *e) for e in elements)


class Transcript:
    """Challenges are reported to `trace(name, value)`."""

    def __init__(self, trace):
        self.state = bytes(32)
        self.trace = trace

    def _step(self, kind, label, body):
        name = label.encode()
        self.state = keyed(_TRANSCRIPT, b"".join((
            self.state, bytes([kind]),
            struct.pack("<Q", len(name)), name,
            struct.pack("<Q", len(body)), body,
        )))

    def absorb_bytes(self, label, data):
        self._step(_BYTES, label, data)

    def absorb(self, label, elements):
        self._step(_EXTENSION, label, encode(elements))

    def challenge(self, label):
        self._step(_CHALLENGE, label, b"")
        value = tuple(int.from_bytes(self.state[i:i + 16], "little") % P for i in (0, 16))
        self.trace(f"challenge {label}", value)
        return value

    def positions(self, label, count, n):
        """Distinct indices below 2^n, ascending."""
        drawn = []
        while len(drawn) < count:
            self._step(_INDICES, label, b"")
            drawn += (word % (1 << n) for word in struct.unpack("<4Q", self.state))
        positions = sorted(set(drawn[:count]))
        self.trace(label, positions)
        return positions

    def work(self, nonce, bits):
        """Checks a proof of work, then absorbs it."""
        nonce = struct.pack("<Q", nonce)
        first = int.from_bytes(keyed(_WORK, self.state + nonce + bytes(24))[:8], "little")
        require(first % (1 << bits) == 0, "a nonce does not clear its bits")
        self._step(_NONCE, "nonce", nonce)
