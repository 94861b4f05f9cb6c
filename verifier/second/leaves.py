"""From the claims at the leaf point to claims on columns (section 4.3)."""

from types import SimpleNamespace

from field import ONE, ZERO, add, base, mul, product, scale, sub, total
from functionals import Claim, Eq, map_factors
from logup import tuple_weight
from multilinear import below, bits, eq_index, eq_table, index, shape_bits, split, suffix, weighted
from reject import require
from rules import table_rows


def check_leaves(transcript, system, layout, proof, leaf, beta, alpha, selections):
    """Returns the claims on columns and those on contractions and products.

    `leaf` is (z, P, Q). A form claim has the source, its value and the domain's runs of z.
    """
    z, p, q = leaf
    values = iter(proof.leaf_values)
    claims, forms, instance_values = [], [], {}
    for number, instance in enumerate(system.instances):
        runs = split(suffix(z, shape_bits(instance.dims)), instance.dims)
        instance_values[id(instance)] = runs, [
            _source_value(system, instance, source, runs, values, claims, forms, selections)
            for source in instance.sources
        ]
    table_values = []
    for table in system.tables:
        point = suffix(z, bits(table_rows(system, table)))
        components = _closed_components(table.rows, point)
        if table.rows.kind == "Columns":
            components = []
            for column in table.rows.columns:
                components.append(next(values))
                claims.append(Claim(column, [Eq(point)], components[-1]))
        multiplicity = next(values)
        claims.append(Claim(table.multiplicity, [Eq(point)], multiplicity))
        table_values.append((components, multiplicity))
    numerator, denominator = ZERO, ONE
    for run in layout.runs:
        selector = eq_index(run.offset >> run.bits, z[:len(z) - run.bits])
        if run.instance is None:
            number = run.table
            components, multiplicity = table_values[number]
            mass = below(suffix(z, run.bits), run.length)
            top = sub(ZERO, multiplicity)
        else:
            number = run.lookup.table
            runs, sources = instance_values[id(run.instance)]
            components = [_expression(e, run.instance.dims, runs, sources) for e in run.lookup.tuple]
            mass = top = below(runs[0], run.instance.dims[0])
        tag = sub(add(alpha, scale(beta, number + 1)), ONE)
        bottom = total(mul(tuple_weight(beta, i), c) for i, c in enumerate(components))
        numerator = add(numerator, mul(selector, top))
        denominator = add(denominator, mul(selector, add(mul(mass, tag), bottom)))
    require(numerator == p, "the leaves' numerators do not add up")
    require(denominator == q, "the leaves' denominators do not add up")
    return claims, forms


def _source_value(system, instance, source, runs, values, claims, forms, selections):
    """The value of a source at the leaf point."""
    if source.kind == "OutsideWindow":
        size = instance.dims[source.axis]
        outside = total(
            weight for i, weight in enumerate(eq_table(runs[source.axis], size))
            if not 0 <= source.stride * i + source.offset < source.size)
        return mul(outside, _real(instance.dims, runs, {source.axis}))
    value = next(values)
    if source.kind != "Column":
        forms.append(SimpleNamespace(source=source, value=value, runs=runs))
        return value
    factors = map_factors(
        source.maps, system.columns[source.column].dims, selections,
        lambda a: Eq(runs[a]),
        lambda a: eq_table(runs[a], instance.dims[a]))
    claims.append(Claim(source.column, factors, value))
    return mul(value, _real(instance.dims, runs, {m.axis for m in source.maps if m.kind != "Sum"}))


def _real(dims, runs, without):
    """The sum of eq over the real indices of the other axes."""
    return product(below(r, d) for a, (r, d) in enumerate(zip(runs, dims)) if a not in without)


def _expression(e, dims, runs, sources):
    linear = total(scale(sources[s], c) for c, s in e.terms)
    constant = add(scale(below(runs[0], dims[0]), e.constant), scale(weighted(runs[0], dims[0]), e.index_coefficient))
    return add(linear, mul(_real(dims, runs, {0}), constant))


def _closed_components(rows, u):
    """The tuple of a table with a closed form at the point `u` of its rows."""
    if rows.kind == "Range":
        return [index(u)]
    if rows.kind == "Columns":
        return []
    signed = sub(index(u), base(1 << (rows.bits - 1)))
    if rows.kind == "Clamp":
        return [signed, _clamp(u[:rows.bits - rows.fraction_bits], rows.lo, rows.hi)]
    return [signed, u[-1], _clamp(u, rows.lo, rows.hi)]


def _clamp(u, lo, hi):
    """cl(u)."""
    half = 1 << (len(u) - 1)
    below_lo, below_hi = below(u, half + lo), below(u, half + hi)
    middle = sub(weighted(u, half + hi), weighted(u, half + lo))
    return total([
        scale(below_lo, lo),
        middle,
        scale(sub(below_hi, below_lo), -half),
        scale(sub(ONE, below_hi), hi),
    ])
