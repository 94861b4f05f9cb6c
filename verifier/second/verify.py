"""Verifies vinfer proofs: verify.py KEY PROOF.. [--trace].

Written from `circuits/PROTOCOL.md`, without the Rust verifier. One line per proof; `--trace`
prints every derived value and challenge before it (appendix A of the document). Exit code 0: all
accepted; 1: key or a proof rejected; 2: wrong use.
"""

import sys
from pathlib import Path

from budget import check_budget, security_bits
from contractions import check_contractions, round_count
from functionals import evaluate_cells
from key import read_key
from layout import layout
from leaves import check_leaves
from logup import reduce_to_leaves
from opening import check_opening
from ports import centred, public_columns
from proof import read_proof
from reject import Reject, require
from rules import check_system
from schedule import schedule
from statement import PROFILE, VERSION, statement_digest
from transcript import Transcript


def verify(key_data, proof_data, trace):
    """Returns the statement digest and the security bits; raises `Reject`."""
    key = read_key(key_data)
    trace("key digest", key.digest)
    system = key.system
    check_system(system)
    places = layout(system)
    rounds = round_count(system)
    plan = schedule(places.homes["Witness"].bits, places.homes["Constants"].bits)
    bits = security_bits(system, places.leaf_bits, plan, rounds)
    check_budget(bits)
    _trace_derived(trace, system, places, plan, rounds)

    proof = read_proof(proof_data, key, places.leaf_bits, rounds, plan)
    public = public_columns(system, proof.inputs, proof.outputs)
    selections = [centred(p, data)[0] for p, data in zip(system.inputs, proof.inputs)]
    statement = statement_digest(key.digest, key.batch, proof.context, proof.inputs, proof.outputs)
    trace("statement digest", statement)

    transcript = Transcript(trace)
    transcript.absorb_bytes("domain", b"vinfer inference proof")
    transcript.absorb_bytes("version", VERSION.to_bytes(4, "little"))
    transcript.absorb_bytes("profile", PROFILE)
    transcript.absorb_bytes("key", key.digest)
    transcript.absorb_bytes("statement", statement)
    transcript.absorb_bytes("constants root", key.constants_root)
    transcript.absorb_bytes("witness root", proof.witness_root)
    beta = transcript.challenge("lookup beta")
    alpha = transcript.challenge("lookup alpha")
    leaf = reduce_to_leaves(transcript, proof)
    trace("leaf point", leaf[0])
    transcript.absorb("leaf values", proof.leaf_values)
    claims, forms = check_leaves(transcript, system, places, proof, leaf, beta, alpha, selections)
    claims += check_contractions(transcript, system, proof, forms, leaf[0])
    committed = []
    for claim in claims:
        if claim.column in public:
            trace(f"public claim on column {claim.column}", claim.value)
            value = evaluate_cells(claim.factors, system.columns[claim.column].dims, public[claim.column])
            require(value == claim.value, "a claim on a public tensor is wrong")
        else:
            trace(f"claim {len(committed)} on column {claim.column}", claim.value)
            committed.append(claim)
    check_opening(transcript, key, places, plan, proof, committed)
    return statement, bits


def _trace_derived(trace, system, places, plan, rounds):
    """What follows from the key: layout and schedule."""
    trace("leaf bits", places.leaf_bits)
    trace("offsets of leaf runs", [run.offset for run in places.runs])
    trace("contraction rounds", rounds)
    for home, commitment in places.homes.items():
        trace(f"{home.lower()} bits", commitment.bits)
        for column, offset in sorted(commitment.offsets.items()):
            trace(f"offset of column {column}", offset)
    trace("first fold", plan.first_fold)
    trace("final bits", plan.final_bits)
    for name, o in [*plan.homes.items(), *enumerate(plan.folded)]:
        trace(f"oracle {str(name).lower()}: bits, fold, rate, queries", [o.bits, o.fold, o.rate, o.queries])


def _shown(value):
    """Bytes and elements are hexadecimal, an element of K is `a+bX`."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return f"{value[0]:016x}+{value[1]:016x}X"
    if isinstance(value, list):
        return " ".join(map(_shown, value))
    return str(value)


def _print(name, value):
    print(f"{name}: {_shown(value)}")


def _ignore(name, value):
    pass


def main(arguments):
    tracing = "--trace" in arguments
    files = [a for a in arguments if a != "--trace"]
    if len(files) < 2:
        print("use: verify.py KEY PROOF.. [--trace]", file=sys.stderr)
        return 2
    try:
        key, *proofs = (Path(f).read_bytes() for f in files)
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    code = 0
    for proof in proofs:
        try:
            statement, bits = verify(key, proof, _print if tracing else _ignore)
            print(f"accepted: statement {statement.hex()}, {bits:.2f} bits")
        except Reject as reject:
            print(f"{reject.part} rejected: {reject.reason}")
            code = 1
        except MemoryError:
            print("key rejected: it needs more memory than there is")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
