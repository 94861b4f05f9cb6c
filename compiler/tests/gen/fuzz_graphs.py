"""Random quantised graphs of every operator that quantised models need, with ONNX Runtime's outputs.

usage: fuzz_graphs.py OUT COUNT [SEED [SUBJECT]]      (needs numpy, onnx, onnxruntime 1.31.1)

Each graph goes to OUT/fSEED/{model.onnx,inputs.npz,ort_outputs.npz,tags.txt}, as tests/differential.rs reads them. The
generators of the operators are in fuzz/, one file per subject.
"""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto as T

from fuzz import elementwise, linear, movement, qop, reduce
from fuzz.builder import Builder, Skip, session

SUBJECTS = {"linear": linear.OPS, "movement": movement.OPS, "elementwise": elementwise.OPS, "reduce": reduce.OPS,
            "qop": qop.OPS}


def start(b):
    """The first tensor: an image, a sequence, a vector, or token ids."""
    u, r = b.r.random(), b.r
    if u < 0.12:
        return linear.embedding(b)
    if u < 0.45:
        return b.input((1, b.pick(1, 2, 3, 4, 8), *(int(d) for d in r.integers(3, 9, 2))))
    if u < 0.75:
        return b.input((b.pick(1, 1, 1, 2), int(r.integers(2, 9)), b.pick(3, 4, 5, 8, 16, 24)))
    if u < 0.85:
        return b.input((1, 2, int(r.integers(2, 5)), int(r.integers(2, 5)), int(r.integers(2, 5))))
    return b.input((b.pick(1, 1, 3), int(r.integers(2, 25))))


def grow(b, steps, subject=None):
    """Adds operators; one that does not fit leaves no trace."""
    x = start(b)
    while steps:
        ops = SUBJECTS[subject or b.pick(*SUBJECTS)] if b.chance(0.9) else linear.OPS
        saved = [len(v) for v in (b.nodes, b.inits, b.tags, b.inputs, b.outputs)], dict(b.feeds)
        try:
            y = b.pick(*ops)(b, x)
        except (Skip, ValueError):
            for values, length in zip((b.nodes, b.inits, b.tags, b.inputs, b.outputs), saved[0]):
                del values[length:]
            b.feeds = saved[1]
            steps -= 0 if b.chance(0.9) else 1
            continue
        steps -= 1
        if b.forks and y.shape == x.shape and b.chance(0.2):
            b.tags.append("residual")
            y = b.op("Add", [x.d, y.d], [x.v, y.v])
        x = y
    if b.chance(0.1):
        float_tail(b, x)
    else:
        b.finish(x)


def float_tail(b, x):
    """A last operator whose float result is the graph output, without QuantizeLinear."""
    b.tags.append("float-tail")
    op = b.pick("Softmax", "Sigmoid", "Neg", "ReduceMean", "MatMul", "Relu")
    if op == "MatMul" and len(x.shape) > 1:
        w, values, _ = linear.weights(b, (x.shape[-1], 3), 1)
        (name, _), = b.float_op(op, [x.d, w], [x.v, values])
    elif op == "ReduceMean" and b.opset < 18:
        (name, _), = b.float_op(op, [x.d], [x.v], axes=[len(x.shape) - 1])
    else:
        op = "Sigmoid" if op in ("MatMul", "ReduceMean") else op
        (name, _), = b.float_op(op, [x.d], [x.v], **({"axis": -1} if op == "Softmax" else {}))
    b.output(name, T.FLOAT)


def graph(seed, subject=None):
    """Model, samples and outputs, or None if the runtime does not take it."""
    b = Builder(seed)
    try:
        grow(b, int(b.r.integers(1, 6)), subject)
        outputs = {o.name for o in b.outputs}
        if len(outputs) != len(b.outputs) or not b.nodes or outputs & set(b.feeds):
            return None
        model = b.model()
        run = session(model)
        names = [o.name for o in run.get_outputs()]
        rows = [run.run(None, {k: v[i] for k, v in b.feeds.items()}) for i in range(b.SAMPLES)]
    except Skip:
        return None
    except Exception as error:  # the runtime's own refusals have no common type
        print("seed", seed, "not run:", str(error)[:160])
        return None
    form = f"{'s8' if b.t == np.int8 else 'u8'}-opset{b.opset}"
    return model, b.feeds, {n: np.stack([row[i] for row in rows]) for i, n in enumerate(names)}, [form, *b.tags]


def write(directory, model, feeds, outputs, tags):
    os.makedirs(directory, exist_ok=True)
    onnx.save(model, os.path.join(directory, "model.onnx"))
    np.savez_compressed(os.path.join(directory, "inputs.npz"), **feeds)
    np.savez_compressed(os.path.join(directory, "ort_outputs.npz"), **outputs)
    with open(os.path.join(directory, "tags.txt"), "w") as f:
        f.write(" ".join(tags) + "\n")


def main():
    out, count = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    subject = sys.argv[4] if len(sys.argv) > 4 else None
    made = tried = 0
    while made < count:
        seed, tried = seed + 1, tried + 1
        result = graph(seed, subject)
        if result is not None:
            write(os.path.join(out, f"f{seed:06d}"), *result)
            made += 1
    print(made, "graphs of", tried)


if __name__ == "__main__":
    main()
