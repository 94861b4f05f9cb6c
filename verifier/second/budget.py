"""The sum of all errors (section 5.4)."""

from fractions import Fraction
from math import log2

from reject import key_rule
from rules import table_arity
from schedule import GRINDING_BITS, QUERY_MILLIBITS

MIN_BITS = 100
LOG_K = 127.999999999


def security_bits(system, leaf_bits, schedule, rounds):
    """-log2 of the probability that a false statement passes; `rounds` is N of section 1.8."""
    arity = max(table_arity(t) for t in system.tables)
    oracles = [schedule.homes["Witness"], schedule.homes["Constants"], *schedule.folded]
    queries = sum(o.queries for o in oracles)
    claims = sum(len(i.sources) for i in system.instances) + 9 * len(system.tables)
    claims += 2 * len(system.contractions) + 2 * len(system.products)
    over_k = (arity + 1) << leaf_bits
    over_k += Fraction(2 * leaf_bits * 2 + 3 * leaf_bits * (leaf_bits - 1), 2) + 1
    over_k += claims + 2 * rounds + 1
    over_k += claims + 1
    over_k += 2 * schedule.variables
    over_k += sum(o.fold << o.domain_bits for o in oracles)
    over_k += queries + 1
    error = float(over_k) * 2**-LOG_K
    for o in oracles:
        error += 2 ** -(o.queries * QUERY_MILLIBITS[o.rate] / 1000 + GRINDING_BITS)
    return -log2(error)


def check_budget(bits):
    key_rule(bits >= MIN_BITS, f"the key reaches only {bits:.2f} bits")
