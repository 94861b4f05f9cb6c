"""Makes the float models and data in ../models (onnx 1.19, onnxruntime 1.31, numpy, scikit-learn).

Each NAME.npz holds the calibration samples `x`, ONNX Runtime's float outputs `y`, and for the digits the labels `label`.
The digit classifiers are trained elsewhere: pass the folder that holds digits_cnn_int8/model_float.onnx and
digits_mlp_int8/model_float.onnx as the first argument.
"""
import os, shutil, sys
import numpy as np, onnx, onnxruntime as ort
from onnx import helper as h, numpy_helper as nh, TensorProto as T
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models")
R = np.random.default_rng(0)


def f(*shape):
    return (R.standard_normal(shape) * np.sqrt(2 / max(1, np.prod(shape[1:])))).astype(np.float32)


class Builder:
    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, value):
        name = f"w{len(self.constants)}"
        self.constants.append(nh.from_array(np.asarray(value), name))
        return name

    def op(self, kind, inputs, outputs=1, **attributes):
        index = len(self.nodes)
        names = [f"{kind.lower()}{index}" + (f"_{j}" if outputs > 1 else "") for j in range(outputs)]
        self.nodes.append(h.make_node(kind, inputs, names, name=f"n{index}", **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, x, i, o, k=3, s=1, g=1, bias=False):
        weights = [self.constant(f(o, i // g, k, k))] + ([self.constant(f(o) * np.float32(0.1))] if bias else [])
        return self.op("Conv", [x] + weights, kernel_shape=[k, k], strides=[s, s], pads=[k // 2] * 4, group=g)

    def norm(self, x, c):
        variance = (1 + 0.2 * R.random(c)).astype(np.float32)
        lists = [1 + np.float32(0.1) * f(c), f(c) * np.float32(0.1), f(c) * np.float32(0.1), variance]
        return self.op("BatchNormalization", [x] + [self.constant(v) for v in lists])

    def linear(self, x, i, o, weights=None):
        weights = f(i, o) * np.float32(np.sqrt(o / i)) if weights is None else weights
        return self.op("Add", [self.op("MatMul", [x, self.constant(weights)]), self.constant(f(o) * np.float32(0.1))])

    def save(self, name, shape, result, opset, samples=8):
        self.nodes[-1].output[0] = "y"
        graph = h.make_graph(self.nodes, "g", [h.make_tensor_value_info("x", T.FLOAT, ["n"] + shape)],
                             [h.make_tensor_value_info("y", T.FLOAT, ["n"] + result)], self.constants)
        model = h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, f"{OUT}/{name}.onnx")
        write(name, R.standard_normal([samples] + shape).astype(np.float32))


def write(name, x, **more):
    session = ort.InferenceSession(f"{OUT}/{name}.onnx", providers=["CPUExecutionProvider"])
    y = np.concatenate([session.run(None, {"x": sample[None]})[0] for sample in x])
    np.savez_compressed(f"{OUT}/{name}.npz", x=x, y=y, **more)


def residual():
    b = Builder()
    t = b.op("Relu", [b.norm(b.conv("x", 3, 6), 6)])
    u = b.norm(b.conv(b.op("Relu", [b.norm(b.conv(t, 6, 6), 6)]), 6, 6), 6)
    t = b.op("Relu", [b.op("Add", [u, t])])
    t = b.op("GlobalAveragePool", [b.op("Relu", [b.norm(b.conv(t, 6, 12, s=2), 12)])])
    b.op("Gemm", [b.op("Flatten", [t]), b.constant(f(5, 12)), b.constant(f(5))], transB=1)
    b.save("residual", [3, 8, 8], [5], 9)


def mobile():
    b = Builder()
    clip = lambda t: b.op("Clip", [t, b.constant(np.float32(0)), b.constant(np.float32(6))])
    t = b.norm("x", 3)
    t = clip(b.norm(b.conv(t, 3, 6, s=2), 6))
    u = clip(b.norm(b.conv(t, 6, 12, k=1), 12))
    u = b.norm(b.conv(clip(b.norm(b.conv(u, 12, 12, g=12), 12)), 12, 6, k=1), 6)
    t = b.op("HardSwish", [b.conv(b.op("Add", [t, u]), 6, 8, k=1, bias=True)])
    t = b.linear(b.op("ReduceMean", [t], axes=[2, 3], keepdims=0), 8, 5)
    b.op("Mul", [t, b.constant(np.float32(0.3))])
    b.save("mobile", [3, 8, 8], [5], 17)


def branches():
    b = Builder()
    t = b.op("AveragePool", [b.op("Relu", [b.conv("x", 1, 4, bias=True)])], kernel_shape=[2, 2], strides=[2, 2])
    t = b.op("LeakyRelu", [b.conv(t, 4, 6, bias=True)], alpha=0.1)
    t = b.op("Mul", [t, b.op("Sigmoid", [b.conv(t, 6, 6, k=1, bias=True)])])
    t = b.op("Concat", [t, b.conv(t, 6, 2, bias=True)], axis=1)
    left, right = b.op("Split", [t], outputs=2, axis=1)
    t = b.op("MaxPool", [b.op("Sub", [b.op("Add", [left, right]), b.constant(np.float32(0.25))])], kernel_shape=[2, 2],
             strides=[2, 2])
    shape = b.op("Shape", [t])
    rows = b.op("Gather", [shape, b.constant(np.array(0))], axis=0)
    rows = b.op("Unsqueeze", [rows], axes=[0])
    t = b.op("Reshape", [t, b.op("Concat", [rows, b.constant(np.array([-1]))], axis=0)])
    b.op("Gemm", [t, b.constant(f(16, 6)), b.constant(f(1, 6))], alpha=0.5, beta=2.0)
    b.save("branches", [1, 8, 8], [6], 11)


def transformer():
    """One layer after BERT; in a few tokens one channel of the residual sum is a hundred times larger than the rest."""
    b, d, s, heads = Builder(), 16, 4, 2

    def normal(x):
        centred = b.op("Sub", [x, b.op("ReduceMean", [x], axes=[-1])])
        square = b.op("Pow", [centred, b.constant(np.float32(2))])
        deviation = b.op("Sqrt", [b.op("Add", [b.op("ReduceMean", [square], axes=[-1]), b.constant(np.float32(1e-5))])])
        gain, shift = b.constant(1 + f(d) * np.float32(0.1)), b.constant(f(d) * np.float32(0.1))
        return b.op("Add", [b.op("Mul", [b.op("Div", [centred, deviation]), gain]), shift])

    x = normal(b.linear("x", d, d))
    split, joined = b.constant(np.array([0, 0, heads, d // heads])), b.constant(np.array([0, 0, d]))
    q, k, v = [b.op("Transpose", [b.op("Reshape", [b.linear(x, d, d), split])], perm=p)
               for p in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])]
    scores = b.op("Div", [b.op("MatMul", [q, k]), b.constant(np.float32(np.sqrt(d / heads)))])
    mixed = b.op("MatMul", [b.op("Softmax", [scores], axis=-1), v])
    mixed = b.op("Reshape", [b.op("Transpose", [mixed], perm=[0, 2, 1, 3]), joined])
    x = normal(b.op("Add", [b.linear(mixed, d, d), x]))
    rare = f(d, 2 * d) * np.float32(np.sqrt(2))
    rare[:, 5] *= 3
    u = b.op("Add", [b.linear(x, d, 2 * d, rare), b.constant(np.float32(-6) * (np.arange(2 * d) == 5).astype(np.float32))])
    erf = b.op("Erf", [b.op("Div", [u, b.constant(np.float32(np.sqrt(2)))])])
    u = b.op("Mul", [b.op("Mul", [u, b.op("Add", [erf, b.constant(np.float32(1))])]), b.constant(np.float32(0.5))])
    weights = f(2 * d, d)
    weights[5, 3] = 60
    x = normal(b.op("Add", [b.linear(u, 2 * d, d, weights), x]))
    b.linear(x, d, 4)
    b.save("transformer", [s, d], [s, 4], 13, samples=16)


def digits(folder):
    data = load_digits()
    x = (data.data / 16).astype(np.float32)
    _, x, _, label = train_test_split(x, data.target, test_size=0.25, random_state=0, stratify=data.target)
    for name, shape in (("digits_cnn", (-1, 1, 8, 8)), ("digits_mlp", (-1, 64))):
        shutil.copy(f"{folder}/{name}_int8/model_float.onnx", f"{OUT}/{name}.onnx")
        os.chmod(f"{OUT}/{name}.onnx", 0o644)
        write(name, x[:400].reshape(shape), label=label[:400])


os.makedirs(OUT, exist_ok=True)
residual()
mobile()
branches()
transformer()
digits(sys.argv[1])
