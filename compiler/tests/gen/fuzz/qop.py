"""QOperator forms: integer in, integer out. Each operator goes between two Q/DQ parts of a graph, or follows another."""
import numpy as np

from .builder import MICROSOFT, N, Skip, Tensor, f32
from .linear import window
from .movement import other


def emit(b, op, operands, floats, out_values, attrs=None, domain=MICROSOFT, s=None, z=None):
    """The node, its output parameters from the range of `out_values`, and DequantizeLinear behind it."""
    low, high = min(float(np.min(out_values)), 0), max(float(np.max(out_values)), 0)
    s = f32(s or (high - low) / 255 * b.r.uniform(0.6, 1.3) or 0.01)
    z = b.zero() if z is None else z
    params = [b.const(s), b.const(b.t(z))]
    q, d = b.name("q"), b.name("d")
    at = floats if op == "QLinearConcat" else operands + params
    b.nodes.append(N(op, params + at if op == "QLinearConcat" else at, [q], domain=domain, **(attrs or {})))
    b.nodes.append(N("DequantizeLinear", [q, *params], [d]))
    b.tags.append(op)
    info = np.iinfo(b.t)
    raw = [np.clip(np.rint(v / s), info.min - z, info.max - z).astype(f32) for v in out_values]
    return Tensor(q, d, s, z, b.t, [r * s for r in raw])


def triple(b, x):
    return [x.i, b.const(x.s), b.const(x.t(x.z))]


def binary(b, x):
    y = other(b, [d if b.chance(0.7) else 1 for d in x.shape])
    if b.chance(0.5):
        return emit(b, "QLinearAdd", triple(b, x) + triple(b, y), None, [p + q for p, q in zip(x.v, y.v)])
    return emit(b, "QLinearMul", triple(b, x) + triple(b, y), None, [p * q for p, q in zip(x.v, y.v)])


def unary(b, x):
    if b.chance(0.5):
        return emit(b, "QLinearSigmoid", triple(b, x), None, [1 / (1 + np.exp(-v)) for v in x.v], s=1 / 256)
    return emit(b, "QLinearLeakyRelu", triple(b, x), None, [np.where(v > 0, v, 0.1 * v) for v in x.v], {"alpha": 0.1})


def concat(b, x):
    axis = int(b.r.integers(0, len(x.shape)))
    y = other(b, x.shape)
    values = [np.concatenate(pair, axis) for pair in zip(x.v, y.v)]
    return emit(b, "QLinearConcat", None, triple(b, x) + triple(b, y), values, {"axis": axis})


def softmax(b, x):
    if b.opset < 13:
        raise Skip
    values = [np.exp(v - v.max(-1, keepdims=True)) for v in x.v]
    values = [v / v.sum(-1, keepdims=True) for v in values]
    return emit(b, "QLinearSoftmax", triple(b, x), None, values, {"axis": -1, "opset": b.opset},
                s=b.pick(1 / 255, 1 / 256, 1 / 100), z=np.iinfo(b.t).min)


def matmul(b, x):
    """Two activations, or an activation and a constant."""
    if len(x.shape) < 2:
        raise Skip
    y = other(b, [*x.shape[:-2], x.shape[-1], int(b.r.integers(1, 6))])
    values = [p @ q for p, q in zip(x.v, y.v)]
    return emit(b, "QLinearMatMul", triple(b, x) + triple(b, y), None, values, domain="")


def pools(b, x):
    if len(x.shape) != 4:
        raise Skip
    if b.chance(0.4):
        values = [v.mean((2, 3), keepdims=True) for v in x.v]
        return emit(b, "QLinearGlobalAveragePool", triple(b, x), None, values, {"channels_last": 0})
    attrs = window(b, x.shape[2:], pool=True) | {"count_include_pad": int(b.chance(0.4))}
    attrs.pop("auto_pad", None)
    (name, v), = b.float_op("AveragePool", [x.d], [x.v], **attrs)
    b.nodes.pop()
    b.tags.pop()
    return emit(b, "QLinearAveragePool", triple(b, x), None, v, attrs)


def integer_matmul(b, x):
    """MatMulInteger with its int32 result as a graph output; the rest of the graph goes on from x."""
    if len(x.shape) != 2 or b.outputs:
        raise Skip
    w = b.r.integers(-127, 128, (x.shape[1], 3)).astype(np.int8)
    name = b.name("m")
    b.nodes.append(N("MatMulInteger", [x.i, b.const(w), b.const(x.t(x.z))], [name]))
    b.output(name, 6)
    b.tags.append("MatMulInteger")
    return x


OPS = [binary, unary, concat, softmax, matmul, pools, integer_matmul]
