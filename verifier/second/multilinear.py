"""Points, `eq` and the sums over the first n points of a cube (section 0).

A point is a list of elements of K, most significant coordinate first.
"""

from field import ONE, ZERO, P, add, base, mul, product, scale, sub, total


def bits(n):
    """ceil(log2 n), 0 for n <= 1."""
    return (n - 1).bit_length() if n > 1 else 0


def shape_bits(dims):
    return sum(bits(d) for d in dims)


def elements(dims):
    count = 1
    for d in dims:
        count *= d
    return count


def padded_length(dims):
    """Every axis but the outermost is padded to a power of two."""
    return dims[0] << shape_bits(dims[1:]) if dims else 1


def suffix(point, n):
    return point[len(point) - n:]


def split(point, dims):
    """One run of coordinates per axis."""
    runs, at = [], 0
    for d in dims:
        runs.append(point[at:at + bits(d)])
        at += bits(d)
    assert at == len(point)
    return runs


def eq_factor(a, b):
    """1 - a - b + 2ab."""
    ab = mul(a, b)
    return ((1 - a[0] - b[0] + 2 * ab[0]) % P, (-a[1] - b[1] + 2 * ab[1]) % P)


def eq(a, b):
    assert len(a) == len(b)
    return product(eq_factor(x, y) for x, y in zip(a, b))


def eq_index(x, r):
    """eq of an integer and a point."""
    assert 0 <= x < 1 << len(r)
    n = len(r)
    return product(c if x >> (n - 1 - i) & 1 else sub(ONE, c) for i, c in enumerate(r))


def eq_table(r, n):
    """eq(x, r) for all x < n."""
    table = [ONE]
    for i, c in enumerate(r):
        keep = -(-n >> (len(r) - 1 - i))
        doubled = []
        for t in table:
            high = mul(t, c)
            doubled.append(sub(t, high))
            doubled.append(high)
        table = doubled[:keep]
    return table[:n]


def index(r):
    """The multilinear extension of the index."""
    n = len(r)
    return total(scale(c, 1 << (n - 1 - i)) for i, c in enumerate(r))


def below(r, n):
    """sum of eq(x, r) over x < n."""
    if n >> len(r):
        return ONE
    result, prefix = ZERO, ONE
    for i, c in enumerate(r):
        one = mul(prefix, c)
        zero = sub(prefix, one)
        if n >> (len(r) - 1 - i) & 1:
            result = add(result, zero)
            prefix = one
        else:
            prefix = zero
    return result


def weighted(r, n):
    """sum of x eq(x, r) over x < n."""
    if n >> len(r):
        return index(r)
    result, prefix, start = ZERO, ONE, 0
    for i, c in enumerate(r):
        rest = len(r) - 1 - i
        one = mul(prefix, c)
        zero = sub(prefix, one)
        if n >> rest & 1:
            result = add(result, mul(zero, add(base(start), index(r[i + 1:]))))
            prefix = one
            start += 1 << rest
        else:
            prefix = zero
    return result


def eq_below(r, s, n):
    """sum of eq(x, r) eq(x, s) over x < n."""
    assert len(r) == len(s)
    if n >> len(r):
        return eq(r, s)
    tails = [ONE]
    for a, b in zip(reversed(r), reversed(s)):
        tails.append(mul(tails[-1], eq_factor(a, b)))
    result, prefix = ZERO, ONE
    for i, (a, b) in enumerate(zip(r, s)):
        rest = len(r) - 1 - i
        one = mul(prefix, mul(a, b))
        zero = mul(prefix, mul(sub(ONE, a), sub(ONE, b)))
        if n >> rest & 1:
            result = add(result, mul(zero, tails[rest]))
            prefix = one
        else:
            prefix = zero
    return result
