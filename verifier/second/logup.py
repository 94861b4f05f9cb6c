"""The tree of fractions: LogUp-GKR (section 4.2)."""

from field import ONE, ZERO, add, mul, sub
from multilinear import eq
from reject import require
from sumcheck import sumcheck


def reduce_to_leaves(transcript, proof):
    """The leaf point and the claims P and Q there."""
    require(proof.root_denominator != ZERO, "the root's denominator is zero")
    transcript.absorb("logup root", [proof.root_denominator])
    p, q, z = ZERO, proof.root_denominator, []
    for number, layer in enumerate(proof.layers):
        combine = transcript.challenge("logup combine")
        claim, challenges = sumcheck(transcript, "logup round", add(p, mul(combine, q)), layer.rounds)
        point = challenges[::-1]
        p0, p1, q0, q1 = layer.children
        transcript.absorb("logup children", layer.children)
        node = add(add(mul(p0, q1), mul(p1, q0)), mul(combine, mul(q0, q1)))
        require(claim == mul(eq(z, point), node), f"layer {number} of the lookup tree does not add up")
        r = transcript.challenge("logup child")
        p = add(p0, mul(r, sub(p1, p0)))
        q = add(q0, mul(r, sub(q1, q0)))
        z = point + [r]
        transcript.trace(f"layer {number} P", p)
        transcript.trace(f"layer {number} Q", q)
    return z, p, q


def tuple_weight(beta, i):
    """The power of beta of component `i` of a tuple; the tag has beta itself."""
    power = ONE
    for _ in range(0 if i == 0 else i + 1):
        power = mul(power, beta)
    return power
