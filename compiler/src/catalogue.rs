//! What the compiler supports, as data: the source of `OPERATORS.md` and of the notes in reports.

use std::fmt::Write;

/// How an operator's results are known to equal ONNX Runtime's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Elements are moved, compared or selected.
    Integers,
    /// The runtime's rescaling of an integer accumulator as an exact integer step function.
    Step,
    /// A table over all values of one or two small operands, filled with the runtime's arithmetic.
    Table,
    /// The runtime's single-precision kernel, operation by operation.
    Replay,
}

impl Method {
    /// One or two words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Integers => "integers",
            Self::Step => "step function",
            Self::Table => "table",
            Self::Replay => "float replay",
        }
    }
}

/// One group of operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// ONNX operators.
    pub operators: &'static str,
    /// Forms that compile.
    pub forms: &'static str,
    /// Why the results are exact.
    pub methods: &'static [Method],
    /// What is refused.
    pub limits: &'static str,
}

use Method::{Integers, Replay, Step, Table};

/// All groups.
pub const ENTRIES: &[Entry] = &[
    Entry {
        operators: "QuantizeLinear, DequantizeLinear",
        forms: "uint8, int8; uint16, int16, uint4, int4 where no integer operator is fused; per tensor, per axis, blocked",
        methods: &[Step, Replay],
        limits: "constant parameters; blocks on tensors of at most 4096 elements",
    },
    Entry {
        operators: "Conv, QLinearConv",
        forms: "1-D to 3-D, stride, pads, auto_pad, dilation, groups, depthwise; per tensor or channel; int32 or float bias",
        methods: &[Step],
        limits: "constant weights; no auto_pad with dilations; accumulators within int32",
    },
    Entry {
        operators: "Gemm, QGemm, MatMul, QLinearMatMul",
        forms: "constant weights per tensor or column, bias, alpha; two activations, batched and broadcast; float result per tensor",
        methods: &[Step],
        limits: "16-bit operands stay float in the runtime; float results with one scale only",
    },
    Entry {
        operators: "MatMulInteger, ConvInteger",
        forms: "constant weights, zero points; int32 result, or converted to float and scaled at a graph output",
        methods: &[Integers],
        limits: "dynamic quantisation of the activations",
    },
    Entry {
        operators: "Add, QLinearAdd, Mul, QLinearMul",
        forms: "two activations or constants, broadcast both ways; uint8 and int8 modulo 256",
        methods: &[Step, Table, Replay],
        limits: "constants of at most 4096 different numbers where the runtime does not fuse",
    },
    Entry {
        operators: "Sub, Div, Min, Max, PRelu, Pow, BatchNormalization",
        forms: "activations and constants of at most 8 bits, broadcast both ways; Pow by one constant",
        methods: &[Table],
        limits: "two operands; at most 4096 different constants; results at graph outputs must not be negative zero",
    },
    Entry {
        operators: "Equal, Less, LessOrEqual, Greater, GreaterOrEqual, And, Or, Xor, Not, Where, Cast",
        forms: "truth values, integers of at most 16 bits, dequantised tensors",
        methods: &[Integers, Table],
        limits: "at most 2^20 pairs of values; casts whose results fit the target",
    },
    Entry {
        operators: "Relu, Clip, Abs, Neg, Sqrt, Reciprocal, Floor, Ceil, Round, Sign, LeakyRelu, ThresholdedRelu, HardSigmoid, \
                    HardSwish, Swish, Softsign, Sigmoid, Tanh, Exp, Erf, Gelu, QuickGelu, QLinearSigmoid, QLinearLeakyRelu",
        forms: "any chain, 8 and 16 bits, float results",
        methods: &[Table],
        limits: "float results must be numbers of moderate size",
    },
    Entry {
        operators: "Softplus, Mish, Elu, Celu, Selu, Log, Sin, Cos",
        forms: "between 8-bit tensors",
        methods: &[Table],
        limits: "the runtime's last float bit depends on the element's position, so 16-bit and float results are refused",
    },
    Entry {
        operators: "Softmax, QLinearSoftmax",
        forms: "any axis, quantised or float result",
        methods: &[Replay],
        limits: "rows of at most 32768 elements; input scales from about 0.38 to 25",
    },
    Entry {
        operators: "LayerNormalization, RMSNormalization, SimplifiedLayerNormalization",
        forms: "any axis, constant scale and bias; followed by QuantizeLinear",
        methods: &[Replay],
        limits: "size below 8 (16 for RMS) or a multiple of 4; sums exact in double precision; epsilon above zero",
    },
    Entry {
        operators: "ReduceMean, ReduceSum",
        forms: "any axes, quantised or float result",
        methods: &[Replay],
        limits: "sums whose order depends on the runtime's number of threads (middle axes with a batch above 1)",
    },
    Entry {
        operators: "AveragePool, QLinearAveragePool, GlobalAveragePool, QLinearGlobalAveragePool",
        forms: "1-D to 3-D, stride, pads, auto_pad, ceil_mode, count_include_pad",
        methods: &[Step, Replay],
        limits: "windows of at most 4096 elements; float results from operator set 19 on",
    },
    Entry {
        operators: "MaxPool, GlobalMaxPool, ReduceMax, ReduceMin, ArgMax, ArgMin, TopK",
        forms: "any axes, stride, pads, auto_pad, ceil_mode, dilation; select_last_index",
        methods: &[Integers],
        limits: "at most 65536 elements per extremum; TopK: k up to 32 of at most 1024",
    },
    Entry {
        operators: "Reshape, Flatten, Transpose, Squeeze, Unsqueeze, Slice, Split, Gather, GatherElements, GatherND, Concat, \
                    QLinearConcat, Expand, Tile, Pad, Resize, Upsample, DepthToSpace, SpaceToDepth, Identity, Dropout",
        forms: "every element type; constant indices; Pad constant, edge, reflect, wrap; Resize nearest",
        methods: &[Integers],
        limits: "no interpolation; shapes fixed at compile time (`--shape`)",
    },
    Entry {
        operators: "Gather (embedding)",
        forms: "int64 graph input into a constant table, quantised or float",
        methods: &[Integers],
        limits: "first axis; non-negative indices",
    },
    Entry {
        operators: "Constant, ConstantOfShape, Shape, Size, Range",
        forms: "folded; as graph outputs",
        methods: &[Integers],
        limits: "",
    },
];

/// Operators that the compiler recognises by name (functions of one tensor are in a list of their own).
pub fn operators() -> impl Iterator<Item = &'static str> {
    crate::lower::OPERATORS.iter().chain(crate::lower::MOVEMENTS).copied()
}

/// The text of `OPERATORS.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Operators\n\nEverything that compiles computes ONNX Runtime's bits (1.31.1, x86-64, default optimisation); what does \
         not is refused with\nthe node, the reason and what to do. This file is generated: `VINFER_UPDATE_OPERATORS=1 cargo \
         test -p vinfer-compiler --test\noperators_doc`.\n\n| operators | forms | method | limits |\n|---|---|---|---|\n",
    );
    for entry in ENTRIES {
        let methods: Vec<&str> = entry.methods.iter().map(|m| m.name()).collect();
        let (operators, forms, limits) = (entry.operators, entry.forms, entry.limits);
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {operators} | {forms} | {} | {limits} |", methods.join(", "));
    }
    text.push_str(
        "\nMethods: *integers*: elements are moved, compared or added exactly. *Step function*: the rescaling of an integer \
         accumulator as an\nexact integer function, found by the solver. *Table*: all results for all values of one or two \
         operands. *Float replay*: every\nsingle-precision operation of the runtime's kernel, in its order.\n",
    );
    text
}

/// How the operators of a report row are known to be exact.
pub(crate) fn note(operators: &str, primitive: &str) -> &'static str {
    let name = operators.split('+').find(|o| !o.ends_with("QuantizeLinear")).unwrap_or(operators);
    match (primitive, name) {
        ("Float", _) => Replay.name(),
        ("Lookup", _) => Table.name(),
        ("Contract" | "Sum" | "MatMul" | "Multiply", "MatMulInteger" | "ConvInteger") => Integers.name(),
        ("Contract" | "Sum" | "MatMul" | "Multiply", _) => Step.name(),
        _ => Integers.name(),
    }
}
