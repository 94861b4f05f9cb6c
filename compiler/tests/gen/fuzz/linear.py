"""Convolutions, matrix products and attention."""
import numpy as np
from onnx import helper as h

from .builder import N, Skip, f32


def weights(b, shape, axis):
    """8-bit weights behind DequantizeLinear: name and float values."""
    r, t = b.r, b.wt
    low, high = (-127, 128) if t == np.int8 else (0, 256)
    middle = 0 if t == np.int8 else 128
    w = r.integers(low, high, shape).astype(t)
    if b.chance(0.5):
        w = np.clip(np.rint(r.normal(middle, 25, shape)), low, high - 1).astype(t)
    per_channel = axis is not None and b.opset >= 13 and b.chance(0.5)
    s = (10 ** r.uniform(-5 if b.chance(0.1) else -3, -0.5 if b.chance(0.1) else -1.5,
                         shape[axis] if per_channel else ())).astype(f32)
    z = np.full(s.shape, middle, t)
    if b.chance(0.15):
        z = r.integers(low, high, s.shape).astype(t)
    d = b.name("w")
    b.nodes.append(N("DequantizeLinear", [b.const(w, "w"), b.const(s), b.const(z)], [d],
                     **({"axis": axis} if per_channel else {})))
    if per_channel:
        b.tags.append("per-channel")
        view = [1] * len(shape)
        view[axis] = -1
        s, z = s.reshape(view), z.reshape(view)
    return d, ((w.astype(f32) - z.astype(f32)) * s).astype(f32), s.reshape(-1)


def bias(b, count, scale):
    """An int32 bias in accumulator units: name and float values."""
    values = (b.r.normal(0, 4000, count)).astype(np.int32)
    scale = scale.astype(f32).reshape(-1)
    scale = scale if scale.size == count and count > 1 and b.opset >= 13 and scale.size > 1 else scale[0]
    d = b.name("b")
    operands = [b.const(values, "b"), b.const(f32(scale) if np.ndim(scale) == 0 else scale)]
    if b.opset < 13 or b.chance(0.5):
        operands.append(b.const(np.zeros(np.shape(scale), np.int32)))
    b.nodes.append(N("DequantizeLinear", operands, [d], **({"axis": 0} if np.ndim(scale) else {})))
    return d, (values * scale).astype(f32)


def activated(b, op, operands, values, **attrs):
    """The operator, sometimes with a Relu before its QuantizeLinear."""
    (name, v), = b.float_op(op, operands, values, **attrs)
    if b.chance(0.3):
        name, v = b.float_op("Relu", [name], [v])[0]
        return b.quantise(name, v, f32(max(float(np.max(v)), 0.01) / 255), np.iinfo(b.t).min)
    return b.quantise(name, v)


def window(b, spatial, pool=False):
    r = b.r
    k = [int(r.integers(1, min(4, d) + 1)) for d in spatial]
    attrs = {"kernel_shape": k, "strides": [int(r.integers(1, 3)) for _ in k]}
    dilations = [int(r.integers(1, 3)) if 2 * (n - 1) < d else 1 for n, d in zip(k, spatial)]
    u = r.random()
    if u < 0.3:
        attrs["auto_pad"] = b.pick("SAME_UPPER", "SAME_LOWER", "VALID")
        b.tags.append(attrs["auto_pad"])
    else:
        if not pool:
            attrs["dilations"] = dilations
        if u < 0.75:
            attrs["pads"] = [int(r.integers(0, n)) for n in k + k]
    return attrs


def conv(b, x):
    if not 3 <= len(x.shape) <= 5:
        raise Skip
    c = x.shape[1]
    g = int(b.r.choice([d for d in range(1, c + 1) if c % d == 0]))
    m = g * int(b.r.integers(1, 4))
    if m > 16:
        raise Skip
    attrs = window(b, x.shape[2:])
    w, wv, ws = weights(b, (m, c // g, *attrs["kernel_shape"]), 0)
    operands, values = [x.d, w], [x.v, wv]
    if b.chance(0.7):
        name, v = bias(b, m, f32(x.s) * ws)
        operands.append(name)
        values.append(v)
    return activated(b, "Conv", operands, values, group=g, **attrs)


def gemm(b, x):
    if len(x.shape) != 2:
        raise Skip
    k, n, trans = x.shape[1], int(b.r.integers(1, 9)), int(b.chance(0.5))
    w, wv, ws = weights(b, (n, k) if trans else (k, n), 0 if trans else 1)
    operands, values = [x.d, w], [x.v, wv]
    if b.chance(0.7):
        name, v = bias(b, n, f32(x.s) * ws)
        operands.append(name)
        values.append(v)
    return activated(b, "Gemm", operands, values, transB=trans)


def project(b, x, n):
    """MatMul with constant weights, sometimes with an Add of a quantised bias."""
    w, wv, ws = weights(b, (x.shape[-1], n), 1)
    (name, v), = b.float_op("MatMul", [x.d, w], [x.v, wv])
    if b.chance(0.4):
        c, cv = bias(b, n, f32(x.s) * ws)
        name, v = b.float_op("Add", [name, c], [v, cv])[0]
    return b.quantise(name, v)


def matmul(b, x):
    if len(x.shape) < 2 or x.shape[-1] > 400:
        raise Skip
    return project(b, x, int(b.r.integers(1, 9)))


def matmul_activations(b, x):
    """x times a projection or a transpose of x, batched."""
    if len(x.shape) < 2 or not b.forks or max(x.shape[-2:]) > 32:
        raise Skip
    order = [*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2]
    other = b.move("Transpose", x, perm=order)
    if b.chance(0.3) and len(x.shape) > 2 and x.shape[0] == 1:
        axes = [0]
        if b.opset >= 13:
            other = b.move("Squeeze", other, [axes])
        else:
            other = b.move("Squeeze", other, axes=axes)
    b.tags.append("matmul-activations")
    return b.op("MatMul", [x.d, other.d], [x.v, other.v])


def heads(b, x, n, perm):
    t, d = x.shape[-2:]
    y = b.move("Reshape", x, [[x.shape[0], t, n, d // n]])
    return b.move("Transpose", y, perm=perm)


def attention(b, x):
    """Multi-head self-attention over (batch, tokens, features)."""
    if len(x.shape) != 3 or not b.forks or x.shape[1] > 12:
        raise Skip
    n = b.pick(1, 2, 4)
    d = n * b.pick(2, 4, 8)
    t = x.shape[1]
    q, k, v = (project(b, x, d) for _ in range(3))
    q, k, v = heads(b, q, n, [0, 2, 1, 3]), heads(b, k, n, [0, 2, 3, 1]), heads(b, v, n, [0, 2, 1, 3])
    scores = b.op("MatMul", [q.d, k.d], [q.v, k.v])
    root = f32(np.sqrt(d // n))
    if b.chance(0.5):
        c = f32(1 / root)
        scores = b.op("Mul", [scores.d, b.const(c)], [scores.v, c])
    else:
        scores = b.op("Div", [scores.d, b.const(root)], [scores.v, root])
    u = b.r.random()
    if u < 0.3:
        mask = np.where(np.tri(t) > 0, 0, -float(np.abs(scores.v[0]).max()) - 1).astype(f32)
        scores = b.op("Add", [scores.d, b.const(mask)], [scores.v, mask])
        b.tags.append("mask-add")
    elif u < 0.6:
        keep, low = np.tri(t) > 0, f32(np.min(scores.v) - 1)
        scores = b.op("Where", [b.const(keep), scores.d, b.const(low)], [keep, scores.v, low])
        b.tags.append("mask-where")
    p = b.op("Softmax", [scores.d], [scores.v], s=b.pick(f32(1 / 255), f32(1 / 256)), z=np.iinfo(b.t).min, axis=-1)
    y = b.op("MatMul", [p.d, v.d], [p.v, v.v])
    y = b.move("Transpose", y, perm=[0, 2, 1, 3])
    y = b.move("Reshape", y, [[0, 0, d]] if b.chance(0.5) else [[x.shape[0], t, d]])
    b.tags.append("attention")
    return project(b, y, x.shape[-1])


def embedding(b):
    """Rows of a quantised table selected by token ids, a graph input."""
    rows, width, tokens = int(b.r.integers(4, 40)), b.pick(4, 8, 16), int(b.r.integers(1, 7))
    name = f"ids{len(b.inputs)}"
    b.inputs.append(h.make_tensor_value_info(name, h.TensorProto.INT64, (1, tokens)))
    ids = [b.r.integers(0, rows, (1, tokens)) for _ in range(b.SAMPLES)]
    b.feeds[name] = np.stack(ids)
    table = b.r.integers(0, 256, (rows, width)).astype(np.uint8).view(b.t)
    s, z = f32(b.r.uniform(0.005, 0.05)), b.t(b.zero())
    d = b.name("t")
    b.tags.append("embedding")
    params = [b.const(s), b.const(z)]
    b.nodes.append(N("DequantizeLinear", [b.const(table, "table"), *params], [d]))
    values = (table.astype(f32) - f32(z)) * s
    (out, v), = b.float_op("Gather", [d, name], [values, ids], axis=0)
    return b.quantise(out, v, s, int(z))


OPS = [conv, conv, gemm, matmul, matmul_activations, attention]
