//! What the compiler did with a model.

/// One operation of the compiled program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Name of the ONNX node.
    pub node: String,
    /// ONNX operators that the operation stands for, e.g. `DequantizeLinear+Conv+QuantizeLinear`.
    pub operators: String,
    /// Primitive of the program: the name of its [`vinfer_circuits::program::Op`].
    pub primitive: &'static str,
    /// Why the result is exact: a method of [`crate::catalogue`].
    pub exactness: &'static str,
    /// Shape of the result.
    pub shape: Vec<u32>,
    /// Number of elements of the result.
    pub elements: u64,
    /// Multiplications.
    pub macs: u64,
    /// Requantisations in LINE form.
    pub line: usize,
    /// Requantisations in PARITY form.
    pub parity: usize,
    /// Requantisations in TABLE form.
    pub table: usize,
    /// Smallest and largest accumulator that any input can produce, where there is an accumulator.
    pub reachable: Option<(i64, i64)>,
}

/// All operations of a compiled program, in execution order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// One row per operation.
    pub rows: Vec<Row>,
}

impl Report {
    /// Multiplications by weights of the whole program.
    pub fn macs(&self) -> u64 {
        self.rows.iter().map(|r| r.macs).fold(0, u64::saturating_add)
    }
}

/// What [`crate::inspect_bytes`] says about one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Name of the node.
    pub node: String,
    /// Operator, with the domain in front unless it is the default one.
    pub operator: String,
    /// Shape of the first output, where known.
    pub shape: Option<Vec<u32>>,
    /// Positions in [`Inspection::nodes`] of the nodes whose results it reads, without repetition.
    pub sources: Vec<usize>,
    /// Why the node cannot be compiled; `None` if it can, or if it only depends on one that cannot.
    pub unsupported: Option<crate::CompileError>,
}

/// A graph input or output as the file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortInfo {
    /// Name.
    pub name: String,
    /// Whether it is an output.
    pub output: bool,
    /// Element type.
    pub element: &'static str,
    /// Declared dimensions, symbols by name; `None` if no shape is declared.
    pub shape: Option<Vec<String>>,
}

/// The result of inspecting a model that may be unsupported.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Version of the default operator set.
    pub opset: i64,
    /// Declared inputs, then declared outputs.
    pub ports: Vec<PortInfo>,
    /// Every node that an output depends on, in execution order.
    pub nodes: Vec<NodeInfo>,
    /// The program, if the whole model compiles.
    pub program: Option<vinfer_circuits::program::Program>,
    /// The report, if the whole model compiles.
    pub report: Option<Report>,
    /// Everything that stands in the way, in node order.
    pub problems: Vec<crate::CompileError>,
}
