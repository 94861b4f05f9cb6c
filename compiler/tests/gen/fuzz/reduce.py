"""Pooling, reductions, normalisations and selections along an axis."""
import numpy as np
from onnx import TensorProto as T

from .builder import Skip, f32
from .linear import window


def max_pool(b, x):
    if not 3 <= len(x.shape) <= 5:
        raise Skip
    attrs = window(b, x.shape[2:], pool=True)
    return b.op("MaxPool", [x.d], [x.v], like=x if b.chance(0.9) else None, ceil_mode=int(b.chance(0.3)), **attrs)


def average_pool(b, x):
    if not 3 <= len(x.shape) <= 5:
        raise Skip
    attrs = window(b, x.shape[2:], pool=True)
    if b.chance(0.15):
        attrs = {"kernel_shape": list(x.shape[2:])}
    b.tags.append("average-even" if all(k % 2 == 0 for k in attrs["kernel_shape"]) else "average-odd")
    return b.op("AveragePool", [x.d], [x.v], like=x if b.chance(0.3) else None, ceil_mode=int(b.chance(0.2)),
                count_include_pad=int(b.chance(0.4)), **attrs)


def global_pool(b, x):
    if not 3 <= len(x.shape) <= 5:
        raise Skip
    op = b.pick("GlobalAveragePool", "GlobalAveragePool", "GlobalMaxPool")
    return b.op(op, [x.d], [x.v], like=x if op == "GlobalMaxPool" else None)


def reduce(b, x):
    op = b.pick("ReduceMean", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")
    axes = sorted(int(a) for a in b.r.choice(len(x.shape), int(b.r.integers(1, min(3, len(x.shape)) + 1)), replace=False))
    if b.chance(0.4):
        axes = [len(x.shape) - 1]
    if len(axes) == len(x.shape):
        axes = axes[1:]
    axes = [a - len(x.shape) if b.chance(0.3) else a for a in axes]
    keep = int(b.chance(0.5)) if len(x.shape) - len(axes) > 1 else 1
    like = x if op in ("ReduceMax", "ReduceMin") else None
    if b.opset >= (13 if op == "ReduceSum" else 18):
        return b.op(op, [x.d, b.ints(axes)], [x.v, np.array(axes, np.int64)], like=like, keepdims=keep)
    return b.op(op, [x.d], [x.v], like=like, axes=axes, keepdims=keep)


def softmax(b, x):
    axis = -1 if b.chance(0.7) else int(b.r.integers(0, len(x.shape)))
    b.tags.append("softmax-last" if axis in (-1, len(x.shape) - 1) else "softmax-inner")
    s = b.pick(f32(1 / 255), f32(1 / 256), None)
    return b.op("Softmax", [x.d], [x.v], s=s, z=np.iinfo(b.t).min if s else None, axis=axis)


def layer_norm(b, x):
    if b.opset < 17 or len(x.shape) < 2 or x.shape[-1] < 2:
        raise Skip
    n = x.shape[-1]
    scale, shift = b.r.uniform(0.5, 1.5, n).astype(f32), b.r.normal(0, 0.5, n).astype(f32)
    operands, values = [x.d, b.const(scale)], [x.v, scale]
    if b.chance(0.8):
        operands.append(b.const(shift))
        values.append(shift)
    b.tags.append(f"norm-width-{'8n' if n % 8 == 0 else 'other'}")
    return b.op("LayerNormalization", operands, values, axis=-1, epsilon=b.pick(1e-5, 1e-12))


def rms_norm(b, x):
    """The runtime's SimplifiedLayerNormalization."""
    if len(x.shape) < 2 or x.shape[-1] < 2:
        raise Skip
    scale = b.r.uniform(0.5, 1.5, x.shape[-1]).astype(f32)
    return b.op("SimplifiedLayerNormalization", [x.d, b.const(scale)], [x.v, scale], axis=-1, epsilon=1e-5,
                stash_type=1)


def arg_max(b, x):
    """An int64 output beside the rest of the graph."""
    if b.outputs:
        raise Skip
    axis = int(b.r.integers(0, len(x.shape)))
    attrs = {"select_last_index": int(b.chance(0.3))} if b.opset >= 12 else {}
    (name, _), = b.float_op(b.pick("ArgMax", "ArgMin"), [x.d], [x.v], axis=axis, keepdims=int(b.chance(0.5)), **attrs)
    b.output(name, T.INT64)
    return x


def top_k(b, x):
    axis = int(b.r.integers(0, len(x.shape)))
    k = np.array([int(b.r.integers(1, x.shape[axis] + 1))], np.int64)
    attrs = {"largest": int(b.chance(0.7)), "sorted": 1} if b.opset >= 11 else {}
    (name, v), (indices, _) = b.float_op("TopK", [x.d, b.const(k)], [x.v, k], outputs=2, axis=axis, **attrs)
    if b.chance(0.5):
        b.output(indices, T.INT64)
    return b.quantise(name, v, like=x)


OPS = [max_pool, average_pool, average_pool, global_pool, reduce, reduce, softmax, layer_norm, rms_norm, arg_max, top_k]
