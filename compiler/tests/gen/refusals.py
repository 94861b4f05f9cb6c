"""Small graphs that the compiler must refuse (or, where the name starts with `ok_`, must compile), for tests/refusals.rs.

usage: refusals.py OUT      (needs numpy, onnx)
"""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto as T, helper as h, numpy_helper as nh

f32, N = np.float32, h.make_node
rng = np.random.default_rng(1)
BASE = {
    "xs": f32(0.02), "xz": np.uint8(120), "ys": f32(0.05), "yz": np.uint8(0), "bz": np.int32(0),
    "ws": f32(0.01), "wz": np.int8(0), "w": rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
    "b": rng.integers(-1000, 1000, 4).astype(np.int32), "bs": f32(f32(0.02) * f32(0.01)),
    "wf": rng.normal(size=(4, 3, 3, 3)).astype(f32), "c6": f32(6), "c0": f32(0), "sh": np.array([1, -1], np.int64),
    "xz8": np.int8(3), "yz8": np.int8(-5),
}
QX = [N("QuantizeLinear", ["x", "xs", "xz"], ["xq"]), N("DequantizeLinear", ["xq", "xs", "xz"], ["xd"])]
WD = [N("DequantizeLinear", ["w", "ws", "wz"], ["wd"])]
BD = [N("DequantizeLinear", ["b", "bs", "bz"], ["bd"])]
CONV = [N("Conv", ["xd", "wd", "bd"], ["c"], name="conv")]


def yq(i, o="y", z="yz"):
    return [N("QuantizeLinear", [i, "ys", z], [i + "_q"]), N("DequantizeLinear", [i + "_q", "ys", z], [o])]


def model(nodes, inits=None, x=(1, 3, 6, 6), xt=T.FLOAT, yt=T.FLOAT, opset=17, out="y", domains=("com.microsoft",), used=True):
    inits = {**BASE, **(inits or {})}
    names = {i for n in nodes for i in n.input}
    tensors = [v if isinstance(v, onnx.TensorProto) else nh.from_array(np.asarray(v), k) for k, v in inits.items() if k in names]
    outs = [h.make_tensor_value_info(o, yt, None) for o in out.split()]
    g = h.make_graph(nodes, "g", [h.make_tensor_value_info("x", xt, x)], outs, tensors)
    ids = [h.make_opsetid("", opset)] + [h.make_opsetid(d, 1) for d in domains]
    return h.make_model(g, opset_imports=ids, ir_version=8)


def cases():
    good = QX + WD + BD + CONV + yq("c")
    yield "ok_conv", model(good)
    yield "opset_9", model(good, opset=9)
    yield "opset_25", model(good, opset=25)
    yield "not_quantised", model([N("Conv", ["x", "wf"], ["c"]), N("Relu", ["c"], ["y"])])
    yield "bias_scale", model(good, {"bs": f32(0.0006)})
    yield "bias_zero_point", model(good, {"bz": np.int32(3)})
    yield "float_output", model(QX + WD + BD + [N("Conv", ["xd", "wd", "bd"], ["y"], name="conv")])
    yield "float_weights", model(QX + BD + [N("Conv", ["xd", "wf"], ["c"], name="conv")] + yq("c"))
    yield "float_input", model(WD + [N("Conv", ["x", "wd"], ["c"], name="conv")] + yq("c"))
    yield "relu_not_implied", model(QX + WD + BD + CONV + [N("Relu", ["c"], ["r"])] + yq("r"), {"yz": np.uint8(7)})
    yield "clip_not_implied", model(QX + WD + BD + CONV + [N("Clip", ["c", "c0", "c6"], ["r"])] + yq("r"))
    yield "two_readers", model(QX + WD + BD + CONV + yq("c", "y") + [N("Sigmoid", ["c"], ["y2"])], out="y y2")
    yield "softmax", model(QX + [N("Softmax", ["xd"], ["s"], name="softmax")] + yq("s"))
    yield "layer_norm", model(QX + [N("LayerNormalization", ["xd", "g"], ["s"], name="ln")] + yq("s"), {"g": np.ones(6, f32)})
    yield "average_pool", model(QX + [N("AveragePool", ["xd"], ["s"], name="pool", kernel_shape=[2, 2])] + yq("s"))
    yield "float_tail", model(QX + WD + BD + CONV + yq("c", "d") + [N("Sigmoid", ["d"], ["y"])])
    yield "dynamic", model([N("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]), N("ConvInteger", ["q", "w", "z"], ["y"])],
                           yt=T.INT32)
    s8 = {"xz": np.int8(3), "yz": np.int8(-5)}
    yield "s8_two_readers", model(
        QX + WD + BD + CONV + yq("c", "d") + [N("Conv", ["xd", "wd", "bd"], ["c2"], name="conv2")] + yq("c2", "d2")
        + [N("Add", ["d", "d2"], ["a"])] + [N("QuantizeLinear", ["a", "ys", "yz"], ["aq"]), N("DequantizeLinear", ["aq", "ys", "yz"], ["y"])], s8)
    yield "s8_graph_input", model([N("DequantizeLinear", ["x", "xs", "xz"], ["xd"])] + WD + BD + CONV + yq("c"), s8, xt=T.INT8)
    yield "int4_weights", model(QX + WD + [N("Conv", ["xd", "wd"], ["c"], name="conv")] + yq("c"),
                                {"w": h.make_tensor("w", T.INT4, (4, 3, 3, 3), np.zeros(108, int)), "wz": h.make_tensor("wz", T.INT4, (), [0])}, opset=21)
    yield "int16_activations", model(QX, {"xz": np.uint16(5)}, opset=21, out="xd")
    yield "symbolic_height", model(good, x=("N", 3, "height", 6))
    yield "ok_symbolic_batch", model(good, x=("N", 3, 6, 6))
    yield "no_input_shape", (lambda m: (m.graph.input[0].type.tensor_type.ClearField("shape"), m)[1])(model(good))
    yield "overflow", model(QX + WD + BD + CONV + yq("c"), {"b": np.array([0, 2**31 - 1, 0, 0], np.int32)})
    yield "matmul_activations", model(QX + [N("MatMul", ["xd", "xd"], ["m"], name="mm")] + yq("m"))
    yield "channels_mismatch", model(good, x=(1, 2, 6, 6))
    yield "kernel_too_large", model(good, x=(1, 3, 2, 2))
    yield "zero_scale", model(good, {"xs": f32(0)})
    yield "nan_scale", model(good, {"ys": f32("nan")})
    yield "per_channel_activation", model(QX + WD + BD + CONV + yq("c"), {"xs": np.full(3, 0.02, f32), "xz": np.full(3, 3, np.uint8)})
    yield "bad_reshape", model(QX + [N("Reshape", ["xd", "sh"], ["r"], name="reshape")] + yq("r"), {"sh": np.array([7, -1], np.int64)})
    yield "huge_reshape", model(QX + [N("Reshape", ["xd", "sh"], ["r"], name="reshape")] + yq("r"), {"sh": np.array([2**62, 4], np.int64)})
    yield "huge_unsqueeze", model(QX + [N("Unsqueeze", ["xd", "sh"], ["r"], name="u")] + yq("r"), {"sh": np.array([2**40], np.int64)})
    yield "huge_kernel", model(QX + [N("MaxPool", ["xd"], ["r"], name="pool", kernel_shape=[2**40, 2])] + yq("r"))
    yield "huge_pads", model(QX + [N("MaxPool", ["xd"], ["r"], name="pool", kernel_shape=[2, 2], pads=[2**30] * 4)] + yq("r"))
    yield "empty_window", model(QX + [N("MaxPool", ["xd"], ["r"], name="pool", kernel_shape=[2, 2], pads=[3, 3, 3, 3])] + yq("r"))
    yield "zero_stride", model(QX + [N("MaxPool", ["xd"], ["r"], name="pool", kernel_shape=[2, 2], strides=[0, 1])] + yq("r"))
    yield "bad_group", model(QX + WD + BD + [N("Conv", ["xd", "wd", "bd"], ["c"], name="conv", group=0)] + yq("c"))
    yield "cycle", model([N("QuantizeLinear", ["d2", "xs", "xz"], ["q"]), N("DequantizeLinear", ["q", "xs", "xz"], ["d"], name="dq"),
                          N("Add", ["d", "x"], ["d2"]), N("Identity", ["d"], ["y"])])
    yield "missing", model(QX + [N("Conv", ["xd", "nowhere"], ["c"], name="conv")] + yq("c"))
    yield "defined_twice", model(QX + WD + BD + CONV + CONV + yq("c"))
    yield "unknown_operator", model(QX + [N("Einsum", ["xd"], ["s"], name="e", equation="abcd->abdc")] + yq("s"))
    yield "unknown_domain", model(QX + [N("Conv", ["xd"], ["s"], name="e", domain="example.org")] + yq("s"), domains=("example.org",))
    yield "alpha_with_bias", model(QX + [N("Flatten", ["xd"], ["f0"]), N("QuantizeLinear", ["f0", "xs", "xz"], ["fq"]), N("DequantizeLinear", ["fq", "xs", "xz"], ["fl"]),
                                        N("DequantizeLinear", ["gw", "ws", "wz"], ["gd"])] + BD + [N("Gemm", ["fl", "gd", "bd"], ["g"], name="gemm", alpha=0.5)] + yq("g"),
                                   {"gw": np.ones((108, 4), np.int8)})
    yield "blocked", model(QX + [N("DequantizeLinear", ["w2", "ws2", "wz2"], ["wd2"], axis=0, block_size=2), N("MatMul", ["xd", "wd2"], ["m"], name="mm")] + yq("m"),
                           {"w2": np.ones((6, 4), np.int8), "ws2": np.full((3, 4), 0.1, f32), "wz2": np.zeros((3, 4), np.int8)}, opset=21)
    m = model(good)
    w = next(t for t in m.graph.initializer if t.name == "w")
    w.raw_data = w.raw_data[:-1]
    yield "short_raw_data", m
    m = model(good)
    w = next(t for t in m.graph.initializer if t.name == "w")
    w.ClearField("raw_data")
    yield "empty_raw_data", m
    m = model(good)
    w = next(t for t in m.graph.initializer if t.name == "w")
    w.dims[0] = 2**61
    yield "huge_dims", m
    m = model(good)
    w = next(t for t in m.graph.initializer if t.name == "w")
    w.dims[0] = -4
    yield "negative_dims", m
    for name, location, length in [("ok_external", "external.bin", None), ("external_missing", "nothing.bin", None), ("external_parent", "../refusals/external.bin", None),
                                   ("external_absolute", "/etc/hostname", None), ("external_length", "external.bin", 7), ("external_offset", "external.bin", None)]:
        m = model(good)
        w = next(t for t in m.graph.initializer if t.name == "w")
        raw = w.raw_data
        w.ClearField("raw_data")
        w.data_location = T.EXTERNAL
        for k, v in [("location", location), ("offset", "16" if name != "external_offset" else str(2**63)), ("length", str(length or len(raw)))]:
            e = w.external_data.add()
            e.key, e.value = k, v
        yield name, m
    yield None, b"\0" * 16 + BASE["w"].tobytes()


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    for name, m in cases():
        if name is None:
            open(os.path.join(out, "external.bin"), "wb").write(m)
        else:
            open(os.path.join(out, name + ".onnx"), "wb").write(m.SerializeToString())


if __name__ == "__main__":
    main()
