"""The oracles of the opening (section 1.5)."""

from types import SimpleNamespace

QUERY_MILLIBITS = {1: 415, 2: 678, 3: 830, 4: 912, 5: 955, 6: 977, 7: 988, 8: 994}
QUERY_BITS = 88000
GRINDING_BITS = 16
FINAL_BITS = 11


def _oracle(bits, fold, rate):
    return SimpleNamespace(
        bits=bits,
        fold=fold,
        rate=rate,
        domain_bits=bits - fold + rate,
        queries=-(-QUERY_BITS // QUERY_MILLIBITS[rate]),
    )


def schedule(witness_bits, constants_bits):
    larger = max(witness_bits, constants_bits)
    fold = 6 if larger >= 24 else 5 if larger >= 20 else 4
    homes = {
        "Witness": _oracle(witness_bits, fold, 2),
        "Constants": _oracle(constants_bits, fold, 2 if constants_bits >= 20 else 3),
    }
    m, rate, folded = larger - fold + 1, 2, []
    while m > FINAL_BITS:
        step = m - 10 if m <= 15 else 4
        folded.append(_oracle(m, step, rate))
        m -= step
        rate = 4
    half = 1 << (larger - fold)
    witness_first = witness_bits >= constants_bits
    return SimpleNamespace(
        homes=homes,
        stack={"Witness": 0 if witness_first else half, "Constants": half if witness_first else 0},
        folded=folded,
        first_fold=fold,
        variables=larger + 1,
        final_bits=m,
    )
