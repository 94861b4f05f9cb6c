"""Data movement."""
import numpy as np

from .builder import N, Skip, Tensor, f32


def other(b, shape):
    """A second tensor: another graph input or a quantised constant with other parameters."""
    if b.chance(0.5) and len(b.inputs) < 3:
        return b.input(tuple(shape))
    d, s, z = b.name("k"), f32(10 ** b.r.uniform(-2.5, -1)), b.zero()
    info = np.iinfo(b.t)
    raw = b.r.integers(info.min, info.max + 1, shape).astype(b.t)
    i = b.const(raw, "k")
    b.nodes.append(N("DequantizeLinear", [i, b.const(s), b.const(b.t(z))], [d]))
    return Tensor(i, d, s, z, b.t, [(raw.astype(f32) - f32(z)) * s] * b.SAMPLES)


def factors(b, total, parts):
    shape = []
    for _ in range(parts - 1):
        f = int(b.r.choice([d for d in range(1, total + 1) if total % d == 0]))
        shape.append(f)
        total //= f
    return [*shape, total]


def reshape(b, x):
    shape = [x.shape[0], *factors(b, int(np.prod(x.shape[1:])), b.pick(1, 2, 2, 3, 3))]
    if b.chance(0.4):
        shape[int(b.r.integers(0, len(shape)))] = -1
    if b.chance(0.2):
        return dynamic_reshape(b, x, shape[1:] if -1 not in shape else [-1])
    return b.move("Reshape", x, [shape])


def dynamic_reshape(b, x, rest):
    """The target is computed from the shape of the data, as exporters write it."""
    (shape, _), = b.float_op("Shape", [x.d], [x.v])
    first, target = b.name("n"), b.name("n")
    b.nodes += [N("Gather", [shape, b.ints([0])], [first], axis=0),
                N("Concat", [first, b.ints(rest)], [target], axis=0)]
    value = np.array([x.shape[0], *rest], np.int64)
    b.tags.append("dynamic-reshape")
    return b.op("Reshape", [x.d, target], [x.v, value], like=x)


def flatten(b, x):
    return b.move("Flatten", x, axis=int(b.r.integers(0, len(x.shape) + 1)) if b.chance(0.3) else 1)


def transpose(b, x):
    order = b.r.permutation(len(x.shape)) if b.chance(0.4) else [0, *(1 + b.r.permutation(len(x.shape) - 1))]
    return b.move("Transpose", x, perm=[int(p) for p in order])


def axes_op(b, op, x, axes):
    return b.move(op, x, [axes]) if b.opset >= 13 else b.move(op, x, axes=axes)


def squeeze(b, x):
    ones = [i for i, d in enumerate(x.shape) if d == 1 and i]
    if not ones or len(x.shape) < 3:
        return axes_op(b, "Unsqueeze", x, [int(b.r.integers(0, len(x.shape) + 1))])
    return axes_op(b, "Squeeze", x, [b.pick(*ones)])


def concat(b, x):
    axis = int(b.r.integers(0 if b.chance(0.2) else 1, len(x.shape)))
    shape = list(x.shape)
    shape[axis] = int(b.r.integers(1, 4))
    parts = [x, other(b, shape)]
    if b.chance(0.3) and b.forks:
        parts.append(x)
    if b.chance(0.5):
        parts = parts[::-1]
    like = x if b.chance(0.5) else None
    return b.op("Concat", [p.d for p in parts], [p.v for p in parts], like=like, axis=axis)


def slice_(b, x):
    axis = int(b.r.integers(0, len(x.shape)))
    step = b.pick(1, 1, 2, -1, -2)
    n = x.shape[axis]
    start, end = (int(b.r.integers(0, n)), b.pick(n, 2**31, -1 if n > 2 else n)) if step > 0 else (b.pick(n - 1, -1), -2**31)
    if b.chance(0.3):
        axis -= len(x.shape)
    return b.move("Slice", x, [[start], [end], [axis], [step]])


def split(b, x):
    """Two halves; one goes on, the other becomes an output or joins again."""
    axis = int(b.r.integers(0, len(x.shape)))
    n = x.shape[axis]
    if n < 2:
        raise Skip
    at = int(b.r.integers(1, n))
    if b.opset >= 13:
        operands, values, attrs = [x.d, b.ints([at, n - at])], [x.v, np.array([at, n - at])], {}
    else:
        operands, values, attrs = [x.d], [x.v], {"split": [at, n - at]}
    parts = b.float_op("Split", operands, values, outputs=2, axis=axis, **attrs)
    first, second = (b.quantise(name, v, like=x) for name, v in parts)
    if b.chance(0.5):
        b.finish(second)
        return first
    return b.op("Concat", [second.d, first.d], [second.v, first.v], like=x, axis=axis)


def gather(b, x):
    axis = int(b.r.integers(0, len(x.shape)))
    n = x.shape[axis]
    indices = b.r.integers(-n, n, b.pick((), (1,), (3,), (2, 2)))
    value = np.array(indices, np.int64)
    return b.op("Gather", [x.d, b.const(value)], [x.v, value], like=x if b.chance(0.9) else None, axis=axis)


def gather_elements(b, x):
    axis = int(b.r.integers(0, len(x.shape)))
    shape = list(x.shape)
    shape[axis] = int(b.r.integers(1, 4))
    value = b.r.integers(-x.shape[axis], x.shape[axis], shape)
    if b.opset < 11:
        raise Skip
    return b.op("GatherElements", [x.d, b.const(value)], [x.v, value], like=x, axis=axis)


def pad(b, x):
    pads = [int(v) if b.chance(0.6) else 0 for v in b.r.integers(0, 3, 2 * len(x.shape))]
    pads[0] = pads[len(x.shape)] = 0
    mode = b.pick("constant", "constant", "edge", "reflect")
    if mode == "reflect":
        pads = [min(p, x.shape[i % len(x.shape)] - 1) for i, p in enumerate(pads)]
    if b.opset < 11:
        return b.op("Pad", [x.d], [x.v], like=x, pads=pads, mode=mode)
    value = f32(0 if b.chance(0.7) else b.r.uniform(-1, 1))
    operands, values = [x.d, b.ints(pads)], [x.v, np.array(pads, np.int64)]
    if mode == "constant":
        operands.append(b.const(value))
        values.append(value)
    b.tags.append("pad-" + mode)
    return b.op("Pad", operands, values, like=x if b.chance(0.8) else None, mode=mode)


def tile(b, x):
    return b.move("Tile", x, [[int(v) if b.chance(0.5) else 1 for v in b.r.integers(1, 4, len(x.shape))]])


def expand(b, x):
    shape = [int(b.r.integers(1, 4)) if d == 1 and b.chance(0.7) else b.pick(1, d) for d in x.shape]
    return b.move("Expand", x, [[b.pick(1, 2), *shape] if b.chance(0.3) and len(shape) < 5 else shape])


def resize(b, x):
    if len(x.shape) != 4 or b.opset < 11:
        raise Skip
    scales = np.array([1, 1, b.pick(1, 2, 3, 0.5, 1.5), b.pick(1, 2, 2, 2.5)], f32)
    attrs = {"mode": "nearest", "coordinate_transformation_mode": b.pick("asymmetric", "half_pixel", "align_corners"),
             "nearest_mode": b.pick("floor", "round_prefer_floor", "ceil", "round_prefer_ceil")}
    roi = "" if b.opset >= 13 else b.const(np.zeros(0, f32))
    value = None if b.opset >= 13 else np.zeros(0, f32)
    if b.chance(0.3):
        sizes = np.array([*x.shape[:2], *b.r.integers(1, 9, 2)], np.int64)
        if b.opset < 13:
            raise Skip
        return b.op("Resize", [x.d, "", "", b.const(sizes)], [x.v, None, None, sizes], like=x, **attrs)
    return b.op("Resize", [x.d, roi, b.const(scales)], [x.v, value, scales], like=x, **attrs)


def depth_space(b, x):
    if len(x.shape) != 4:
        raise Skip
    if x.shape[1] % 4 == 0 and b.opset >= 11:
        return b.move("DepthToSpace", x, blocksize=2, mode=b.pick("DCR", "CRD"))
    return b.move("SpaceToDepth", x, blocksize=2)


OPS = [reshape, flatten, transpose, squeeze, concat, concat, slice_, split, gather, gather_elements, pad, tile, expand,
       resize, depth_space]
