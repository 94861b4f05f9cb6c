"""The proof file (section 1.8)."""

import struct
from types import SimpleNamespace

from field import P
from ports import byte_length
from reject import require

MAGIC = b"VINFERZ2"


class _Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        require(count <= len(self.data) - self.at, "the proof ends early")
        self.at += count
        return self.data[self.at - count:self.at]

    def u32(self):
        return struct.unpack("<I", self.take(4))[0]

    def u64(self):
        return struct.unpack("<Q", self.take(8))[0]

    def base(self, count):
        values = struct.unpack(f"<{count}Q", self.take(8 * count))
        require(all(v < P for v in values), "an element is not canonical")
        return values

    def extension(self, count):
        values = self.base(2 * count)
        return list(zip(values[::2], values[1::2]))

    def rounds(self, count, values):
        return [self.extension(values) for _ in range(count)]

    def opened(self, oracle, words):
        """Rows of an oracle, as bytes and as elements; `words` is 1 for F, 2 for K."""
        count = self.u32()
        require(count <= oracle.queries, "more rows than queries")
        width = words << oracle.fold
        rows = []
        for _ in range(count):
            start = self.at
            values = self.base(width)
            elements = [(v, 0) for v in values] if words == 1 else list(zip(values[::2], values[1::2]))
            rows.append(SimpleNamespace(data=self.data[start:self.at], elements=elements))
        siblings = self.u32()
        require(siblings <= oracle.queries * oracle.domain_bits, "more digests than the queries can need")
        return SimpleNamespace(rows=rows, siblings=[self.take(32) for _ in range(siblings)])


def read_proof(data, key, leaf_bits, rounds, schedule):
    """The file of a proof for this key; `rounds` is N."""
    reader = _Reader(data)
    require(reader.take(8) == MAGIC, "this is no proof of version 2")
    require(reader.take(32) == key.digest, "the proof is for another key")
    system = key.system
    proof = SimpleNamespace()
    proof.context = reader.take(32)
    proof.inputs = [reader.take(byte_length(p)) for p in system.inputs]
    proof.outputs = [reader.take(byte_length(p)) for p in system.outputs]
    proof.witness_root = reader.take(32)
    proof.root_denominator = reader.extension(1)[0]
    proof.layers = [
        SimpleNamespace(rounds=reader.rounds(i, 3), children=reader.extension(4)) for i in range(leaf_bits)
    ]
    proof.leaf_values = reader.extension(leaf_value_count(system))
    proof.contraction_rounds = reader.rounds(rounds, 2)
    proof.factors = reader.rounds(len(system.contractions) + len(system.products), 2)
    proof.opening_rounds = reader.rounds(schedule.first_fold, 2)
    proof.opened = {home: reader.opened(schedule.homes[home], 1) for home in ("Witness", "Constants")}
    proof.folded = [
        SimpleNamespace(
            root=reader.take(32), nonce=reader.u64(), rounds=reader.rounds(o.fold, 2), opened=reader.opened(o, 2))
        for o in schedule.folded
    ]
    proof.final_vector = reader.extension(1 << schedule.final_bits)
    proof.final_nonce = reader.u64()
    proof.final_rounds = reader.rounds(schedule.final_bits, 2)
    require(reader.at == len(data), "bytes after the proof")
    return proof


def leaf_value_count(system):
    sources = sum(s.kind != "OutsideWindow" for i in system.instances for s in i.sources)
    columns = sum(len(t.rows.columns) for t in system.tables if t.rows.kind == "Columns")
    return sources + columns + len(system.tables)
