"""Contractions and products: one sumcheck, two claims each (section 4.5)."""

from field import ONE, ZERO, add, mul, scale, total
from functionals import Claim, Dense, Eq, accumulate, map_factors
from key import indices
from multilinear import eq_table, shape_bits, split, suffix
from reject import require
from rules import contraction_rows
from sumcheck import sumcheck


def shared_axes(form):
    """The axes of a product that both factors read, and all of its sizes."""
    a, b = ({m.axis for m in f.maps if m.kind != "Sum"} for f in (form.a, form.b))
    return sorted(a & b), form.dims + form.summed


def form_bits(form):
    """The number of variables of a contraction or a product in the sumcheck."""
    if hasattr(form, "maps"):
        return shape_bits(form.summed)
    axes, dims = shared_axes(form)
    return shape_bits([dims[a] for a in axes])


def round_count(system):
    """N."""
    return max((form_bits(f) for f in system.contractions + system.products), default=0)


def check_contractions(transcript, system, proof, forms, z):
    """Returns the claims on columns that the forms leave."""
    mu = transcript.challenge("contraction batch")
    rounds = len(proof.contraction_rounds)
    claim, power = ZERO, ONE
    rows = [[ZERO] * contraction_rows(system, c) for c in system.contractions]
    product_powers = {}
    for form in forms:
        if form.source.kind == "Contraction":
            number = form.source.contraction
            n = form_bits(system.contractions[number])
            entries = indices(form.source.rows)
            for entry, weight in zip(entries, eq_table(form.runs[0], len(entries))):
                rows[number][entry] = add(rows[number][entry], mul(power, weight))
        else:
            n = form_bits(system.products[form.source.product])
            product_powers[form.source.product] = power
        claim = add(claim, scale(mul(power, form.value), 1 << (rounds - n)))
        power = mul(power, mu)
    transcript.trace("contraction claim", claim)
    claim, challenges = sumcheck(transcript, "contraction round", claim, proof.contraction_rounds)
    point = challenges[::-1]
    transcript.trace("contraction point", point)
    transcript.absorb("contraction factors", [v for pair in proof.factors for v in pair])
    claims, terms = [], []
    for number, c in enumerate(system.contractions):
        w, x = proof.factors[number]
        terms.append(mul(w, x))
        y = split(suffix(point, form_bits(c)), c.summed)
        claims.append(Claim(c.weights, _weights_factors(system, c, rows[number], y), w))
        pi = split(suffix(z, shape_bits(c.positions)), c.positions)
        claims.append(Claim(c.input, _input_factors(system, c, pi, y), x))
    for number, form in enumerate(system.products):
        a, b = proof.factors[len(system.contractions) + number]
        terms.append(mul(product_powers[number], mul(a, b)))
        claims += _product_claims(system, form, a, b, z, point)
    require(claim == total(terms), "the contractions do not add up")
    return claims


def _weights_factors(system, c, rho, y):
    own = y
    if c.rows_per_group:
        group = eq_table(y[0], c.summed[0])
        rho = [mul(weight, group[row // c.rows_per_group]) for row, weight in enumerate(rho)]
        own = y[1:]
    sizes = c.summed[len(y) - len(own):]
    factors = []
    for axes in c.weight_axes:
        if axes == [0]:
            factors.append(Dense(dict(enumerate(rho)), 1))
        elif len(axes) == 1:
            factors.append(Eq(own[axes[0] - 1]))
        else:
            weights = [ONE]
            for a in axes:
                table = eq_table(own[a - 1], sizes[a - 1])
                weights = [mul(w, t) for w in weights for t in table]
            factors.append(Dense(dict(enumerate(weights)), 1))
    return factors


def _input_factors(system, c, pi, y):
    factors = []
    for m, size in zip(c.maps, system.columns[c.input].dims):
        if m.kind == "Summed":
            factors.append(Eq(y[m.axis]))
        elif m.kind == "Position":
            factors.append(Eq(pi[m.axis]))
        elif m.kind == "Grouped":
            groups, items = eq_table(y[0], c.summed[0]), eq_table(y[m.axis], m.size)
            factors.append(Dense(dict(enumerate(mul(g, i) for g in groups for i in items)), 1))
        else:
            outs = eq_table(pi[m.axis], c.positions[m.axis])
            taps = eq_table(y[m.tap_axis], c.summed[m.tap_axis])
            pairs = (
                (m.stride * out + m.dilation * tap + m.offset, (a, b))
                for out, a in enumerate(outs) for tap, b in enumerate(taps))
            factors.append(Dense(accumulate((e, mul(*ab)) for e, ab in pairs if 0 <= e < size), 1))
    return factors


def _product_claims(system, form, a, b, z, point):
    shared, dims = shared_axes(form)
    u = split(suffix(z, shape_bits(form.dims)), form.dims)
    sizes = [dims[axis] for axis in shared]
    y = dict(zip(shared, split(suffix(point, shape_bits(sizes)), sizes)))
    claims = []
    for factor, value, is_a in ((form.a, a, True), (form.b, b, False)):
        def weights(axis):
            table = eq_table(y.get(axis, u[axis] if axis < len(u) else None), dims[axis])
            if is_a and axis in y and axis < len(u):
                table = [mul(s, t) for s, t in zip(table, eq_table(u[axis], dims[axis]))]
            return table

        def axis_factor(axis):
            if is_a and axis in y and axis < len(u):
                return Dense(dict(enumerate(weights(axis))), 1)
            return Eq(y[axis] if axis in y else u[axis])

        factors = map_factors(factor.maps, system.columns[factor.column].dims, {}, axis_factor, weights)
        claims.append(Claim(factor.column, factors, value))
    return claims
