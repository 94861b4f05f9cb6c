"""Models of kinds that stay refused, for tests/refusals_constructs.rs: a user meets them, and must learn what to do.

usage: refusals_constructs.py OUT      (needs numpy, onnx)
"""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto as T, helper as h, numpy_helper as nh

from refusals import CONV, BD, QX, WD, model, yq

f32, N = np.float32, h.make_node
X3 = (1, 4, 6)


def recurrent(op, gates):
    weights = {"rw": np.ones((1, gates * 5, 6), f32), "rr": np.ones((1, gates * 5, 5), f32)}
    return model(QX + [N(op, ["xd", "rw", "rr"], ["y"], name="rnn", hidden_size=5)], weights, x=X3)


def subgraph(nodes, inputs, outputs):
    def port(name, kind, shape):
        return h.make_tensor_value_info(name, kind, shape)
    return h.make_graph(nodes, "body", [port(*i) for i in inputs], [port(*o) for o in outputs])


def control_flow():
    yes, no = (subgraph([N(op, ["xd"], ["v"])], [], [("v", T.FLOAT, X3)]) for op in ("Neg", "Abs"))
    condition = {"cond": np.array(True)}
    yield "if", model(QX + [N("If", ["cond"], ["v"], name="branch", then_branch=yes, else_branch=no)] + yq("v"),
                      condition, x=X3)
    body = subgraph([N("Identity", ["c_in"], ["c_out"]), N("Neg", ["v_in"], ["v_out"])],
                    [("i", T.INT64, ()), ("c_in", T.BOOL, ()), ("v_in", T.FLOAT, X3)],
                    [("c_out", T.BOOL, ()), ("v_out", T.FLOAT, X3)])
    yield "loop", model(QX + [N("Loop", ["trips", "cond", "xd"], ["v"], name="repeat", body=body)] + yq("v"),
                        {**condition, "trips": np.int64(3)}, x=X3)
    body = subgraph([N("Add", ["s_in", "row"], ["s_out"]), N("Identity", ["s_out"], ["out"])],
                    [("s_in", T.FLOAT, (4, 6)), ("row", T.FLOAT, (4, 6))],
                    [("s_out", T.FLOAT, (4, 6)), ("out", T.FLOAT, (4, 6))])
    scan = N("Scan", ["state", "xd"], ["last", "v"], name="accumulate", body=body, num_scan_inputs=1)
    yield "scan", model(QX + [scan] + yq("v"), {"state": np.zeros((4, 6), f32)}, x=X3)


def dynamic():
    quantise = N("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="measure")
    product = N("MatMulInteger", ["q", "w2", "z", "wz"], ["acc"], name="product")
    yield "dynamic_matmul", model([quantise, product, N("Cast", ["acc"], ["f"], to=T.FLOAT), N("Mul", ["f", "s"], ["y"])],
                                  {"w2": np.ones((6, 4), np.int8)}, x=(1, 6))
    yield "dynamic_fused", model([N("DynamicQuantizeMatMul", ["x", "w2", "ws", "wz"], ["y"], name="product",
                                    domain="com.microsoft")], {"w2": np.ones((6, 4), np.int8)}, x=(1, 6))
    yield "dynamic_lstm", model([N("DynamicQuantizeLSTM", ["x", "w2"], ["y"], name="rnn", domain="com.microsoft")],
                                {"w2": np.ones((6, 4), np.int8)}, x=(1, 6))


def four_bits():
    packed = np.zeros((8, 1, 16), np.uint8)
    scales = np.ones((8,), f32)
    yield "matmul_nbits", model(QX + [N("MatMulNBits", ["xd", "packed", "scales"], ["v"], name="product", K=32, N=8, bits=4,
                                        block_size=32, domain="com.microsoft")] + yq("v"),
                                {"packed": packed, "scales": scales}, x=(1, 32))
    for kind, name in ((T.INT4, "int4"), (T.UINT4, "uint4")):
        w = h.make_tensor("w4", kind, (6, 4), np.zeros(24, int))
        z = h.make_tensor("z4", kind, (), [0])
        yield f"matmul_{name}", model(QX + [N("DequantizeLinear", ["w4", "ws", "z4"], ["wd"]),
                                            N("MatMul", ["xd", "wd"], ["v"], name="product")] + yq("v"),
                                      {"w4": w, "z4": z}, x=(1, 6), opset=21)
    z8 = h.make_tensor("z8", T.FLOAT8E4M3FN, (), [0])
    yield "float8", model([N("QuantizeLinear", ["x", "xs", "z8"], ["q"], name="quantise"),
                           N("DequantizeLinear", ["q", "xs", "z8"], ["y"])], {"z8": z8}, opset=21)


def float_types():
    for kind, name in ((T.FLOAT16, "float16"), (T.BFLOAT16, "bfloat16"), (T.DOUBLE, "double")):
        cast = [N("Cast", ["x"], ["xf"], to=T.FLOAT), N("QuantizeLinear", ["xf", "xs", "xz"], ["xq"]),
                N("DequantizeLinear", ["xq", "xs", "xz"], ["y"])]
        yield name + "_input", model(cast, xt=kind)
        yield name + "_model", model([N("Relu", ["x"], ["y"], name="relu")], xt=kind, yt=kind)
    half = h.make_tensor("hs", T.FLOAT16, (), np.array([0.02], np.float16))
    yield "float16_scale", model([N("QuantizeLinear", ["x", "hs", "xz"], ["xq"]), N("DequantizeLinear", ["xq", "hs", "xz"], ["y"])],
                                 {"hs": half}, xt=T.FLOAT16, yt=T.FLOAT16, opset=19)


def sparse():
    m = model(QX + WD + BD + CONV + yq("c"))
    values = nh.from_array(np.array([1], np.int8), "sparse")
    m.graph.sparse_initializer.append(h.make_sparse_tensor(values, nh.from_array(np.array([0], np.int64), ""), [4]))
    yield "sparse_initializer", m
    constant = h.make_sparse_tensor(nh.from_array(np.array([1], f32), "v"), nh.from_array(np.array([0], np.int64), "i"), [6])
    yield "sparse_constant", model(QX + [N("Constant", [], ["k"], name="sparse", sparse_value=constant),
                                         N("Add", ["xd", "k"], ["a"])] + yq("a"), x=(1, 6))


def data_dependent():
    yield "nonzero", model(QX + [N("NonZero", ["xd"], ["y"], name="where")], x=(1, 6), yt=T.INT64)
    yield "unique", model(QX + [N("Unique", ["xd"], ["v"], name="unique")] + yq("v"), x=(1, 6))
    operands = {"k": np.int64(3), "iou": f32(0.5)}
    yield "non_max_suppression", model(QX + [N("NonMaxSuppression", ["xd", "scores", "k", "iou"], ["y"], name="nms")],
                                       {**operands, "scores": np.ones((1, 1, 5), f32)}, x=(1, 5, 4), yt=T.INT64)
    yield "random", model(QX + [N("RandomNormalLike", ["xd"], ["noise"], name="noise"), N("Add", ["xd", "noise"], ["a"])] + yq("a"), x=X3)
    yield "dropout_training", model(QX + [N("Dropout", ["xd", "ratio", "train"], ["a"], name="drop")] + yq("a"),
                                    {"ratio": f32(0.5), "train": np.array(True)}, x=X3)


def other_domains():
    attrs = {"nodes_treeids": [0], "nodes_nodeids": [0], "nodes_featureids": [0], "nodes_values": [0.0],
             "nodes_modes": ["LEAF"], "target_treeids": [0], "target_nodeids": [0], "target_ids": [0],
             "target_weights": [1.0], "nodes_truenodeids": [0], "nodes_falsenodeids": [0], "n_targets": 1}
    tree = N("TreeEnsembleRegressor", ["xd"], ["v"], name="forest", domain="ai.onnx.ml", **attrs)
    yield "tree_ensemble", model(QX + [tree] + yq("v"), x=(1, 6), domains=("ai.onnx.ml",))
    yield "string_input", model([N("StringNormalizer", ["x"], ["y"], name="text")], x=(6,), xt=T.STRING, yt=T.STRING)
    words = h.make_tensor("words", T.STRING, (2,), [b"a", b"b"])
    yield "string_constant", model(QX + [N("LabelEncoder", ["words"], ["l"], name="labels", domain="ai.onnx.ml",
                                           keys_strings=["a"], values_floats=[1.0]), N("Add", ["xd", "l"], ["a"])] + yq("a"),
                                   {"words": words}, x=(1, 2), domains=("ai.onnx.ml",))
    yield "sequence", model(QX + [N("SequenceConstruct", ["xd", "xd"], ["list"], name="list"),
                                  N("ConcatFromSequence", ["list"], ["v"], axis=0, name="join")] + yq("v"), x=X3)
    m = model(QX + [N("Twice", ["xd"], ["v"], name="call", domain="local")] + yq("v"), x=X3, domains=("local",))
    m.functions.append(h.make_function("local", "Twice", ["a"], ["b"], [N("Add", ["a", "a"], ["b"])], [h.make_opsetid("", 17)]))
    yield "function", m
    m = model(QX + [N("Loop", ["xd"], ["v"], name="call", domain="local")] + yq("v"), x=X3, domains=("local",))
    recursive = [N("Loop", ["a"], ["b"], domain="local")]
    m.functions.append(h.make_function("local", "Loop", ["a"], ["b"], recursive, [h.make_opsetid("local", 1)]))
    yield "recursive_function", m


def cases():
    for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        yield op.lower(), recurrent(op, gates)
    for group in (control_flow, dynamic, four_bits, float_types, sparse, data_dependent, other_domains):
        yield from group()


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    for name, m in cases():
        with open(os.path.join(out, name + ".onnx"), "wb") as f:
            f.write(m.SerializeToString())


if __name__ == "__main__":
    main()
