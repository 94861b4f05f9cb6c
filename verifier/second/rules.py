"""The rules of a system (section 1.3), checked once per key."""

import struct
from math import inf

from field import P
from key import indices
from multilinear import elements, shape_bits
from ports import raw_type
from reject import key_rule

MAX_STEPS = 1 << 24
MAX_CELLS = 1 << 30
MAX_STRIDE = 1 << 20


class _Steps:
    """Counts the steps for all weights without closed form."""

    def __init__(self):
        self.count = 0

    def spend(self, steps):
        self.count += steps
        key_rule(self.count <= MAX_STEPS, "the key needs too many steps")


def check_system(system):
    """Rejects a system that breaks a rule."""
    forms = len(system.contractions) + len(system.products)
    for count in (len(system.columns), len(system.instances), len(system.tables), forms):
        key_rule(count <= 1 << 16, "too many columns, instances, tables or bilinear forms")
    key_rule(len(system.inputs) + len(system.outputs) <= 1 << 10, "too many ports")
    key_rule(system.outputs and system.tables, "no output or no table")
    steps = _Steps()
    for column in system.columns:
        _check_shape(column.dims)
    key_rule(sum(1 << shape_bits(c.dims) for c in system.columns) <= MAX_CELLS, "too many cells")
    _check_tables(system)
    for contraction in system.contractions:
        _check_contraction(system, contraction, steps)
    for product in system.products:
        _check_product(system, product, steps)
    for instance in system.instances:
        _check_instance(system, instance, steps)
    leaves = sum(len(i.lookups) << shape_bits(i.dims) for i in system.instances)
    leaves += sum(1 << (table_rows(system, t) - 1).bit_length() for t in system.tables)
    key_rule(leaves <= MAX_CELLS, "too many lookups")
    _check_uses(system)
    _check_ports(system)


def _check_shape(dims):
    key_rule(len(dims) <= 16, "a shape has too many axes")
    key_rule(all(1 <= d <= 1 << 28 for d in dims), "a shape has an axis of a wrong size")
    key_rule(shape_bits(dims) <= 30, "a shape is too large")


def _column(system, number, home=None):
    key_rule(number < len(system.columns), "a reference to a column that is not there")
    column = system.columns[number]
    key_rule(home is None or column.home.kind == home, f"a column that must be in {home} is not")
    return column


def table_rows(system, table):
    """The number of rows of a table."""
    if table.rows.kind == "Columns":
        return elements(system.columns[table.rows.columns[0]].dims)
    return 1 << table.rows.bits


def table_arity(table):
    kind = table.rows.kind
    return len(table.rows.columns) if kind == "Columns" else {"Range": 1, "Clamp": 2, "ParityClamp": 3}[kind]


def _check_tables(system):
    counters = set()
    for table in system.tables:
        rows = table.rows
        if rows.kind == "Columns":
            key_rule(1 <= len(rows.columns) <= 8, "a table has a wrong number of columns")
            columns = [_column(system, c, "Constants") for c in rows.columns]
            key_rule(all(len(c.dims) == 1 and c.dims == columns[0].dims for c in columns), "columns of a table differ in length")
        else:
            key_rule(rows.bits <= 24, "a table is too large")
            if rows.kind == "Clamp":
                key_rule(rows.fraction_bits < rows.bits, "a clamp table without integer bits")
                _check_clamp(rows, rows.bits - rows.fraction_bits)
            if rows.kind == "ParityClamp":
                key_rule(rows.bits > 1, "a parity table is too small")
                _check_clamp(rows, rows.bits)
        multiplicity = _column(system, table.multiplicity, "Witness")
        key_rule(multiplicity.dims == [table_rows(system, table)], "a multiplicity of another length")
        key_rule(table.multiplicity not in counters, "two tables share a multiplicity")
        counters.add(table.multiplicity)


def _check_clamp(rows, bits):
    half = 1 << (bits - 1)
    key_rule(-half <= rows.lo <= 0 <= rows.hi < half, "a clamp outside its table")


def _check_maps(system, dims, column, maps, steps, selected_allowed):
    """Maps of a `Column` source or of a factor; returns the domain axes they name."""
    axes = column.dims
    driven, at = [], 0
    for m in maps:
        span = m.span if m.kind == "Gather" else 1
        key_rule(span >= 1 and at + span <= len(axes), "maps do not fit the column")
        size = elements(axes[at:at + span])
        at += span
        if m.kind == "Sum":
            continue
        key_rule(m.axis < len(dims), "a map of an axis that is not there")
        length = dims[m.axis]
        driven.append(m.axis)
        if m.kind == "Same":
            key_rule(size == length, "a map between axes of different sizes")
            continue
        steps.spend(size + length)
        if m.kind == "Gather":
            _check_list(m.list, length, size)
        elif m.kind == "Strided":
            key_rule(m.stride <= MAX_STRIDE, "a stride is too large")
        else:
            key_rule(selected_allowed and column.home.kind == "Constants", "a selection of a wrong column")
            key_rule(m.input < len(system.inputs), "a selection by an input that is not there")
            port = system.inputs[m.input]
            _, least, most = raw_type(port.quantisation.int_type)
            key_rule(elements(port.shape) == length, "a selection by an input of another length")
            key_rule(port.quantisation.zero_point == 0, "a selection by an input with a zero point")
            key_rule(0 <= least and most < size, "a selection outside its column")
    key_rule(at == len(axes), "maps do not fit the column")
    key_rule(len(set(driven)) == len(driven), "an axis drives two axes of a column")
    return driven


def _check_list(index_list, length, bound):
    entries = indices(index_list)
    key_rule(len(entries) == length, "a list of another length than its axis")
    key_rule(all(e < bound for e in entries) if index_list.kind == "List" else length <= bound, "a list entry out of range")


def _check_contraction(system, c, steps):
    weights = _column(system, c.weights, "Constants")
    column = _column(system, c.input)
    _check_shape(c.summed)
    _check_shape(c.positions)
    own = c.summed
    if c.rows_per_group:
        key_rule(len(c.summed) > 0, "groups without an axis")
        own = c.summed[1:]
    key_rule(len(c.weight_axes) == len(weights.dims), "weights of another shape")
    rows, seen = None, []
    for axes, size in zip(c.weight_axes, weights.dims):
        if axes == [0]:
            key_rule(rows is None, "weights with two axes of rows")
            rows = size
            continue
        key_rule(all(1 <= a <= len(own) for a in axes), "weights with a wrong axis")
        key_rule(elements([own[a - 1] for a in axes]) == size, "weights of another shape")
        seen += axes
        if len(axes) > 1:
            steps.spend(size)
    key_rule(rows is not None and sorted(seen) == list(range(1, len(own) + 1)), "axes of weights do not cover the sum")
    steps.spend(rows)
    if c.rows_per_group:
        key_rule(c.summed[0] * c.rows_per_group == rows, "groups do not cover the rows")
    key_rule(len(c.maps) == len(column.dims), "maps do not fit the input")
    summed, positions = [], []
    for m, size in zip(c.maps, column.dims):
        if m.kind == "Position":
            key_rule(m.axis < len(c.positions) and c.positions[m.axis] == size, "a position of another size")
            positions.append(m.axis)
        elif m.kind == "Summed":
            key_rule(m.axis < len(c.summed) and c.summed[m.axis] == size, "a summed axis of another size")
            summed.append(m.axis)
        elif m.kind == "Grouped":
            key_rule(c.rows_per_group and 0 < m.axis < len(c.summed), "a grouped axis without groups")
            key_rule(c.summed[m.axis] == m.size and c.summed[0] * m.size == size, "a grouped axis of another size")
            steps.spend(size)
            summed += [0, m.axis]
        else:
            key_rule(m.axis < len(c.positions) and m.tap_axis < len(c.summed), "a window of an axis that is not there")
            key_rule(m.stride <= MAX_STRIDE and m.dilation <= MAX_STRIDE, "a stride is too large")
            steps.spend(c.positions[m.axis] * c.summed[m.tap_axis] + size)
            summed.append(m.tap_axis)
            positions.append(m.axis)
    key_rule(sorted(summed) == list(range(len(c.summed))), "a summed axis is not driven exactly once")
    key_rule(sorted(positions) == list(range(len(c.positions))), "a position axis is not driven exactly once")


def contraction_rows(system, c):
    """The number of rows of a contraction."""
    return system.columns[c.weights].dims[c.weight_axes.index([0])]


def _check_product(system, product, steps):
    dims = product.dims + product.summed
    _check_shape(dims)
    steps.spend(sum(dims))
    driven = [
        _check_maps(system, dims, _column(system, f.column), f.maps, steps, False)
        for f in (product.a, product.b)
    ]
    for axis in range(len(dims)):
        count = (axis in driven[0]) + (axis in driven[1])
        key_rule(count == 2 or count == 1 and axis < len(product.dims), "an axis of a product drives too few factors")


def _check_instance(system, instance, steps):
    _check_shape(instance.dims)
    key_rule(len(instance.dims) > 0, "an instance without axes")
    key_rule(max(len(instance.sources), len(instance.lookups)) <= 4096, "too many sources or lookups")
    steps.spend(len(instance.sources))
    for s in instance.sources:
        if s.kind == "Column":
            _check_maps(system, instance.dims, _column(system, s.column), s.maps, steps, True)
        elif s.kind == "Contraction":
            key_rule(s.contraction < len(system.contractions), "a contraction that is not there")
            c = system.contractions[s.contraction]
            _check_list(s.rows, instance.dims[0], contraction_rows(system, c))
            key_rule(instance.dims[1:] == c.positions, "a contraction of another shape")
            steps.spend(instance.dims[0])
        elif s.kind == "Product":
            key_rule(s.product < len(system.products), "a product that is not there")
            key_rule(instance.dims == system.products[s.product].dims, "a product of another shape")
        else:
            key_rule(s.axis < len(instance.dims), "a window of an axis that is not there")
            key_rule(s.stride <= MAX_STRIDE, "a stride is too large")
            steps.spend(instance.dims[s.axis])
    for lookup in instance.lookups:
        key_rule(lookup.table < len(system.tables), "a table that is not there")
        key_rule(len(lookup.tuple) == table_arity(system.tables[lookup.table]), "a tuple of another arity")
        for expr in lookup.tuple:
            numbers = [expr.constant, expr.index_coefficient, *(c for c, _ in expr.terms)]
            key_rule(all(n < P for n in numbers), "a coefficient is not canonical")
            key_rule(all(s < len(instance.sources) for _, s in expr.terms), "a source that is not there")


def _check_uses(system):
    """Every contraction is read, every product exactly once."""
    sources = [s for i in system.instances for s in i.sources]
    read = {s.contraction for s in sources if s.kind == "Contraction"}
    key_rule(read == set(range(len(system.contractions))), "a contraction that nothing reads")
    products = sorted(s.product for s in sources if s.kind == "Product")
    key_rule(products == list(range(len(system.products))), "a product that is not read exactly once")


def _check_ports(system):
    covered = set()
    for port in system.inputs + system.outputs:
        _check_shape(port.shape)
        is_float = port.quantisation.int_type.kind == "F32"
        key_rule(is_float == (port.float_parts is not None), "a port whose parts do not fit its type")
        _check_quantisation(port.quantisation)
        numbers = [port.column, *(port.float_parts or ())]
        columns = [_column(system, n, "Public") for n in numbers]
        key_rule(all(c.dims == columns[0].dims for c in columns), "parts of a port differ in shape")
        key_rule(sorted(port.order) == list(range(len(columns[0].dims))), "the order of a port is no permutation")
        key_rule(elements(columns[0].dims) == elements(port.shape), "a port of another size than its column")
        covered.update(numbers)
    public = {i for i, c in enumerate(system.columns) if c.home.kind == "Public"}
    key_rule(covered == public, "a public column without a port")


def _check_quantisation(q):
    scale = struct.unpack("<f", struct.pack("<I", q.scale_bits))[0]
    key_rule(0 < scale < inf, "a scale that is no positive number")
    least, most = (0, 0) if q.int_type.kind == "F32" else raw_type(q.int_type)[1:]
    key_rule(least <= q.zero_point <= most, "a zero point outside its type")
    key_rule(least - q.zero_point >= -(2**31) and most - q.zero_point < 2**31, "centred values of more than 32 bits")
