"""Conformance cases: ONNX node tests as small quantised models, with ONNX Runtime's outputs, for tests/conformance.rs.

usage: conformance.py OUT      (needs numpy, onnx 1.19.1, onnxruntime 1.31.1)

OUT/index.txt names the node tests, each line `SET NAME: what became of it`. OUT receives one archive per set, with
members `NAME/model` (bytes), `NAME/in/INPUT` and `NAME/out/OUTPUT` (first axis: sample), and `index.txt` anew. Operands
that a quantised model holds as constants are frozen into initialisers, float data is wrapped in
QuantizeLinear/DequantizeLinear (see conformance_wrap.py), and an operator set above 22 becomes 22 where the operator has
not changed since.
"""
import os
import sys
import zlib

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

from conformance_wrap import Wrapper

SAMPLES = 4
DATA = os.path.join(os.path.dirname(onnx.__file__), "backend/test/data/node")
INTEGERS = (T.UINT8, T.INT8, T.UINT16, T.INT16, T.INT32, T.INT64)
# Operators whose only data operand is the first; everything else is constant in a quantised model.
ONE_DATA = set("""QuantizeLinear DequantizeLinear QLinearConv MatMulInteger ConvInteger Expand Gather GatherElements Pad
Reshape Slice Split Squeeze Unsqueeze Tile Clip TopK ReduceMax ReduceMin ReduceMean ReduceSum Conv Gemm PRelu
LayerNormalization RMSNormalization BatchNormalization Resize ConstantOfShape""".split())


def node_test(name):
    """Model, input arrays and expected arrays of a node test of the package."""
    if name == "matmul_bcast":  # newer than the package: (3, 1, 3, 4) x (1, 2, 4, 2)
        shapes = {"a": (3, 1, 3, 4), "b": (1, 2, 4, 2)}
        ports = [h.make_tensor_value_info(k, T.FLOAT, s) for k, s in shapes.items()]
        y = h.make_tensor_value_info("c", T.FLOAT, (3, 2, 3, 2))
        graph = h.make_graph([h.make_node("MatMul", ["a", "b"], ["c"])], "g", ports, [y])
        model = h.make_model(graph, opset_imports=[h.make_opsetid("", 13)], ir_version=7)
        r = np.random.default_rng(7)
        return model, {k: r.normal(size=s).astype(np.float32) for k, s in shapes.items()}, {}
    directory = os.path.join(DATA, "test_" + name)
    model = onnx.load(os.path.join(directory, "model.onnx"))

    def arrays(kind, ports):
        out = {}
        for i, port in enumerate(ports):
            tensor = onnx.TensorProto()
            with open(os.path.join(directory, "test_data_set_0", f"{kind}_{i}.pb"), "rb") as f:
                tensor.ParseFromString(f.read())
            out[port.name] = nh.to_array(tensor)
        return out
    return model, arrays("input", model.graph.input), arrays("output", model.graph.output)


def session(model):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def constant_operands(node):
    """Names of the operands to freeze."""
    if node.op_type == "Where":
        return [node.input[0]]
    if node.op_type == "QLinearMatMul":
        return [node.input[i] for i in (1, 2, 4, 5, 6, 7)]
    if node.op_type == "ConstantOfShape":
        return list(node.input)
    return list(node.input[1:]) if node.op_type in ONE_DATA else []


def lower_opset(model, notes):
    """Opset 22 for models above it whose operators are older than that."""
    version = model.opset_import[0].version
    since = max(onnx.defs.get_schema(n.op_type, min(version, 22)).since_version if n.op_type not in
                ("RMSNormalization", "Swish") else version for n in model.graph.node)
    if version > 22 >= since:
        model.opset_import[0].version = 22
        model.ir_version = 10
        notes.append(f"opset {version} as 22")


def four_bit(model, notes):
    """int4 tensors cannot be graph ports here: the pair Q/DQ stands between float ports."""
    node = model.graph.node[0]
    axis = h.get_node_attr_value(node, "axis")
    ports = [p for p in (*model.graph.input, *model.graph.output) if p.name in (node.input[0], node.output[0])]
    shape = [d.dim_value for d in ports[0].type.tensor_type.shape.dim]
    operands = list(node.input[1:])
    del model.graph.node[:], model.graph.input[:], model.graph.output[:]
    model.graph.node.extend([h.make_node("QuantizeLinear", ["x", *operands], ["q"], axis=axis),
                             h.make_node("DequantizeLinear", ["q", *operands], ["y"], axis=axis)])
    model.graph.input.append(h.make_tensor_value_info("x", T.FLOAT, shape))
    model.graph.output.append(h.make_tensor_value_info("y", T.FLOAT, shape))
    notes.append("4-bit pair Q/DQ between float ports")


def integer_samples(r, name, first):
    """The package's data, then random data of the same type."""
    if first.dtype == np.float32:
        span = 3 * float(np.abs(first).max())
        rest = [r.uniform(-span, span, first.shape).astype(np.float32) for _ in range(SAMPLES - 1)]
        return np.stack([first, *rest])
    if first.dtype == np.bool_:
        return np.stack([first, *[r.random(first.shape) < 0.5 for _ in range(SAMPLES - 1)]])
    info = np.iinfo(first.dtype)
    low, high = max(int(info.min), -1000), min(int(info.max), 1000)
    if info.bits <= 16:
        low, high = int(info.min), int(info.max)
    rest = [r.integers(low, high + 1, first.shape).astype(first.dtype) for _ in range(SAMPLES - 2)]
    ties = r.integers(0, 3, first.shape).astype(first.dtype)
    return np.stack([first, *rest, ties])


def build(group, name, turn):
    """The case of one node test: model, inputs, expected package outputs or None, notes."""
    r = np.random.default_rng(zlib.crc32(name.encode()))
    model, inputs, expected = node_test(name)
    notes = []
    node = model.graph.node[0]
    frozen = [i for i in constant_operands(node) if i]
    for tensor in frozen:
        port = next(p for p in model.graph.input if p.name == tensor)
        model.graph.input.remove(port)
        value = inputs.pop(tensor)
        if port.type.tensor_type.elem_type in (T.INT4, T.UINT4):
            fixed = h.make_tensor(tensor, port.type.tensor_type.elem_type, value.shape, value.astype(int).flatten())
        else:
            fixed = nh.from_array(value, tensor)
        model.graph.initializer.append(fixed)
    if frozen:
        notes.append("frozen: " + " ".join(frozen))
    lower_opset(model, notes)
    if name.endswith("int4"):
        four_bit(model, notes)
        shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
        return model, {"x": r.normal(0, 8, (SAMPLES, *shape)).astype(np.float32)}, None, notes
    types = [p.type.tensor_type.elem_type for p in (*model.graph.input, *model.graph.output)]
    if group.startswith("A") or (T.FLOAT not in types and model.graph.input):
        if name.startswith("qlinearmatmul_2D"):
            fixed = nh.from_array(inputs.pop("b"), "b")
            model.graph.input.remove(next(p for p in model.graph.input if p.name == "b"))
            model.graph.initializer.append(fixed)
            notes.append("frozen: b")
        return model, {k: integer_samples(r, name, v) for k, v in inputs.items()}, expected, notes
    wrapper = Wrapper(r, node, inputs, expected, model, SAMPLES, float_ports=turn)
    return wrapper.model(), wrapper.samples(), None, notes + wrapper.notes


def compute(model, samples):
    """ONNX Runtime's outputs, samples stacked."""
    run = session(model)
    names = [o.name for o in run.get_outputs()]
    declared = {p.name: [d.dim_value for d in p.type.tensor_type.shape.dim] for p in model.graph.output}
    rows = [run.run(None, {k: v[i] for k, v in samples.items()}) for i in range(SAMPLES)]
    outputs = {n: np.stack([row[i] for row in rows]) for i, n in enumerate(names)}
    assert all(list(v.shape[1:]) == declared[k] for k, v in outputs.items()), "not the node test's shape"
    return outputs


def main():
    out = sys.argv[1]
    names = {}
    with open(os.path.join(out, "index.txt")) as f:
        for line in f:
            group, name = line.split(":")[0].split()
            names.setdefault(group, []).append(name)
    index, turn, differing = [], 0, []
    for group, tests in names.items():
        members = {}
        for name in tests:
            turn += 1
            model, samples, expected, notes = build(group, name, turn % 2 == 0)
            onnx.checker.check_model(model)
            outputs = compute(model, samples)
            for key, value in (expected or {}).items():
                if not np.array_equal(outputs[key][0], value):
                    differing.append(f"{name} {key}")
                    notes.append("the package's own data differs from the runtime")
            members[f"{name}/model"] = np.frombuffer(model.SerializeToString(), np.uint8)
            members |= {f"{name}/in/{k}": v for k, v in samples.items()}
            members |= {f"{name}/out/{k}": v for k, v in outputs.items()}
            index.append(f"{group} {name}: {'; '.join(notes) or 'unchanged'}")
        np.savez_compressed(os.path.join(out, group + ".npz"), **members)
    with open(os.path.join(out, "index.txt"), "w") as f:
        f.write("\n".join(index) + "\n")
    print(len(index), "cases; package data differs:", differing)


if __name__ == "__main__":
    main()
