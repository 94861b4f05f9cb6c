"""Goldilocks F and its quadratic extension K = F[X]/(X^2 - 7) (section 0).

An element of F is an int in 0..P, an element of K a pair of them.
"""

P = 2**64 - 2**32 + 1
ZERO = (0, 0)
ONE = (1, 0)
_ROOT_32 = 0x185629DCDA58878C


def root_of_unity(k):
    """The element g_k of order 2^k."""
    return pow(_ROOT_32, 1 << (32 - k), P)


def base(v):
    """An integer as an element of K."""
    return (v % P, 0)


def add(x, y):
    return ((x[0] + y[0]) % P, (x[1] + y[1]) % P)


def sub(x, y):
    return ((x[0] - y[0]) % P, (x[1] - y[1]) % P)


def mul(x, y):
    a, b = x
    c, d = y
    return ((a * c + 7 * b * d) % P, (a * d + b * c) % P)


def scale(x, f):
    """K times an integer."""
    return (x[0] * f % P, x[1] * f % P)


def product(items):
    result = ONE
    for item in items:
        result = mul(result, item)
    return result


def total(items):
    a = b = 0
    for x, y in items:
        a += x
        b += y
    return (a % P, b % P)


def powers(x, start, count):
    """start, start*x, start*x^2, .. (`count` of them)."""
    result = []
    for _ in range(count):
        result.append(start)
        start = mul(start, x)
    return result


def interpolate(values, r):
    """At `r`, the polynomial with the given values at 0, 1, 2, .."""
    result = ZERO
    for i, value in enumerate(values):
        term, denominator = value, 1
        for j in range(len(values)):
            if j != i:
                term = mul(term, sub(r, base(j)))
                denominator = denominator * (i - j) % P
        result = add(result, scale(term, pow(denominator, -1, P)))
    return result
