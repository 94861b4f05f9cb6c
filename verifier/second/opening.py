"""The opening of both commitments for all claims (section 4.6)."""

from types import SimpleNamespace

from field import ONE, ZERO, P, add, mul, powers, root_of_unity, scale, total
from functionals import evaluate_weights
from merkle import check_rows
from multilinear import eq_index, eq_table, shape_bits
from reject import require
from schedule import GRINDING_BITS
from sumcheck import sumcheck

HOMES = ("Witness", "Constants")


def check_opening(transcript, key, layout, schedule, proof, claims):
    """Checks claims on committed columns."""
    system = key.system
    gamma = transcript.challenge("opening batch")
    weights = powers(gamma, ONE, len(claims))
    claim = total(mul(w, c.value) for w, c in zip(weights, claims))
    transcript.trace("opening claim", claim)
    claim, last = sumcheck(transcript, "opening round", claim, proof.opening_rounds)
    challenges = list(last)
    sources = [
        SimpleNamespace(oracle=schedule.homes[home], root=root, opened=proof.opened[home],
                        offset=schedule.stack[home], name=home.lower())
        for home, root in zip(HOMES, (proof.witness_root, key.constants_root))
    ]
    phases = []
    for number, (oracle, folded) in enumerate(zip(schedule.folded, proof.folded)):
        transcript.absorb_bytes("folded root", folded.root)
        queries = _queries(transcript, folded.nonce, sources, last)
        xi = transcript.challenge("query batch")
        combined = powers(xi, xi, len(queries))
        claim = add(claim, total(mul(x, q.value) for x, q in zip(combined, queries)))
        transcript.trace("opening claim with queries", claim)
        phases.append((combined, queries, len(challenges)))
        claim, last = sumcheck(transcript, "opening round", claim, folded.rounds)
        challenges += last
        sources = [SimpleNamespace(oracle=oracle, root=folded.root, opened=folded.opened, offset=0,
                                   name=f"folded oracle {number}")]
    transcript.absorb("final vector", proof.final_vector)
    for q in _queries(transcript, proof.final_nonce, sources, last):
        require(_holds(q, proof.final_vector), "the final vector does not fit a query")
    claim, last = sumcheck(transcript, "opening round", claim, proof.final_rounds)
    challenges += last
    table = eq_table(last[::-1], len(proof.final_vector))
    final = total(mul(f, t) for f, t in zip(proof.final_vector, table))
    omega = _claims_weight(transcript, system, layout, schedule, claims, weights, challenges)
    transcript.trace("weight of all claims", omega)
    for combined, queries, drawn in phases:
        after = challenges[drawn:]
        omega = add(omega, total(mul(x, _query_weight(q, after)) for x, q in zip(combined, queries)))
    transcript.trace("weight of claims and queries", omega)
    transcript.trace("final vector's value", final)
    transcript.trace("final claim", claim)
    require(claim == mul(omega, final), "the opening's final claim is wrong")


def _queries(transcript, nonce, sources, last):
    """Checks the opened rows of some oracles; returns the equations they state."""
    transcript.work(nonce, GRINDING_BITS)
    drawn = [transcript.positions("query positions", s.oracle.queries, s.oracle.domain_bits) for s in sources]
    queries = []
    for source, positions in zip(sources, drawn):
        n = source.oracle.domain_bits
        check_rows(source.root, n, positions, source.opened, source.name)
        columns = eq_table(last[::-1], 1 << source.oracle.fold)
        root = root_of_unity(n)
        for position, row in zip(positions, source.opened.rows):
            queries.append(SimpleNamespace(
                y=pow(root, position, P),
                value=total(mul(c, v) for c, v in zip(columns, row.elements)),
                bits=source.oracle.bits - source.oracle.fold,
                offset=source.offset,
            ))
    return queries


def _holds(q, vector):
    value = ZERO
    for element in reversed(vector[q.offset:q.offset + (1 << q.bits)]):
        value = add(scale(value, q.y), element)
    return value == q.value


def _query_weight(q, after):
    """The query's weight polynomial at the challenges drawn after its batching."""
    result, y = ONE, q.y
    for b in after[:q.bits]:
        result = mul(result, add(ONE, scale(b, y - 1)))
        y = y * y % P
    return mul(result, eq_index(q.offset >> q.bits, after[q.bits:][::-1]))


def _claims_weight(transcript, system, layout, schedule, claims, weights, challenges):
    result = ZERO
    for home in HOMES:
        b = layout.homes[home].bits
        offset = schedule.stack[home] >> (b - schedule.first_fold)
        slot = eq_index(offset, challenges[b:][::-1])
        v = challenges[:b][::-1]
        parts = []
        for number, (weight, claim) in enumerate(zip(weights, claims)):
            column = system.columns[claim.column]
            if column.home.kind != home:
                continue
            c = shape_bits(column.dims)
            place = eq_index(layout.homes[home].offsets[claim.column] >> c, v[:b - c])
            functional = evaluate_weights(claim.factors, column.dims, v[b - c:])
            transcript.trace(f"functional of claim {number}", functional)
            parts.append(mul(weight, mul(place, functional)))
        result = add(result, mul(slot, total(parts)))
    return result
