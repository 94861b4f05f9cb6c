"""A float node test as a quantised model: 8-bit activations around the operator, quantised constants inside."""
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

f32 = np.float32
# Operators that move or select values: their outputs keep the parameters of the input.
MOVEMENT = set("""Concat Expand Flatten Gather GatherElements Identity Pad Reshape Slice Split Squeeze Unsqueeze Tile
Transpose Where MaxPool GlobalMaxPool ReduceMax ReduceMin TopK Resize DepthToSpace SpaceToDepth Max Min""".split())
# Operators whose second operand becomes 8-bit weights, with the axis of the output channels.
WEIGHTS = {"Conv": 0, "Gemm": 1}


class Wrapper:
    """Builds the model and its data. `float_ports`: the graph inputs are float and quantised inside."""

    def __init__(self, r, node, inputs, expected, original, samples, float_ports):
        self.r, self.node, self.original, self.count = r, node, original, samples
        self.inputs, self.expected, self.float_ports = dict(inputs), expected, float_ports
        self.notes, self.nodes, self.inits, self.ports, self.data = [], [], [], [], {}
        self.constants = {t.name: nh.to_array(t) for t in original.graph.initializer}
        self.values = {}  # float values of every operand, samples stacked
        self.opset = max(13, original.opset_import[0].version)
        self.input_scale, self.input_zero = None, None
        self.build()

    def const(self, name, value):
        self.inits.append(nh.from_array(np.asarray(value), name))
        return name

    def activation(self, name, shape):
        """An 8-bit activation: port, QuantizeLinear for float ports, DequantizeLinear."""
        r = self.r
        if self.input_scale is None or self.node.op_type not in MOVEMENT:
            self.input_scale = f32(r.uniform(0.01, 0.05))
            self.input_zero = int(r.integers(90, 166))
            if self.original.graph.name == "test_softmax_large_number":
                self.input_scale = f32(40)
        s, z = self.input_scale, np.uint8(self.input_zero)
        params = [self.const(name + "_scale", s), self.const(name + "_zero", z)]
        raw = r.integers(0, 256, (self.count, *shape)).astype(np.uint8)
        if raw.size:
            raw[-1] = r.integers(120, 124, shape)  # ties
        if self.float_ports:
            x = ((raw.astype(f32) - f32(z)) * s + r.uniform(-0.6, 0.6, raw.shape).astype(f32) * s).astype(f32)
            self.ports.append(h.make_tensor_value_info(name, T.FLOAT, shape))
            self.nodes.append(h.make_node("QuantizeLinear", [name, *params], [name + "_q"]))
            self.nodes.append(h.make_node("DequantizeLinear", [name + "_q", *params], [name + "_d"]))
            self.data[name] = x
        else:
            self.ports.append(h.make_tensor_value_info(name, T.UINT8, shape))
            self.nodes.append(h.make_node("DequantizeLinear", [name, *params], [name + "_d"]))
            self.data[name] = raw
        return name + "_d"

    def weights(self, name, shape):
        """int8 weights behind a DequantizeLinear; every other model has one scale per channel."""
        transposed = self.node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in self.node.attribute)
        axis = 0 if transposed else WEIGHTS[self.node.op_type]
        per_channel = self.r.random() < 0.5
        s = self.r.uniform(0.002, 0.02, shape[axis] if per_channel else ()).astype(f32)
        self.weight_scale = s
        w = self.r.integers(-127, 128, shape).astype(np.int8)
        operands = [self.const(name + "_w", w), self.const(name + "_scale", s)]
        operands.append(self.const(name + "_zero", np.zeros(s.shape, np.int8)))
        self.nodes.append(h.make_node("DequantizeLinear", operands, [name + "_d"], **({"axis": axis} if s.shape else {})))
        return name + "_d"

    def bias(self, name, shape):
        """An int32 bias in accumulator units."""
        scale = (self.input_scale * self.weight_scale).astype(f32)
        if scale.shape and (len(shape) != 1 or shape[0] != scale.shape[0]):
            scale = scale if shape and shape[-1] == scale.shape[0] else scale[0]
        b = self.r.integers(-3000, 3000, shape).astype(np.int32)
        axis = {"axis": len(shape) - 1} if scale.shape else {}
        operands = [self.const(name + "_b", b), self.const(name + "_scale", scale)]
        self.nodes.append(h.make_node("DequantizeLinear", operands, [name + "_d"], **axis))
        return name + "_d"

    def operands(self):
        """Operand names of the wrapped node."""
        names = []
        for slot, name in enumerate(self.node.input):
            if not name:
                names.append("")
            elif name in self.inputs:
                names.append(self.activation(name, self.inputs[name].shape))
            elif self.node.op_type in WEIGHTS and slot == 1:
                names.append(self.weights(name, self.constants[name].shape))
            elif self.node.op_type in WEIGHTS:
                names.append(self.bias(name, self.constants[name].shape))
            else:
                value = self.constants[name]
                names.append(self.const(name, self.bounded(name, value)))
        return names

    def bounded(self, name, value):
        """Constants whose value must suit the quantised range."""
        if self.node.op_type == "Pad" and name == "value" and len(self.node.input) > 3:
            return np.zeros_like(value)
        if self.node.op_type == "BatchNormalization" and name == "var":
            return np.abs(value) + f32(0.1)
        return value

    def build(self):
        op = self.node.op_type
        if op in ("Constant", "ConstantOfShape"):
            self.build_constant()
            return
        self.notes.append(("float" if self.float_ports else "uint8") + " inputs, Q/DQ around the operator")
        if op in WEIGHTS:
            self.notes.append("int8 weights" + (", int32 bias" if len(self.node.input) > 2 else ""))
        self.body = onnx.NodeProto()
        self.body.CopyFrom(self.node)
        del self.body.input[:]
        self.body.input.extend(self.operands())
        if op in ("LayerNormalization",):
            del self.body.output[1:]
            self.notes.append("first output only")
        self.finish(self.original.graph.output[:len(self.body.output)])

    def build_constant(self):
        """A constant reaches an output next to an activation of the same shape, or indexes it."""
        port = self.original.graph.output[0]
        shape = [d.dim_value for d in port.type.tensor_type.shape.dim]
        self.body = self.node
        for name, value in self.constants.items():
            self.const(name, value)
        if port.type.tensor_type.elem_type == T.FLOAT:
            data = self.activation("data", tuple(shape))
            self.nodes += [self.node, h.make_node("Mul", [data, port.name], ["product"])]
            self.notes.append("multiplied with a quantised activation")
            self.finish([h.make_tensor_value_info("product", T.FLOAT, shape)], body=False)
            return
        self.ports.append(h.make_tensor_value_info("data", T.UINT8, (1, 3)))
        self.data["data"] = self.r.integers(0, 256, (self.count, 1, 3)).astype(np.uint8)
        params = [self.const("s", f32(0.02)), self.const("z", np.uint8(3))]
        self.nodes += [self.node, h.make_node("DequantizeLinear", ["data", *params], ["data_d"]),
                       h.make_node("Gather", ["data_d", port.name], ["rows"], axis=0)]
        self.notes.append("indices of a Gather")
        self.input_scale, self.input_zero, self.body = f32(0.02), 3, h.make_node("Gather", [], [])
        self.finish([h.make_tensor_value_info("rows", T.FLOAT, [*shape, 3])], body=False, operator="Gather")

    def finish(self, ports, body=True, operator=None):
        """Output ports: integers as they are, floats quantised to uint8."""
        op = operator or self.node.op_type
        if body:
            self.nodes.append(self.body)
        self.outputs = []
        for port in ports:
            if port.type.tensor_type.elem_type != T.FLOAT:
                self.outputs.append(port)
                continue
            s, z = (self.input_scale, self.input_zero) if op in MOVEMENT else self.calibrate(port)
            params = [self.const(port.name + "_oscale", f32(s)), self.const(port.name + "_ozero", np.uint8(z))]
            self.nodes.append(h.make_node("QuantizeLinear", [port.name, *params], [port.name + "_out"]))
            dims = [d.dim_value for d in port.type.tensor_type.shape.dim]
            self.outputs.append(h.make_tensor_value_info(port.name + "_out", T.UINT8, dims))

    def calibrate(self, port):
        """Scale and zero point of an output, from its range over the samples."""
        if self.node.op_type == "Softmax":
            return (f32(1 / 255) if self.float_ports else f32(1 / 256)), 0
        model = self.assemble([port])
        run = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        y = np.stack([run.run(None, {k: v[i] for k, v in self.data.items()})[0] for i in range(self.count)])
        low, high = min(float(y.min()), 0.0), max(float(y.max()), 0.0)
        s = f32((high - low) / 255 * 0.95 or 1.0)
        return s, int(np.clip(np.rint(-low / s), 0, 255))

    def assemble(self, outputs):
        graph = h.make_graph(self.nodes, self.original.graph.name, self.ports, outputs, self.inits)
        ir = 8 if self.opset < 19 else 10
        ir = self.original.ir_version if self.opset > 22 else ir
        return h.make_model(graph, opset_imports=[h.make_opsetid("", self.opset)], ir_version=ir)

    def model(self):
        return self.assemble(self.outputs)

    def samples(self):
        return self.data
