"""Separable functionals of a column (section 4.4).

A functional is a list of factors that cover the column's axes in order:
`Eq(point)` and `Ones()` one axis each, `Dense(weights, span)` a run of axes.
"""

from dataclasses import dataclass

from field import ONE, ZERO, P, add, mul, product, scale, total
from key import indices
from multilinear import below, bits, elements, eq_below, eq_table


@dataclass
class Eq:
    point: list
    span = 1

    def at(self, point, dims):
        return eq_below(self.point, point, dims[0])

    def table(self, dims):
        return dict(enumerate(eq_table(self.point, dims[0])))


@dataclass
class Ones:
    span = 1

    def at(self, point, dims):
        return below(point, dims[0])

    def table(self, dims):
        return dict.fromkeys(range(dims[0]), ONE)


@dataclass
class Dense:
    """`weights` maps row-major indices over the real sizes to weights; the rest is zero."""

    weights: dict
    span: int

    def at(self, point, dims):
        tables, at = [], 0
        for d in dims:
            tables.append(eq_table(point[at:at + bits(d)], d))
            at += bits(d)
        if len(dims) == 1:
            return total(mul(w, tables[0][e]) for e, w in self.weights.items())
        result = ZERO
        for entry, weight in self.weights.items():
            for table, d in zip(reversed(tables), reversed(dims)):
                entry, i = divmod(entry, d)
                weight = mul(weight, table[i])
            result = add(result, weight)
        return result

    def table(self, dims):
        return self.weights


def accumulate(pairs):
    """The sum of the weights of each entry."""
    weights = {}
    for entry, weight in pairs:
        weights[entry] = add(weights[entry], weight) if entry in weights else weight
    return weights


@dataclass
class Claim:
    """That the functional of the column is `value`."""

    column: int
    factors: list
    value: tuple


def evaluate_weights(factors, dims, point):
    """The weight polynomial at a point of the column's cube."""
    result, axis, at = [], 0, 0
    for f in factors:
        run = dims[axis:axis + f.span]
        n = sum(bits(d) for d in run)
        result.append(f.at(point[at:at + n], run))
        axis += f.span
        at += n
    return product(result)


def evaluate_cells(factors, dims, cells):
    """The functional of known cells (of F, row-major over the real sizes)."""
    values = None
    end = len(dims)
    for f in reversed(factors):
        run = dims[end - f.span:end]
        end -= f.span
        size, weights = elements(run), f.table(run).items()
        if values is None:
            values = [
                total(scale(w, cells[start + e]) for e, w in weights) for start in range(0, len(cells), size)
            ]
        else:
            values = [
                total(mul(w, values[start + e]) for e, w in weights) for start in range(0, len(values), size)
            ]
    return values[0] if values is not None else (cells[0] % P, 0)


def map_factors(maps, dims, selections, axis_factor, axis_weights):
    """Factors of a column of sizes `dims` that `maps` read over a domain.

    `axis_factor(a)` is the factor of domain axis `a`, `axis_weights(a)` the list of its weights.
    `selections` are the centred elements of the public inputs.
    """
    factors, at = [], 0
    for m in maps:
        span = 1
        if m.kind == "Same":
            factor = axis_factor(m.axis)
        elif m.kind == "Sum":
            factor = Ones()
        elif m.kind == "Gather":
            span = m.span
            factor = Dense(accumulate(zip(indices(m.list), axis_weights(m.axis))), span)
        elif m.kind == "Selected":
            factor = Dense(accumulate(zip(selections[m.input], axis_weights(m.axis))), 1)
        else:
            reads = ((m.stride * i + m.offset, w) for i, w in enumerate(axis_weights(m.axis)))
            pairs = ((e, w) for e, w in reads if 0 <= e < dims[at])
            factor = Dense(accumulate(pairs), 1)
        factors.append(factor)
        at += span
    return factors
