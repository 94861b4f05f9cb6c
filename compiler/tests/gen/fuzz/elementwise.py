"""Functions of one tensor, arithmetic of two, comparisons and selections."""
import numpy as np
from onnx import TensorProto as T

from .builder import N, Skip, f32
from .movement import other

UNARY = {"Sigmoid": 10, "Tanh": 10, "Relu": 10, "LeakyRelu": 10, "HardSigmoid": 10, "Elu": 10, "Erf": 10, "Neg": 10,
         "Abs": 10, "Softplus": 10, "Softsign": 10, "Selu": 10, "Exp": 10, "HardSwish": 14, "Gelu": 20, "Celu": 12,
         "ThresholdedRelu": 10, "Mish": 18, "Sin": 10, "Cos": 10, "Floor": 10, "Ceil": 10, "Round": 11, "Sign": 10}


def unary(b, x):
    op = b.pick(*[k for k, since in UNARY.items() if since <= b.opset])
    attrs = {}
    if op in ("LeakyRelu", "Elu", "Celu", "HardSigmoid"):
        attrs["alpha"] = float(b.r.uniform(0.05, 0.8))
    if op == "Gelu":
        attrs["approximate"] = b.pick("none", "tanh")
    if op == "Exp" and float(np.max(x.v)) > 20:
        raise Skip
    return b.op(op, [x.d], [x.v], **attrs)


def clip(b, x):
    low, high = sorted(f32(v) for v in b.r.uniform(float(np.min(x.v)) - 0.1, float(np.max(x.v)) + 0.1, 2))
    if b.chance(0.3):
        low, high = f32(0), f32(6)
    if b.opset < 11:
        return b.op("Clip", [x.d], [x.v], min=float(low), max=float(high))
    if b.chance(0.2):
        return b.op("Clip", [x.d, b.const(low)], [x.v, low])
    return b.op("Clip", [x.d, b.const(low), b.const(high)], [x.v, low, high])


def with_number(b, x):
    """Arithmetic with one constant number, on either side."""
    op = b.pick("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min")
    c = f32(b.r.uniform(0.2, 3) * b.pick(1, -1))
    if op == "Pow":
        c = b.pick(f32(2), f32(3))
        return b.op(op, [x.d, b.const(c)], [x.v, c])
    if op in ("Max", "Min") and b.opset < 12:
        raise Skip
    b.tags.append(op + "-number")
    if b.chance(0.3) and op != "Div":
        return b.op(op, [b.const(c), x.d], [c, x.v])
    return b.op(op, [x.d, b.const(c)], [x.v, c])


def per_channel(b, x):
    """Scale and shift by float vectors over one axis, or a normalisation with running statistics."""
    if len(x.shape) >= 3 and b.chance(0.4):
        c = x.shape[1]
        params = [b.r.uniform(0.5, 2, c), b.r.normal(size=c), b.r.normal(size=c), b.r.uniform(0.2, 2, c)]
        params = [p.astype(f32) for p in params]
        return b.op("BatchNormalization", [x.d, *map(b.const, params)], [x.v, *params])
    op = b.pick("PRelu", "Mul", "Add", "Sub")
    shape = [x.shape[-1]] if b.chance(0.5) or len(x.shape) < 3 else [x.shape[1], *[1] * (len(x.shape) - 2)]
    c = b.r.uniform(-1, 2, shape).astype(f32)
    b.tags.append(op + "-vector")
    return b.op(op, [x.d, b.const(c)], [x.v, c])


def broadcast(b, shape):
    out = [d if b.chance(0.7) else 1 for d in shape]
    return out[int(b.r.integers(0, len(out))):] if b.chance(0.3) else out


def partner(b, x):
    """A second tensor of a shape that broadcasts with x."""
    if b.chance(0.4) and b.forks:
        return unary(b, x) if b.chance(0.6) else x
    return other(b, broadcast(b, x.shape))


def binary(b, x):
    op = b.pick("Add", "Add", "Mul", "Mul", "Sub", "Div", "Max", "Min", "Pow")
    y = partner(b, x)
    if op == "Div":
        y = positive(b, y)
    if op == "Pow":
        raise Skip
    if op in ("Max", "Min") and b.opset < 12:
        raise Skip
    b.tags.append(op + "-two")
    pair = [x, y] if b.chance(0.6) or op == "Div" else [y, x]
    return b.op(op, [p.d for p in pair], [p.v for p in pair])


def positive(b, y):
    """A tensor that is never zero."""
    (name, v), = b.float_op("Sigmoid", [y.d], [y.v])
    s = f32(1 / 200)
    out = b.quantise(name, v, s, np.iinfo(b.t).min)
    if min(float(a.min()) for a in out.v) <= 0:
        raise Skip
    return out


def silu(b, x):
    """x * sigmoid(x), as exporters write it."""
    if not b.forks:
        raise Skip
    y = b.op("Sigmoid", [x.d], [x.v])
    b.tags.append("silu")
    return b.op("Mul", [x.d, y.d], [x.v, y.v])


def gelu(b, x):
    """Gelu spelled out with Erf, quantised between the operators."""
    if not b.forks:
        raise Skip
    y = b.op("Div", [x.d, b.const(f32(np.sqrt(2)))], [x.v, f32(np.sqrt(2))])
    y = b.op("Erf", [y.d], [y.v])
    y = b.op("Add", [y.d, b.const(f32(1))], [y.v, f32(1)])
    y = b.op("Mul", [x.d, y.d], [x.v, y.v])
    b.tags.append("gelu-erf")
    return b.op("Mul", [y.d, b.const(f32(0.5))], [y.v, f32(0.5)])


def compare(b, x):
    """A comparison; its result is an output or selects."""
    if not b.forks:
        raise Skip
    op = b.pick("Less", "Greater", "Equal", *(["LessOrEqual", "GreaterOrEqual"] if b.opset >= 12 else []))
    if op == "Equal" and b.opset < 11:
        raise Skip
    if b.chance(0.5):
        c = f32(b.r.uniform(float(np.min(x.v)), float(np.max(x.v))))
        (name, v), = b.float_op(op, [x.d, b.const(c)], [x.v, c])
    else:
        y = partner(b, x)
        (name, v), = b.float_op(op, [x.d, y.d], [x.v, y.v])
    if b.chance(0.4):
        b.output(name, T.BOOL)
        return x
    low = f32(0)
    b.tags.append("Where-compared")
    return b.op("Where", [name, x.d, b.const(low)], [v, x.v, low], like=x)


def where(b, x):
    mask = b.r.random(broadcast(b, x.shape)) < 0.6
    if b.chance(0.5):
        c = f32(b.r.uniform(float(np.min(x.v)), float(np.max(x.v))))
        operands, values = [x.d, b.const(c)], [x.v, c]
    else:
        y = partner(b, x)
        operands, values = [x.d, y.d], [x.v, y.v]
    if b.chance(0.5):
        operands, values = operands[::-1], values[::-1]
    return b.op("Where", [b.const(mask), *operands], [mask, *values])


def requantise(b, x):
    """Other parameters for the same values."""
    b.tags.append("requantise")
    return b.quantise(x.d, x.v)


def bare(b, x):
    """Two float operators without quantisation between them."""
    name, v = b.float_op(b.pick("Relu", "Sigmoid", "Tanh", "Neg"), [x.d], [x.v])[0]
    return b.op(b.pick("Abs", "Sigmoid", "LeakyRelu"), [name], [v])


def identity(b, x):
    name = b.name("f")
    b.nodes.append(N("Identity", [x.d], [name]))
    b.tags.append("Identity")
    return b.quantise(name, x.v, like=x)


OPS = [unary, unary, clip, with_number, per_channel, binary, binary, silu, gelu, compare, where, requantise, bare,
       identity]
