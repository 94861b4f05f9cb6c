"""Where columns lie in the commitments and lookups among the leaves (section 1.4)."""

from types import SimpleNamespace

from multilinear import bits, padded_length, shape_bits
from rules import table_rows

MAX_HOLES = 256


def _align(at, b):
    return -(-at >> b) << b


class Packer:
    def __init__(self):
        self.end = 0
        self.holes = []

    def place(self, b, n):
        """A multiple of 2^b where n cells are free."""
        for slot, (start, stop) in enumerate(self.holes):
            at = _align(start, b)
            if at + n <= stop:
                self.holes[slot] = self.holes[-1]
                self.holes.pop()
                self._add_hole(start, at)
                self._add_hole(at + n, stop)
                return at
        at = _align(self.end, b)
        self._add_hole(self.end, at)
        if len(self.holes) > MAX_HOLES:
            self.holes.pop(0)
        self.end = at + n
        return at

    def _add_hole(self, start, stop):
        if start < stop:
            self.holes.append((start, stop))


def _commitment(system, home):
    columns = [(n, c.dims) for n, c in enumerate(system.columns) if c.home.kind == home]
    columns.sort(key=lambda c: (-shape_bits(c[1]), -padded_length(c[1]), c[0]))
    packer = Packer()
    offsets = {n: packer.place(shape_bits(dims), padded_length(dims)) for n, dims in columns}
    return SimpleNamespace(offsets=offsets, bits=max(8, bits(packer.end)))


def layout(system):
    """Both commitments, and the runs of leaves with their offsets."""
    runs = []
    for instance in system.instances:
        for lookup in instance.lookups:
            runs.append(SimpleNamespace(
                bits=shape_bits(instance.dims), length=padded_length(instance.dims),
                instance=instance, lookup=lookup))
    for number, table in enumerate(system.tables):
        rows = table_rows(system, table)
        runs.append(SimpleNamespace(bits=bits(rows), length=rows, instance=None, table=number))
    packer = Packer()
    for run in sorted(runs, key=lambda r: (-r.bits, -r.length)):
        run.offset = packer.place(run.bits, run.length)
    return SimpleNamespace(
        homes={home: _commitment(system, home) for home in ("Witness", "Constants")},
        runs=runs,
        leaf_bits=max(1, bits(packer.end)),
    )
