"""Verifies a vinfer proof: verify.py KEY PROOF [--trace].

Written from `circuits/PROTOCOL.md` alone, apart from the Rust verifier. Exit code 0: accepted;
1: key or proof rejected; 2: wrong use.
"""

import sys

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

    proof = read_proof(proof_data, key, places.leaf_bits, rounds, plan)
    public = public_columns(system, proof.inputs, proof.outputs)
    selections = [centred(p, data)[0] for p, data in zip(system.inputs, proof.inputs)]
    statement = statement_digest(key.digest, proof.context, proof.inputs, proof.outputs)
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
            value = evaluate_cells(claim.factors, system.columns[claim.column].dims, public[claim.column])
            require(value == claim.value, "a claim on a public tensor is wrong")
        else:
            committed.append(claim)
    check_opening(transcript, key, places, plan, proof, committed)
    return statement, bits


def _print_trace(name, value):
    """One line: bytes, elements of K and indices as hexadecimal numbers."""
    if isinstance(value, bytes):
        text = value.hex()
    elif isinstance(value, tuple):
        text = _element(value)
    elif value and isinstance(value[0], tuple):
        text = " ".join(map(_element, value))
    else:
        text = " ".join(map(str, value))
    print(f"{name}: {text}")


def _element(e):
    return f"{e[0]:016x}+{e[1]:016x}X"


def main(arguments):
    tracing = "--trace" in arguments
    files = [a for a in arguments if a != "--trace"]
    if len(files) != 2:
        print("use: verify.py KEY PROOF [--trace]", file=sys.stderr)
        return 2
    try:
        key, proof = (open(f, "rb").read() for f in files)
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        statement, bits = verify(key, proof, _print_trace if tracing else lambda name, value: None)
    except Reject as reject:
        print(f"{reject.part} rejected: {reject.reason}")
        return 1
    print(f"accepted, {bits:.2f} bits\nstatement {statement.hex()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
