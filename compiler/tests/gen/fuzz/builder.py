"""A random quantised graph in Q/DQ form under construction.

Every tensor carries its float values on the samples, computed by the runtime one operator at a time, so that shapes are
always right and scales can be chosen from the range, as a calibrating quantiser does.
"""
import numpy as np
import onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

f32 = np.float32
N = h.make_node
MICROSOFT = "com.microsoft"


class Skip(Exception):
    """This operator does not fit here; the builder takes another one."""


class Tensor:
    """An 8-bit tensor: integer name `i`, dequantised name `d`, scale, zero point, type, values per sample."""

    def __init__(self, i, d, s, z, t, v):
        self.i, self.d, self.s, self.z, self.t, self.v = i, d, f32(s), int(z), t, v
        self.shape = tuple(v[0].shape)


def session(model):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def evaluate(op, operands, attrs, opset, outputs=1, domain=""):
    """The outputs of one operator on concrete operands (None: absent)."""
    names = [f"i{k}" if o is not None else "" for k, o in enumerate(operands)]
    feeds = {n: np.asarray(o) for n, o in zip(names, operands) if n}
    ports = [h.make_tensor_value_info(n, h.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in feeds.items()]
    outs = [f"o{k}" for k in range(outputs)]
    graph = h.make_graph([N(op, names, outs, domain=domain, **attrs)], "g", ports,
                         [h.ValueInfoProto(name=o) for o in outs])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", opset), h.make_opsetid(MICROSOFT, 1)], ir_version=8)
    try:
        return session(model).run(None, feeds)
    except Exception as error:
        raise Skip(str(error)[:200]) from error


class Builder:
    SAMPLES = 2

    def __init__(self, seed):
        r = self.r = np.random.default_rng(seed)
        self.opset = int(r.choice([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22]))
        if r.random() < 0.5:
            self.opset = int(r.choice([13, 17, 18, 21, 22]))
        self.t = np.int8 if r.random() < 0.12 else np.uint8
        self.wt = np.uint8 if r.random() < 0.15 else np.int8
        self.nodes, self.inits, self.tags, self.count = [], [], [], 0
        self.inputs, self.outputs, self.feeds = [], [], {}
        self.forks = self.t == np.uint8

    # names and constants ---------------------------------------------------
    def name(self, base):
        self.count += 1
        return f"{base}{self.count}"

    def const(self, value, base="c"):
        name = self.name(base)
        self.inits.append(nh.from_array(np.asarray(value), name))
        return name

    def ints(self, values):
        return self.const(np.array(values, np.int64), "n")

    def chance(self, p):
        return self.r.random() < p

    def pick(self, *items):
        return items[int(self.r.integers(0, len(items)))]

    def zero(self, t=None):
        info = np.iinfo(t or self.t)
        u = self.r.random()
        return int(info.min if u < 0.3 else info.min + 128 if u < 0.5 else self.r.integers(info.min, info.max + 1))

    # graph inputs ----------------------------------------------------------
    def input(self, shape, s=None):
        """A graph input: float with QuantizeLinear, or 8-bit."""
        r, t = self.r, self.t
        name = f"x{len(self.inputs)}"
        s, z = f32(s or 10 ** r.uniform(-2.5, -1)), self.zero()
        declared = ("N", *shape[1:]) if shape and shape[0] == 1 and self.chance(0.3) else shape
        params = [self.const(s), self.const(t(z))]
        d = self.name("d")
        info = np.iinfo(t)
        raw = [r.integers(info.min, info.max + 1, shape).astype(t) for _ in range(self.SAMPLES)]
        if self.chance(0.7) or t == np.int8:
            q = self.name("q")
            self.inputs.append(h.make_tensor_value_info(name, T.FLOAT, declared))
            noise = [r.uniform(-0.7, 0.7, shape) for _ in raw]
            self.feeds[name] = np.stack([((x.astype(f32) - z + n) * s).astype(f32) for x, n in zip(raw, noise)])
            self.nodes += [N("QuantizeLinear", [name, *params], [q]), N("DequantizeLinear", [q, *params], [d])]
        else:
            q = name
            self.inputs.append(h.make_tensor_value_info(name, h.np_dtype_to_tensor_dtype(np.dtype(t)), declared))
            self.feeds[name] = np.stack(raw)
            self.nodes.append(N("DequantizeLinear", [q, *params], [d]))
        return Tensor(q, d, s, z, t, [(x.astype(f32) - f32(z)) * s for x in raw])

    # quantisation ----------------------------------------------------------
    def quantise(self, name, values, s=None, z=None, like=None):
        """QuantizeLinear and DequantizeLinear after the float tensor `name`."""
        r, t = self.r, self.t
        if like is not None:
            s, z, t = like.s, like.z, like.t
        if s is None:
            low, high = min(float(np.min(values)), 0), max(float(np.max(values)), 0)
            s = f32((high - low) / 255 * r.uniform(0.6, 1.3) or 0.01)
            if not np.isfinite(s) or s < 1e-30:
                s = f32(0.01)
            if z is None:
                z = int(np.clip(np.rint(np.iinfo(t).min - low / s), np.iinfo(t).min, np.iinfo(t).max))
                z = self.zero() if self.chance(0.15) else z
        if self.chance(0.05) and like is None:
            s = f32(2.0 ** np.rint(np.log2(s)))
        params = [self.const(f32(s)), self.const(t(z))]
        q, d = self.name("q"), self.name("d")
        self.nodes += [N("QuantizeLinear", [name, *params], [q]), N("DequantizeLinear", [q, *params], [d])]
        info = np.iinfo(t)
        raw = [np.clip(np.rint(v / f32(s)), info.min - z, info.max - z).astype(f32) for v in values]
        return Tensor(q, d, s, z, t, [x * f32(s) for x in raw])

    def float_op(self, op, operands, values, outputs=1, domain="", **attrs):
        """A float node; `operands` are names, `values` per operand a list per sample or one constant."""
        attrs = {k: v for k, v in attrs.items() if v is not None}
        def at(v, k):
            return v[k] if isinstance(v, list) else v
        results = [evaluate(op, [at(v, k) for v in values], attrs, self.opset, outputs, domain)
                   for k in range(self.SAMPLES)]
        if any(a.size == 0 or a.size > 20000 or a.ndim > 6 for a in results[0]):
            raise Skip("size")
        names = [self.name("f") for _ in range(outputs)]
        self.nodes.append(N(op, operands, names, domain=domain, **attrs))
        self.tags.append(op)
        return [(n, [row[k] for row in results]) for k, n in enumerate(names)]

    def op(self, op, operands, values, like=None, domain="", s=None, z=None, **attrs):
        """A float node with one output, quantised."""
        (name, v), = self.float_op(op, operands, values, domain=domain, **attrs)
        return self.quantise(name, v, s, z, like)

    def move(self, op, x, constants=(), **attrs):
        """Data movement of one tensor: same parameters, sometimes others."""
        names = [self.ints(c) if isinstance(c, list) else self.const(c) for c in constants]
        values = [np.array(c, np.int64) if isinstance(c, list) else c for c in constants]
        like = x if self.chance(0.9) else None
        return self.op(op, [x.d, *names], [x.v, *values], like=like, **attrs)

    def output(self, name, kind):
        self.outputs.append(h.ValueInfoProto(name=name) if kind is None else h.make_tensor_value_info(name, kind, None))

    def finish(self, x):
        """Declares the last tensor an output, as float or as integers."""
        if self.chance(0.7) or x.i in self.feeds:
            self.output(x.d, T.FLOAT)
        else:
            self.output(x.i, h.np_dtype_to_tensor_dtype(np.dtype(x.t)))

    def model(self):
        graph = h.make_graph(self.nodes, "g", self.inputs, self.outputs, self.inits)
        opsets = [h.make_opsetid("", self.opset), h.make_opsetid(MICROSOFT, 1)]
        return h.make_model(graph, opset_imports=opsets, ir_version=8 if self.opset < 19 else 10)
