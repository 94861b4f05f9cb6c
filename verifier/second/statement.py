"""What a proof speaks of (section 1.7)."""

import struct

from blake3 import keyed

VERSION = 2
PROFILE = b"direct-100"
_STATEMENT = b"vinfer statement v1"
_INFERENCE = b"vinfer inference v1"


def statement_digest(key_digest, batch, context, inputs, outputs):
    head = b"".join((
        struct.pack("<IQ", VERSION, len(PROFILE)), PROFILE, key_digest, context, struct.pack("<Q", batch)))
    if batch == 1:
        return keyed(_STATEMENT, head + _tensors(inputs) + _tensors(outputs))
    digests = []
    for i in range(batch):
        number = struct.pack("<Q", i)
        mine = (_tensors([_sample(t, i, batch) for t in tensors]) for tensors in (inputs, outputs))
        digests.append(keyed(_INFERENCE, b"".join((head, number, *mine))))
    return keyed(_STATEMENT, head + b"".join(digests))


def _sample(tensor, i, batch):
    size = len(tensor) // batch
    return tensor[i * size:(i + 1) * size]


def _tensors(tensors):
    parts = [struct.pack("<Q", len(tensors))]
    for data in tensors:
        parts += [struct.pack("<Q", len(data)), data]
    return b"".join(parts)
