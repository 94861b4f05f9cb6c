"""Damaged and absurd models, for tests/refusals_malformed.rs: each must be refused, quickly and without much memory.

usage: refusals_malformed.py OUT      (needs numpy, onnx)

OUT/graph holds models that break a rule of ONNX as a whole; OUT/operands holds one node each with impossible attributes or
constant operands.
"""
import os
import sys

import numpy as np
from onnx import TensorProto as T, helper as h

from refusals import BASE, BD, CONV, N, QX, WD, f32, model, yq

GOOD = QX + WD + BD + CONV + yq("c")


def tensor(m, name):
    return next(t for t in m.graph.initializer if t.name == name)


def changed(name, change, nodes=GOOD, inits=None, **kw):
    m = model(nodes, inits, **kw)
    change(tensor(m, name))
    return m


def external(**entries):
    def change(t):
        t.ClearField("raw_data")
        t.data_location = T.EXTERNAL
        for key, value in entries.items():
            entry = t.external_data.add()
            entry.key, entry.value = key, value
    return changed("w", change)


def graphs():
    yield "own_output", model(QX + [N("Add", ["xd", "a"], ["a"], name="loop")] + yq("a"))
    yield "two_cycles", model([N("Add", ["a", "b"], ["c"]), N("Neg", ["c"], ["a"]), N("Abs", ["c"], ["b"])] + yq("c"))
    yield "undefined_output", model(GOOD, out="nowhere")
    yield "undefined_bias", model(QX + WD + [N("Conv", ["xd", "wd", "nothing"], ["c"], name="conv")] + yq("c"))
    yield "input_redefined", model(QX + [N("Neg", ["xd"], ["x"])] + yq("x"))
    m = model(GOOD)
    m.graph.initializer.append(tensor(m, "w"))
    yield "initialiser_twice", m
    m = model(GOOD)
    m.graph.input.append(m.graph.input[0])
    yield "input_twice", m
    yield "weights_int64", model(GOOD, {"w": BASE["w"].astype(np.int64)})
    yield "scale_int8", model(GOOD, {"xs": np.int8(1)})
    yield "scale_double", model(GOOD, {"xs": np.float64(0.02)})
    yield "zero_point_float", model(GOOD, {"xz": f32(3)})
    yield "zero_point_other_type", model(GOOD, {"wz": np.uint8(0)})
    yield "scale_empty", model(GOOD, {"xs": np.zeros(0, f32)})
    yield "scale_negative", model(GOOD, {"xs": f32(-0.02)})
    yield "scale_infinite", model(GOOD, {"ys": f32("inf")})
    yield "scale_vector_mismatch", model(GOOD, {"ws": np.full(3, 0.01, f32), "wz": np.zeros(3, np.int8)})
    yield "input_negative", model(GOOD, x=(1, 3, -6, 6))
    yield "input_zero", model(GOOD, x=(1, 3, 0, 6))
    yield "input_huge", model(QX + yq("xd"), x=(1, 2**31 - 1, 2**31 - 1, 2**31 - 1))
    yield "input_two_gigabytes", model(QX + yq("xd"), x=(1, 2**16, 2**15))
    yield "input_many_axes", model(QX + yq("xd"), x=(1,) * 40)
    yield "input_batches", model(GOOD, x=("N", "C", 6, 6))
    yield "no_nodes", model([])
    yield "declared_two_gigabytes", changed("w", lambda t: (t.ClearField("dims"), t.dims.extend([2**16, 2**15])))
    yield "declared_huge_product", changed("w", lambda t: (t.ClearField("dims"), t.dims.extend([2**32, 2**32, 2**32])))
    yield "long_raw_data", changed("w", lambda t: setattr(t, "raw_data", t.raw_data + b"\0"))
    yield "odd_raw_data", changed("xs", lambda t: setattr(t, "raw_data", t.raw_data[:3]))
    yield "typed_data_too_large", changed("w", lambda t: (t.ClearField("raw_data"), t.int32_data.extend([1000] * 108)))
    yield "unknown_data_type", changed("w", lambda t: setattr(t, "data_type", 77))
    yield "no_data_type", changed("w", lambda t: t.ClearField("data_type"))
    yield "external_nested_parent", external(location="a/../../secret", length="108")
    yield "external_empty", external(location="", length="108")
    yield "external_directory", external(location=".", length="108")
    yield "external_nowhere", external()
    yield "external_negative_offset", external(location="ok.bin", offset="-16", length="108")
    yield "external_not_a_number", external(location="ok.bin", offset="many", length="108")
    yield "external_beyond", external(location="ok.bin", offset="4", length="108")
    yield "external_zero_byte", external(location="ok\0.bin", length="108")
    yield "external_windows_parent", external(location="..\\secret", length="108")
    m = external(location="ok.bin", length=str(2**16 * 2**12))
    tensor(m, "w").dims[:] = [2**16, 2**12]
    yield "external_large", m
    m = model(GOOD)
    del m.opset_import[:]
    yield "no_opset", m
    m = model(GOOD)
    m.opset_import[0].version = 2**62
    yield "opset_huge", m
    m = model(GOOD)
    m.graph.output[0].type.tensor_type.elem_type = T.INT64
    yield "output_other_type", m


def one(op, inits=None, x=(1, 4, 6, 6), opset=17, operands=("xd",), **attrs):
    """One node between QuantizeLinear/DequantizeLinear pairs."""
    return model(QX + [N(op, list(operands), ["v"], name="node", **attrs)] + yq("v"), inits, x=x, opset=opset)


def with_ints(op, *lists, **kw):
    inits = {f"n{k}": np.array(v, np.int64) for k, v in enumerate(lists)}
    return one(op, inits, operands=("xd", *inits), **kw)


def operands():
    big, least = 2**62, -(2**63)
    yield "conv_negative_kernel", model(QX + WD + BD + [N("Conv", ["xd", "wd", "bd"], ["c"], name="node", kernel_shape=[-3, 3])] + yq("c"))
    yield "conv_other_kernel", model(QX + WD + BD + [N("Conv", ["xd", "wd", "bd"], ["c"], name="node", kernel_shape=[5, 5])] + yq("c"))
    yield "conv_dilations", model(QX + WD + BD + [N("Conv", ["xd", "wd", "bd"], ["c"], name="node", dilations=[big, 1])] + yq("c"))
    yield "conv_group_negative", model(QX + WD + BD + [N("Conv", ["xd", "wd", "bd"], ["c"], name="node", group=least)] + yq("c"))
    yield "conv_pads_count", model(QX + WD + BD + [N("Conv", ["xd", "wd", "bd"], ["c"], name="node", pads=[1, 1])] + yq("c"))
    yield "conv_auto_pad", model(QX + WD + BD + [N("Conv", ["xd", "wd", "bd"], ["c"], name="node", auto_pad="SAME_SIDEWAYS")] + yq("c"))
    yield "pool_no_kernel", one("MaxPool")
    yield "pool_kernel_rank", one("MaxPool", kernel_shape=[2, 2, 2])
    yield "pool_strides_negative", one("MaxPool", kernel_shape=[2, 2], strides=[-1, 1])
    yield "pool_kernel_text", one("MaxPool", kernel_shape="2x2")
    yield "average_zero_kernel", one("AveragePool", kernel_shape=[0, 0])
    yield "average_huge_pads", one("AveragePool", kernel_shape=[2, 2], pads=[big] * 4)
    yield "transpose_twice", one("Transpose", perm=[0, 1, 1, 3])
    yield "transpose_short", one("Transpose", perm=[0, 1])
    yield "transpose_outside", one("Transpose", perm=[0, 1, 2, least])
    yield "flatten_axis", one("Flatten", axis=big)
    yield "softmax_axis", one("Softmax", axis=least)
    yield "concat_axis", one("Concat", operands=("xd", "xd"), axis=4)
    yield "concat_no_axis", one("Concat", operands=("xd", "xd"))
    yield "argmax_axis", one("ArgMax", axis=-5)
    yield "reshape_minus_two", with_ints("Reshape", [-2, 8])
    yield "reshape_two_unknown", with_ints("Reshape", [-1, -1])
    yield "reshape_zero_outside", with_ints("Reshape", [1, 4, 6, 6, 0])
    yield "reshape_many_axes", with_ints("Reshape", [1] * 100 + [-1])
    yield "squeeze_not_one", with_ints("Squeeze", [1])
    yield "squeeze_outside", with_ints("Squeeze", [least])
    yield "unsqueeze_twice", with_ints("Unsqueeze", [0, 0])
    yield "unsqueeze_many", with_ints("Unsqueeze", list(range(60)))
    yield "slice_step_zero", with_ints("Slice", [0], [6], [2], [0])
    yield "slice_axes_twice", with_ints("Slice", [0, 0], [2, 2], [1, 1])
    yield "slice_lengths", with_ints("Slice", [0, 0], [2], [1])
    yield "slice_empty", with_ints("Slice", [5], [5], [2])
    yield "slice_axis", with_ints("Slice", [0], [1], [big])
    yield "gather_outside", with_ints("Gather", [4], axis=1)
    yield "gather_least", with_ints("Gather", [least], axis=1)
    yield "gather_elements_rank", with_ints("GatherElements", [0], axis=1)
    yield "pad_all_away", with_ints("Pad", [0, 0, -9, 0, 0, 0, 0, 0])
    yield "pad_huge", with_ints("Pad", [0, 0, big, big, 0, 0, big, big])
    yield "pad_count", with_ints("Pad", [0, 1])
    yield "pad_reflect_too_far", with_ints("Pad", [0, 0, 9, 9, 0, 0, 9, 9], mode="reflect")
    yield "tile_huge", with_ints("Tile", [1, 1, 2**40, 2**40])
    yield "tile_negative", with_ints("Tile", [1, 1, -1, 1])
    yield "tile_gigabytes", with_ints("Tile", [1, 1, 2**14, 2**14])
    yield "expand_mismatch", with_ints("Expand", [1, 5, 6, 6])
    yield "expand_huge", with_ints("Expand", [2**40, 4, 6, 6])
    yield "top_k_too_many", with_ints("TopK", [7])
    yield "top_k_negative", with_ints("TopK", [-1])
    yield "reduce_axis", with_ints("ReduceSum", [7], keepdims=1)
    yield "reduce_twice", with_ints("ReduceSum", [1, 1], keepdims=1)
    yield "resize_huge", one("Resize", {"n": np.array([1, 1, 1e30, 1e30], f32)}, operands=("xd", "", "n"), mode="nearest")
    yield "resize_nan", one("Resize", {"n": np.array([1, 1, "nan", 1], f32)}, operands=("xd", "", "n"), mode="nearest")
    yield "resize_negative", one("Resize", {"n": np.array([1, 1, -2, 1], f32)}, operands=("xd", "", "n"), mode="nearest")
    yield "resize_rank", one("Resize", {"n": np.ones(2, f32)}, operands=("xd", "", "n"), mode="nearest")
    yield "depth_to_space_zero", one("DepthToSpace", blocksize=0)
    yield "depth_to_space_huge", one("DepthToSpace", blocksize=2**40)
    yield "depth_to_space_channels", one("DepthToSpace", blocksize=3)
    yield "space_to_depth_negative", one("SpaceToDepth", blocksize=-2)
    yield "constant_of_shape_huge", model(QX + [N("ConstantOfShape", ["n"], ["k"], name="node"), N("Add", ["xd", "k"], ["v"])] + yq("v"),
                                          {"n": np.array([big, big], np.int64)})
    yield "constant_of_shape_negative", model(QX + [N("ConstantOfShape", ["n"], ["k"], name="node"), N("Add", ["xd", "k"], ["v"])] + yq("v"),
                                              {"n": np.array([-4], np.int64)})
    yield "range_endless", model(QX + [N("Range", ["a", "l", "d"], ["k"], name="node"), N("Cast", ["k"], ["kf"], to=1), N("Add", ["xd", "kf"], ["v"])] + yq("v"),
                                 {"a": np.int64(0), "l": np.int64(big), "d": np.int64(1)})
    yield "add_shapes", model(QX + [N("Add", ["xd", "k"], ["v"], name="node")] + yq("v"), {"k": np.ones(5, f32)})
    yield "matmul_shapes", model(QX + [N("DequantizeLinear", ["w2", "ws", "wz"], ["wd"]), N("MatMul", ["xd", "wd"], ["v"], name="node")] + yq("v"),
                                 {"w2": np.ones((5, 4), np.int8)})
    yield "gemm_rank", model(QX + WD + [N("Gemm", ["xd", "wd"], ["v"], name="node")] + yq("v"))
    yield "layer_norm_shapes", one("LayerNormalization", {"g": np.ones(5, f32)}, operands=("xd", "g"))
    yield "layer_norm_epsilon", one("LayerNormalization", {"g": np.ones(6, f32)}, operands=("xd", "g"), epsilon=float("nan"))
    yield "no_operands", model(QX + [N("Add", [], ["v"], name="node"), N("Add", ["xd", "v"], ["a"])] + yq("a"))
    yield "one_operand", one("Add")
    yield "no_data_operand", one("MaxPool", operands=("",), kernel_shape=[2, 2])
    yield "split_sum", model(QX + [N("Split", ["xd", "n"], ["v", "u"], name="node", axis=1)] + yq("v"), {"n": np.array([1, 9], np.int64)})
    yield "split_negative", model(QX + [N("Split", ["xd", "n"], ["v", "u"], name="node", axis=1)] + yq("v"), {"n": np.array([-1, 4], np.int64)})


def main():
    for kind, cases in (("graph", graphs), ("operands", operands)):
        directory = os.path.join(sys.argv[1], kind)
        os.makedirs(directory, exist_ok=True)
        for name, m in cases():
            with open(os.path.join(directory, name + ".onnx"), "wb") as f:
                f.write(m.SerializeToString())
    with open(os.path.join(sys.argv[1], "graph", "ok.bin"), "wb") as f:
        f.write(BASE["w"].tobytes())


if __name__ == "__main__":
    main()
