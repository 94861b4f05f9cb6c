"""Random quantised graphs with ONNX Runtime's outputs, as fixtures for tests/differential.rs.

usage: random_graphs.py OUT COUNT [SEED]      (needs numpy, onnx, onnxruntime 1.31.1)

Each graph goes to OUT/NAME/{model.onnx,inputs.npz,ort_outputs.npz}. Graphs mix Q/DQ and QOperator form, u8 and s8
activations and weights, per-tensor and per-channel scales, and every supported operator.
"""
import os
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

f32 = np.float32
N = h.make_node


class Tensor:
    """An 8-bit tensor: `i` integer name, `f` dequantised name (Q/DQ form), shape, scale, zero point, type."""

    def __init__(self, i, f, shape, s, z, t):
        self.i, self.f, self.shape, self.s, self.z, self.t = i, f, tuple(shape), f32(s), z, t


class Builder:
    def __init__(self, seed):
        self.r = np.random.default_rng(seed)
        r = self.r
        self.qdq = r.random() < 0.65
        self.t = np.int8 if r.random() < 0.25 else np.uint8
        self.wt = np.uint8 if r.random() < 0.2 else np.int8
        self.opset = int(r.choice([11, 12, 13, 15, 17, 18, 19, 21, 22]))
        if self.opset < 13 and self.qdq:
            self.per_channel_ok = False
        else:
            self.per_channel_ok = True
        self.nodes, self.inits, self.k, self.tags = [], [], 0, []
        self.fork = r.random() < 0.4 and not (self.qdq and self.t == np.int8)
        self.sparse_q = self.qdq and r.random() < 0.3  # leave out Q/DQ around data movement

    def name(self, base):
        self.k += 1
        return f"{base}{self.k}"

    def const(self, base, v):
        n = self.name(base)
        self.inits.append(nh.from_array(np.asarray(v), n))
        return n

    def qparams(self, s, z, t):
        return [self.const("s", f32(s)), self.const("z", t(z))]

    def zero(self):
        ii = np.iinfo(self.t)
        u = self.r.random()
        return int(ii.min if u < 0.35 else (ii.min + 128 if u < 0.5 else self.r.integers(ii.min, ii.max + 1)))

    def quantise(self, floating, shape, s, z, t=None):
        t = t or self.t
        p = self.qparams(s, z, t)
        q, d = self.name("q"), self.name("d")
        self.nodes += [N("QuantizeLinear", [floating] + p, [q])]
        if self.qdq:
            self.nodes += [N("DequantizeLinear", [q] + p, [d])]
        return Tensor(q, d, shape, s, z, t)

    # weights -------------------------------------------------------------
    def weights(self, shape, axis):
        r = self.r
        lo, hi = (-127, 128) if self.wt == np.int8 else (0, 256)
        w = r.integers(lo, hi, shape).astype(self.wt)
        if r.random() < 0.3:
            w = np.clip(np.rint(r.normal(0 if self.wt == np.int8 else 128, 30, shape)), lo, hi - 1).astype(self.wt)
        per_channel = self.per_channel_ok and r.random() < 0.5
        n = shape[axis]
        s = (10 ** r.uniform(-3, -1.5, n if per_channel else ())).astype(f32)
        if r.random() < 0.1:
            s = (2.0 ** np.rint(np.log2(s))).astype(f32)
        zmid = 0 if self.wt == np.int8 else 128
        z = np.full(s.shape, zmid, self.wt)
        if r.random() < 0.25:
            z = r.integers(lo, hi, s.shape).astype(self.wt)
        return w, s, z

    def dq_weights(self, w, s, z, axis):
        d = self.name("wd")
        if len(w.shape) == 2 and self.r.random() < 0.2:
            self.tags.append("transposed-weights")
            kw = {"axis": 1 - axis} if s.shape else {}
            ins = [self.const("w", np.ascontiguousarray(w.T)), self.const("ws", s), self.const("wz", z)]
            self.nodes.append(N("DequantizeLinear", ins, [d + "t"], **kw))
            self.nodes.append(N("Transpose", [d + "t"], [d], perm=[1, 0]))
            return d
        kw = {"axis": axis} if s.shape else {}
        self.nodes.append(N("DequantizeLinear", [self.const("w", w), self.const("ws", s), self.const("wz", z)], [d], **kw))
        return d

    def bias(self, n, x, s, z, w, axis, fan):
        """int32 bias and its scale, sized like the accumulator."""
        if self.r.random() < 0.25:
            return None
        return (self.r.normal(0, 1, n) * 40 * np.sqrt(fan) * 30).astype(np.int32)

    def out_scale(self, x, s, fan):
        m = float(np.max(s))
        return f32(float(x.s) * m * np.sqrt(fan) * 70 * 60 / 60 * self.r.uniform(0.3, 2))

    def finish(self, op, inputs, attrs, shape, s, extra=None):
        """A float operator with its QuantizeLinear, sometimes with a redundant activation between."""
        out = self.name("f")
        self.nodes.append(N(op, inputs, [out], **attrs))
        z = self.zero()
        if self.r.random() < 0.3 and op not in ("Add",):
            ii = np.iinfo(self.t)
            if self.r.random() < 0.5:
                z = ii.min
                o2 = self.name("f")
                self.nodes.append(N("Relu", [out], [o2]))
                out = o2
                self.tags.append("relu")
            elif self.opset >= 11:
                z = ii.min
                hi = f32(f32(s) * 255)
                o2 = self.name("f")
                self.nodes.append(N("Clip", [out, self.const("c", f32(0)), self.const("c", np.nextafter(hi, f32(1e9)))], [o2]))
                out = o2
                self.tags.append("clip")
        if self.sparse_q and self.r.random() < 0.3 and len(shape) == 4 and shape[2] > 2 and shape[3] > 2 and self.opset >= 12:
            o2 = self.name("f")
            self.nodes.append(N("MaxPool", [out], [o2], kernel_shape=[2, 2]))
            out, shape = o2, (*shape[:2], shape[2] - 1, shape[3] - 1)
            self.tags.append("pool-before-q")
        return self.quantise(out, shape, s, z)

    def windows(self, spatial, pool=False):
        r = self.r
        k = [int(r.integers(1, min(4, d) + 1)) for d in spatial]
        st = [int(r.integers(1, 3)) for _ in spatial]
        dl = [int(r.integers(1, 3)) if (kk - 1) * 2 + 1 <= d else 1 for kk, d in zip(k, spatial)]
        attrs = {"strides": st, "dilations": dl}
        ext = [(kk - 1) * d + 1 for kk, d in zip(k, dl)]
        u = r.random()
        if u < 0.3:
            attrs["auto_pad"] = str(r.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
            if pool or attrs["auto_pad"] != "VALID":
                attrs["dilations"] = dl = [1] * len(k)
                ext = k
            self.tags.append(attrs["auto_pad"])
        elif u < 0.75:
            cap = [kk - 1 if pool else e for kk, e in zip(k, ext)]
            attrs["pads"] = [int(r.integers(0, c + 1)) for c in cap] + [int(r.integers(0, c + 1)) for c in cap]
            if len(set(attrs["pads"])) > 1:
                self.tags.append("asympad")
        return k, attrs

    def infer(self, op, shape_in, k, attrs, channels=None):
        """Output spatial shape, from onnxruntime itself."""
        g_in = [h.make_tensor_value_info("x", T.FLOAT, shape_in)]
        inits, ins = [], ["x"]
        if op == "Conv":
            inits = [nh.from_array(np.zeros((channels, shape_in[1] // attrs.get("group", 1), *k), f32), "w")]
            ins.append("w")
            attrs = dict(attrs)
        else:
            attrs = dict(attrs, kernel_shape=k)
        g = h.make_graph([N(op, ins, ["y"], **attrs)], "g", g_in, [h.make_tensor_value_info("y", T.FLOAT, None)], inits)
        m = h.make_model(g, opset_imports=[h.make_opsetid("", self.opset)], ir_version=8)
        try:
            return session(m).run(None, {"x": np.zeros(shape_in, f32)})[0].shape
        except Exception:
            return None

    # operators -----------------------------------------------------------
    def conv(self, x):
        r = self.r
        if len(x.shape) < 3:
            return None
        spatial = x.shape[2:]
        c = x.shape[1]
        g = int(r.choice([d for d in range(1, c + 1) if c % d == 0]))
        m = g * int(r.integers(1, 4))
        if m > 12:
            return None
        k, attrs = self.windows(spatial)
        attrs["group"] = g
        shape = self.infer("Conv", x.shape, k, attrs, m)
        if shape is None or min(shape) < 1:
            return None
        w, s, z = self.weights((m, c // g, *k), 0)
        fan = c // g * int(np.prod(k))
        b = self.bias(m, x, s, z, w, 0, fan)
        sy = self.out_scale(x, s, fan)
        self.tags.append(f"conv{len(k)}d" + ("-group" if g > 1 else ""))
        if self.qdq:
            ins = [x.f, self.dq_weights(w, s, z, 0)] + self.dq_bias(b, x, s)
            return self.finish("Conv", ins, attrs, shape, sy)
        zy = self.zero()
        py = self.qparams(sy, zy, self.t)
        out = self.name("q")
        ins = [x.i, *self.qparams(x.s, x.z, x.t), self.const("w", w), self.const("ws", s), self.const("wz", z), *py]
        if b is not None:
            ins.append(self.const("b", b))
        self.nodes.append(N("QLinearConv", ins, [out], **attrs))
        return Tensor(out, None, shape, sy, zy, self.t)

    def dq_bias(self, b, x, s, alpha=1.0):
        if b is None:
            return []
        scale = (f32(x.s) * s).astype(f32)
        if self.r.random() < 0.15:
            self.tags.append("float-bias")
            return [self.const("bf", (b * scale * self.r.uniform(0.9, 1.1, b.shape)).astype(f32))]
        d = self.name("bd")
        zp = [self.const("bz", np.zeros(scale.shape, np.int32))] if self.r.random() < 0.7 else []
        kw = {"axis": 0} if scale.shape else {}
        self.nodes.append(N("DequantizeLinear", [self.const("b", b), self.const("bs", scale)] + zp, [d], **kw))
        return [d]

    def gemm(self, x):
        r = self.r
        if len(x.shape) != 2:
            x = self.flatten(x)
        k, n = x.shape[1], int(r.integers(1, 9))
        trans = int(r.random() < 0.5)
        alpha = 1.0 if r.random() < 0.8 else float(f32(r.uniform(0.3, 2)))
        w, s, z = self.weights((n, k) if trans else (k, n), 0 if trans else 1)
        b = self.bias(n, x, s, z, w, 0, k)
        if alpha != 1.0 and self.qdq:
            b = None
        sy = f32(self.out_scale(x, s, k) * f32(alpha))
        attrs = {"transB": trans, "alpha": alpha}
        self.tags.append("gemm" + ("-alpha" if alpha != 1 else ""))
        if self.qdq:
            ins = [x.f, self.dq_weights(w, s, z, 0 if trans else 1)] + self.dq_bias(b, x, s)
            return self.finish("Gemm", ins, attrs, (x.shape[0], n), sy)
        zy = self.zero()
        out = self.name("q")
        ins = [x.i, *self.qparams(x.s, x.z, x.t), self.const("w", w), self.const("ws", s), self.const("wz", z),
               self.const("b", b) if b is not None else "", *self.qparams(sy, zy, self.t)]
        self.nodes.append(N("QGemm", ins, [out], domain="com.microsoft", **attrs))
        return Tensor(out, None, (x.shape[0], n), sy, zy, self.t)

    def matmul(self, x):
        r = self.r
        if len(x.shape) > 3:
            x = self.reshape(x, (x.shape[0], x.shape[1], int(np.prod(x.shape[2:]))))
        k, n = x.shape[-1], int(r.integers(1, 9))
        w, s, z = self.weights((k, n), 1)
        sy = self.out_scale(x, s, k)
        shape = (*x.shape[:-1], n)
        self.tags.append(f"matmul{len(x.shape)}")
        if self.qdq:
            d = self.dq_weights(w, s, z, 1)
            b = self.bias(n, x, s, z, w, 0, k)
            if b is not None and r.random() < 0.5:
                out = self.name("m")
                self.nodes.append(N("MatMul", [x.f, d], [out]))
                self.tags.append("matmul-add")
                ins = [out] + self.dq_bias(b, x, s)
                return self.finish("Add", ins if r.random() < 0.7 else ins[::-1], {}, shape, sy)
            return self.finish("MatMul", [x.f, d], {}, shape, sy)
        zy = self.zero()
        out = self.name("q")
        ins = [x.i, *self.qparams(x.s, x.z, x.t), self.const("w", w), self.const("ws", s), self.const("wz", z),
               *self.qparams(sy, zy, self.t)]
        self.nodes.append(N("QLinearMatMul", ins, [out]))
        return Tensor(out, None, shape, sy, zy, self.t)

    def same_domain(self, x, op, extra, attrs, shape):
        """Data movement or MaxPool: keeps the parameters (or, in Q/DQ form, sometimes changes them)."""
        out = self.name("f")
        if self.qdq:
            self.nodes.append(N(op, [x.f] + extra, [out], **attrs))
            if self.sparse_q and self.r.random() < 0.6 and (op != "Flatten") and not (op == "MaxPool" and self.opset < 12):
                self.tags.append("bare-" + op.lower())
                return Tensor(None, out, shape, x.s, x.z, x.t)
            if self.r.random() < 0.15:
                self.tags.append("requant-" + op.lower())
                return self.quantise(out, shape, f32(x.s * f32(self.r.uniform(0.5, 2))), self.zero())
            return self.quantise(out, shape, x.s, x.z)
        self.nodes.append(N(op, [x.i] + extra, [out], **attrs))
        return Tensor(out, None, shape, x.s, x.z, x.t)

    def flatten(self, x):
        self.tags.append("flatten")
        return self.same_domain(x, "Flatten", [], {}, (x.shape[0], int(np.prod(x.shape[1:]))))

    def reshape(self, x, shape):
        self.tags.append("reshape")
        target = list(shape)
        if self.r.random() < 0.5:
            target[int(self.r.integers(0, len(target)))] = -1
        return self.same_domain(x, "Reshape", [self.const("shape", np.array(target, np.int64))], {}, shape)

    def transpose(self, x):
        p = [0] + [int(v) + 1 for v in self.r.permutation(len(x.shape) - 1)]
        self.tags.append("transpose")
        return self.same_domain(x, "Transpose", [], {"perm": p}, [x.shape[i] for i in p])

    def unsqueeze(self, x):
        if len(x.shape) > 4:
            return None
        at = int(self.r.integers(1, len(x.shape) + 1))
        shape = list(x.shape)
        shape.insert(at, 1)
        self.tags.append("unsqueeze")
        extra, attrs = ([self.const("ax", np.array([at], np.int64))], {}) if self.opset >= 13 else ([], {"axes": [at]})
        y = self.same_domain(x, "Unsqueeze", extra, attrs, shape)
        extra, attrs = ([self.const("ax", np.array([at], np.int64))], {}) if self.opset >= 13 else ([], {"axes": [at]})
        return y if self.r.random() < 0.4 else self.same_domain(y, "Squeeze", extra, attrs, x.shape)

    def maxpool(self, x):
        if not 3 <= len(x.shape) <= 5 or (self.opset < 12 and not self.qdq):
            return None
        k, attrs = self.windows(x.shape[2:], pool=True)
        attrs["ceil_mode"] = int(self.r.random() < 0.4)
        shape = self.infer("MaxPool", x.shape, k, attrs)
        if shape is None or min(shape) < 1:
            return None
        self.tags.append("maxpool" + ("-ceil" if attrs["ceil_mode"] else ""))
        return self.same_domain(x, "MaxPool", [], dict(attrs, kernel_shape=k), shape)

    def gap(self, x):
        if not 3 <= len(x.shape) <= 5:
            return None
        shape = (*x.shape[:2], *[1] * (len(x.shape) - 2))
        s = f32(x.s * f32(self.r.uniform(0.3, 1.2)))
        self.tags.append("gap")
        if self.qdq:
            if self.r.random() < 0.3 and len(x.shape) == 4:
                self.tags.append("avgpool-whole")
                return self.finish("AveragePool", [x.f], {"kernel_shape": list(x.shape[2:])}, shape, s)
            return self.finish("GlobalAveragePool", [x.f], {}, shape, s)
        zy, out = self.zero(), self.name("q")
        ins = [x.i, *self.qparams(x.s, x.z, x.t), *self.qparams(s, zy, self.t)]
        self.nodes.append(N("QLinearGlobalAveragePool", ins, [out], domain="com.microsoft", channels_last=0))
        return Tensor(out, None, shape, s, zy, self.t)

    def unary(self, x):
        r = self.r
        if self.qdq:
            ops = ["Sigmoid", "Tanh", "Relu", "LeakyRelu", "Clip", "HardSigmoid", "Elu", "Exp", "Erf", "Neg", "Abs", "Softplus"]
            ops += ["AddC", "MulC", "DivC", "SubC", "MulQ", "AddQ", "DivQ", "SubQ", "CMul", "CSub", "Requant"]
            ops += ["HardSwish"] if self.opset >= 14 else []
            ops += ["Gelu"] if self.opset >= 20 else []
        else:
            ops = ["Sigmoid", "LeakyRelu", "MulC", "AddC"]
        op = str(r.choice(ops))
        self.tags.append(op.lower())
        span = float(x.s) * 255
        if not self.qdq:
            s = f32(1 / 256 if op == "Sigmoid" else float(x.s) * r.uniform(0.5, 2))
            zy, out = self.zero(), self.name("q")
            if op in ("MulC", "AddC"):
                c = self.t(r.integers(np.iinfo(self.t).min, np.iinfo(self.t).max + 1))
                cs = r.uniform(0.001, 0.02)
                ins = [x.i, *self.qparams(x.s, x.z, x.t), self.const("k", c), *self.qparams(cs, self.zero(), self.t)]
                if r.random() < 0.3:
                    ins = ins[3:] + ins[:3]
                ins += self.qparams(s, zy, self.t)
                self.nodes.append(N("QLinearMul" if op == "MulC" else "QLinearAdd", ins, [out], domain="com.microsoft"))
            else:
                ins = [x.i, *self.qparams(x.s, x.z, x.t), *self.qparams(s, zy, self.t)]
                self.nodes.append(N("QLinear" + op, ins, [out], domain="com.microsoft"))
            return Tensor(out, None, x.shape, s, zy, self.t)
        out = self.name("f")
        shape = x.shape
        s = f32(span / 255 * r.uniform(0.4, 1.5))
        if op in ("Sigmoid", "Tanh", "Erf", "HardSigmoid"):
            s = f32(r.uniform(1 / 300, 1 / 120))
        c = f32(r.uniform(0.2, 3) * (1 if r.random() < 0.7 else -1))
        if op[-1] == "C":
            self.nodes.append(N(op[:-1], [x.f, self.const("k", c)], [out]))
        elif op[-1] == "Q":
            d = self.name("kd")
            t = self.t if r.random() < 0.8 else (np.int8 if self.t == np.uint8 else np.uint8)
            k = t(r.integers(np.iinfo(t).min + 1, np.iinfo(t).max + 1))
            if op == "DivQ" and k == 0:
                k = t(3)
            self.nodes.append(N("DequantizeLinear", [self.const("k", k), *self.qparams(abs(c) / 50, 0, t)], [d]))
            self.nodes.append(N(op[:-1], [x.f, d] if r.random() < 0.7 or op == "DivQ" else [d, x.f], [out]))
        elif op[0] == "C" and op != "Clip":
            self.nodes.append(N(op[1:], [self.const("k", c), x.f], [out]))
        elif op == "Clip":
            lo, hi = sorted(r.uniform(-span / 2, span / 2, 2))
            self.nodes.append(N("Clip", [x.f, self.const("k", f32(lo)), self.const("k", f32(hi))], [out]))
        elif op == "LeakyRelu":
            self.nodes.append(N(op, [x.f], [out], alpha=float(r.uniform(0.01, 0.5))))
        elif op == "Gelu":
            self.nodes.append(N(op, [x.f], [out], approximate=str(r.choice(["none", "tanh"]))))
        elif op == "Requant":
            self.nodes.append(N("Relu", [x.f], [out]))
        elif op == "Exp":
            tmp = self.name("f")
            self.nodes += [N("Mul", [x.f, self.const("k", f32(1 / span))], [tmp]), N("Exp", [tmp], [out])]
            s = f32(r.uniform(0.004, 0.02))
        else:
            self.nodes.append(N(op, [x.f], [out]))
        return self.quantise(out, shape, s, self.zero())

    def add(self, x, y):
        r = self.r
        s = f32(max(float(x.s), float(y.s)) * r.uniform(0.6, 2))
        shape = np.broadcast_shapes(x.shape, y.shape)
        self.tags.append("add" if x.shape == y.shape else "add-broadcast")
        if self.qdq:
            return self.finish("Add", [x.f, y.f], {}, shape, s)
        zy, out = self.zero(), self.name("q")
        ins = [x.i, *self.qparams(x.s, x.z, x.t), y.i, *self.qparams(y.s, y.z, y.t), *self.qparams(s, zy, self.t)]
        self.nodes.append(N("QLinearAdd", ins, [out], domain="com.microsoft"))
        return Tensor(out, None, shape, s, zy, self.t)

    def add_constant(self, x):
        r = self.r
        shape = [d if r.random() < 0.5 else 1 for d in x.shape]
        shape = shape[int(r.integers(0, len(shape))):]
        ii = np.iinfo(self.t)
        data = r.integers(ii.min, ii.max + 1, shape).astype(self.t)
        s, z = f32(x.s * f32(r.uniform(0.3, 1.5))), self.zero()
        self.tags.append("add-constant")
        if self.qdq:
            d = self.name("kd")
            self.nodes.append(N("DequantizeLinear", [self.const("k", data), *self.qparams(s, z, self.t)], [d]))
            return self.add(x, Tensor(None, d, shape, s, z, self.t))
        return self.add(x, Tensor(self.const("k", data), None, shape, s, z, self.t))

    def residual(self, x):
        """x + f(x) with f of the same shape, or with a broadcast branch."""
        u = self.r.random()
        if u < 0.1 and self.qdq:
            # Two branches on one DequantizeLinear, one of them behind a movement without Q/DQ.
            k = x.shape[-1]
            w, s, z = self.weights((k, k), 1)
            out = self.name("f")
            self.nodes.append(N("Reshape", [x.f, self.const("shape", np.array(x.shape, np.int64))], [out]))
            self.tags.append("bare-branch")
            y = self.finish("MatMul", [out, self.dq_weights(w, s, z, 1)], {}, x.shape, self.out_scale(x, s, k))
        elif u < 0.3 and len(x.shape) == 4:
            y = self.gap(x)
        elif u < 0.6:
            y = self.unary(x)
        else:
            k = x.shape[-1]
            w, s, z = self.weights((k, k), 1)
            if self.qdq:
                y = self.finish("MatMul", [x.f, self.dq_weights(w, s, z, 1)], {}, x.shape, self.out_scale(x, s, k))
            else:
                y = self.unary(x)
        if y is None or len(y.shape) != len(x.shape) or any(a != b and a != 1 for a, b in zip(y.shape, x.shape)):
            return None
        self.tags.append("residual")
        return self.add(x, y) if self.r.random() < 0.5 else self.add(y, x)

    def build(self):
        r = self.r
        rank = int(r.choice([2, 3, 3, 4, 4, 4, 4, 5]))
        shape = (1, int(r.choice([1, 2, 3, 4, 6])), *[int(r.integers(3, 9)) for _ in range(rank - 2)])
        if rank == 2:
            shape = (1, int(r.integers(3, 24)))
        self.shape = shape
        s = f32(r.uniform(0.005, 0.05))
        float_in = r.random() < 0.8 or (self.qdq and self.t == np.int8)
        if float_in:
            x = self.quantise("x", shape, s, self.zero())
            port = h.make_tensor_value_info("x", T.FLOAT, shape if r.random() < 0.7 else ("N", *shape[1:]))
        else:
            port = h.make_tensor_value_info("x", T.UINT8 if self.t == np.uint8 else T.INT8, shape)
            x = Tensor("x", None, shape, s, self.zero(), self.t)
            if self.qdq:
                x.f = self.name("d")
                self.nodes.append(N("DequantizeLinear", ["x", *self.qparams(s, x.z, self.t)], [x.f]))
        self.int_in = None if float_in else self.t
        for _ in range(int(r.integers(1, 6))):
            ops = [self.conv, self.conv, self.gemm, self.matmul, self.maxpool, self.gap, self.unary, self.unary,
                   self.transpose, self.unsqueeze, self.add_constant, self.residual if self.fork else self.conv]
            for _ in range(6):
                saved = (len(self.nodes), len(self.inits), len(self.tags))
                y = ops[int(r.integers(0, len(ops)))](x)
                if y is not None:
                    x = y
                    break
                del self.nodes[saved[0]:], self.inits[saved[1]:], self.tags[saved[2]:]
        if self.qdq and x.i is None:  # bare movement last: already float
            out, kind = x.f, T.FLOAT
        elif self.qdq and r.random() < 0.85:
            out, kind = x.f, T.FLOAT
        elif r.random() < 0.6:
            out, kind = "y", T.FLOAT
            self.nodes.append(N("DequantizeLinear", [x.i, *self.qparams(x.s, x.z, x.t)], ["y"]))
        else:
            out, kind = x.i, T.UINT8 if self.t == np.uint8 else T.INT8
        if out == "x" or not self.nodes:
            return None
        g = h.make_graph(self.nodes, "g", [port], [h.make_tensor_value_info(out, kind, None)], self.inits)
        return h.make_model(g, opset_imports=[h.make_opsetid("", self.opset), h.make_opsetid("com.microsoft", 1)], ir_version=8)


def session(model):
    so = ort.SessionOptions()
    so.log_severity_level = 4
    so.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), so, providers=["CPUExecutionProvider"])


def main():
    out, count = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    made = failed = 0
    while made < count:
        seed += 1
        b = Builder(seed)
        model = b.build()
        if model is None:
            continue
        samples = 6
        r = np.random.default_rng(seed + 10**6)
        if b.int_in is None:
            x = r.normal(0, 2, (samples, *b.shape)).astype(f32)
        else:
            ii = np.iinfo(b.int_in)
            x = r.integers(ii.min, ii.max + 1, (samples, *b.shape)).astype(b.int_in)
        try:
            s = session(model)
            y = np.stack([s.run(None, {"x": x[i]})[0] for i in range(samples)])
        except Exception as e:
            failed += 1
            if "-v" in sys.argv:
                print("seed", seed, str(e)[:150])
            continue
        name = f"g{seed:05d}"
        d = os.path.join(out, name)
        os.makedirs(d, exist_ok=True)
        onnx.save(model, os.path.join(d, "model.onnx"))
        np.savez_compressed(os.path.join(d, "inputs.npz"), x=x)
        np.savez_compressed(os.path.join(d, "ort_outputs.npz"), **{s.get_outputs()[0].name: y})
        with open(os.path.join(d, "tags.txt"), "w") as fh:
            form = ("qdq" if b.qdq else "qop") + ("-s8" if b.t == np.int8 else "-u8") + f"-opset{b.opset}"
            fh.write(" ".join([form] + b.tags))
        made += 1
    print(made, "graphs", failed, "refused by onnxruntime")


if __name__ == "__main__":
    main()
