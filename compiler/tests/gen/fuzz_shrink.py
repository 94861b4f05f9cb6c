"""Shrinks a graph that tests/differential.rs finds wrong (or refuses) to a small one of the same fate.

usage: fuzz_shrink.py GRAPH_DIR OUT_DIR

Cuts the graph at its end and at its start, bypasses nodes, drops outputs, shortens axes and keeps one sample. Every round
writes all smaller graphs that ONNX Runtime still runs and goes on with the smallest that still fails. OUT_DIR is a fixture
for tests/graphs.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper as h, numpy_helper as nh
import onnxruntime as ort

from fuzz.builder import session
from fuzz_graphs import write
from fuzz_summary import read

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
COMMAND = ["cargo", "test", "--release", "--locked", "-q", "-p", "vinfer-compiler", "--test", "differential"]


def verdicts(directory):
    """The fate of each graph in a directory: `mismatch`, `panic`, `refused KIND (OPERATOR)`, .."""
    subprocess.run(COMMAND, cwd=ROOT, env={**os.environ, "VINFER_GRAPHS": directory}, capture_output=True, check=False)

    def fate(word, message):
        operator = re.search(r"node `[^`]*` \(([^)]*)\)", message)
        return " ".join([word, message.split(" ")[0], operator[1] if operator else ""]) if word == "refused" else word
    return {name: fate(*row) for name, row in read(directory).items()}


def outputs(model, feeds):
    run = session(model)
    names = [o.name for o in run.get_outputs()]
    count = len(next(iter(feeds.values())))
    rows = [run.run(None, {k: v[i] for k, v in feeds.items()}) for i in range(count)]
    return {n: np.stack([row[i] for row in rows]) for i, n in enumerate(names)}


def prune(model, feeds):
    """Drops nodes, constants and inputs that no output needs."""
    needed, nodes = {o.name for o in model.graph.output}, []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            nodes.insert(0, node)
            needed |= set(node.input)
    for field, keep in (("initializer", None), ("input", None)):
        kept = [v for v in getattr(model.graph, field) if v.name in needed]
        del getattr(model.graph, field)[:]
        getattr(model.graph, field).extend(kept)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model, {k: v for k, v in feeds.items() if k in needed}


def copy(model):
    other = onnx.ModelProto()
    other.CopyFrom(model)
    return other


def values(model, feeds):
    """Every intermediate tensor, samples stacked."""
    full = copy(model)
    del full.graph.output[:]
    full.graph.output.extend(h.ValueInfoProto(name=o) for n in model.graph.node for o in n.output if o)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    run = ort.InferenceSession(full.SerializeToString(), options)
    count = len(next(iter(feeds.values())))
    rows = [run.run(None, {k: v[i] for k, v in feeds.items()}) for i in range(count)]
    return {o.name: np.stack([row[i] for row in rows]) for i, o in enumerate(run.get_outputs())}


def port(name, array):
    return h.make_tensor_value_info(name, h.np_dtype_to_tensor_dtype(array.dtype), array.shape[1:])


def candidates(model, feeds):
    """Smaller graphs."""
    known = values(model, feeds) | feeds
    for name in [o for n in model.graph.node for o in n.output]:
        cut = copy(model)  # ends here
        del cut.graph.output[:]
        cut.graph.output.append(h.ValueInfoProto(name=name))
        yield cut, feeds
        if known[name].dtype in (np.uint8, np.int8, np.int64):  # starts here
            cut = copy(model)
            for node in cut.graph.node:
                node.output[:] = [o if o != name else o + "_unused" for o in node.output]
            cut.graph.input.append(port(name, known[name]))
            yield cut, {**feeds, name: known[name]}
    for index, node in enumerate(model.graph.node):  # bypassed
        same = [i for i in node.input if i in known and known[i].shape == known[node.output[0]].shape
                and known[i].dtype == known[node.output[0]].dtype]
        for source in same:
            cut = copy(model)
            gone = cut.graph.node[index].output[0]
            del cut.graph.node[index]
            for reader in cut.graph.node:
                reader.input[:] = [source if i == gone else i for i in reader.input]
            yield cut, feeds
    for index in range(len(model.graph.output) if len(model.graph.output) > 1 else 0):
        cut = copy(model)
        del cut.graph.output[index]
        yield cut, feeds
    count = len(next(iter(feeds.values())))
    for sample in range(count if count > 1 else 0):
        yield copy(model), {k: v[sample:sample + 1] for k, v in feeds.items()}
    sizes = sorted({d for v in feeds.values() for d in v.shape[1:] if d > 1})
    for size in sizes:  # shorter axes, with and without the constants of that length
        for target in {1, size // 2, size - 1}:
            for constants in (False, True):
                yield shorten(model, feeds, size, target, constants)


def shorten(model, feeds, size, target, constants):
    def part(array, skip):
        return array[tuple(slice(target if d == size and i >= skip else d) for i, d in enumerate(array.shape))]
    cut, short = copy(model), {k: part(v, 1) for k, v in feeds.items()}
    for value in cut.graph.input:
        value.CopyFrom(port(value.name, short[value.name]))
    for tensor in cut.graph.initializer if constants else []:
        array = nh.to_array(tensor)
        if array.dtype == np.int64 and array.ndim == 1:
            array = np.where(array == size, target, array)
        tensor.CopyFrom(nh.from_array(np.ascontiguousarray(part(array, 0)), tensor.name))
    return cut, short


def weight(model, feeds):
    return len(model.graph.node) * 10**6 + sum(v.size for v in feeds.values()) * 10 + model.ByteSize()


def main():
    source, out = sys.argv[1], sys.argv[2]
    model = onnx.load(os.path.join(source, "model.onnx"))
    with np.load(os.path.join(source, "inputs.npz")) as arrays:
        feeds = dict(arrays)
    with open(os.path.join(source, "tags.txt")) as f:
        tags = ["shrunk", *f.read().split()]
    wanted = None
    while True:
        with tempfile.TemporaryDirectory() as work:
            tried = {}
            for candidate in [(model, feeds), *candidates(model, feeds)]:
                name = f"c{len(tried):05d}"
                try:
                    small = prune(copy(candidate[0]), candidate[1])
                    if not small[1] or (tried and weight(*small) >= weight(model, feeds)):
                        continue
                    write(os.path.join(work, name), *small, outputs(*small), tags)
                    tried[name] = small
                except Exception:  # not a graph the runtime takes
                    shutil.rmtree(os.path.join(work, name), ignore_errors=True)
            found = verdicts(work)
        wanted = wanted or found.get("c00000")
        failing = [k for k in tried if found.get(k) == wanted and k != "c00000"]
        if wanted in (None, "equal"):
            sys.exit("the graph is computed bit for bit")
        if not failing:
            break
        model, feeds = min((tried[k] for k in failing), key=lambda c: weight(*c))
        print(len(model.graph.node), "nodes,", sum(v.size for v in feeds.values()), "input elements")
    write(out, model, feeds, outputs(model, feeds), tags)
    print(onnx.printer.to_text(model.graph)[:3000])


if __name__ == "__main__":
    main()
