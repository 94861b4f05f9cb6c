"""What a proof speaks of (section 1.7)."""

import struct

from blake3 import keyed

VERSION = 2
PROFILE = b"direct-100"
_STATEMENT = b"vinfer statement v1"


def statement_digest(key_digest, context, inputs, outputs):
    parts = [struct.pack("<IQ", VERSION, len(PROFILE)), PROFILE, key_digest, context, struct.pack("<Q", 1)]
    for tensors in (inputs, outputs):
        parts.append(struct.pack("<Q", len(tensors)))
        for data in tensors:
            parts += [struct.pack("<Q", len(data)), data]
    return keyed(_STATEMENT, b"".join(parts))
