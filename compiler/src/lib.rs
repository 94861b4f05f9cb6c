//! Compiler: a quantised ONNX model becomes a [`Program`].
//!
//! The program computes, bit for bit, what ONNX Runtime 1.31.1 computes on x86-64 with its default optimisations, or
//! the model is refused with a reason. Steps:
//!
//! 1. `onnx`, `import`: bytes to a checked graph in topological order;
//! 2. `rewrite`: the runtime's rewritings that decide which operators run on integers;
//! 3. `lower`: operators between DequantizeLinear and QuantizeLinear (or their QLinear forms) become primitives, with
//!    the runtime's own order of single-precision operations; functions of one 8-bit tensor become tables;
//! 4. [`solver`]: step functions of requantisations become exact integer forms.

#![forbid(unsafe_code)]

use std::path::Path;

use vinfer_circuits::program::Program;

pub mod catalogue;
mod error;
mod graph;
mod import;
mod lower;
pub mod onnx;
mod options;
mod report;
mod rewrite;
mod shapes;
pub mod solver;
mod unary;

pub use error::CompileError;
pub use options::Options;
pub use report::{Inspection, NodeInfo, PortInfo, Report, Row};

/// A compiled model.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The program to execute and prove.
    pub program: Program,
    /// What became of each operator.
    pub report: Report,
}

/// Largest model file that is read.
const MAX_FILE: u64 = 1 << 31;

/// Compiles the ONNX model at `path`; external data files are looked up in its directory.
///
/// # Errors
/// [`CompileError`] names the node that stands in the way and what to do about it.
pub fn compile_file(path: &Path) -> Result<Compiled, CompileError> {
    compile_file_with(path, &Options::default())
}

/// Like [`compile_file`], with options.
///
/// # Errors
/// [`CompileError`] names the node that stands in the way and what to do about it.
pub fn compile_file_with(path: &Path, options: &Options) -> Result<Compiled, CompileError> {
    compile_bytes_with(&read(path)?, directory(path), options)
}

/// Compiles an ONNX model. `external_dir` is where its external data files are; without it they are refused.
///
/// # Errors
/// [`CompileError`] names the node that stands in the way and what to do about it.
pub fn compile_bytes(bytes: &[u8], external_dir: Option<&Path>) -> Result<Compiled, CompileError> {
    compile_bytes_with(bytes, external_dir, &Options::default())
}

/// Like [`compile_bytes`], with options.
///
/// # Errors
/// [`CompileError`] names the node that stands in the way and what to do about it.
pub fn compile_bytes_with(
    bytes: &[u8],
    external_dir: Option<&Path>,
    options: &Options,
) -> Result<Compiled, CompileError> {
    let mut graph = import::import(bytes, external_dir)?;
    options.apply(&mut graph)?;
    check_quantised(&graph)?;
    rewrite::rewrite(&mut graph)?;
    let (program, report) = lower::Lowering::new(&graph).run()?;
    Ok(Compiled { program, report })
}

/// Lists every node of the model at `path`, with all reasons why it cannot be compiled.
///
/// # Errors
/// [`CompileError`] only if the file is no readable ONNX graph.
pub fn inspect_file(path: &Path) -> Result<Inspection, CompileError> {
    inspect_bytes(&read(path)?, directory(path))
}

/// Lists every node of a model, with all reasons why it cannot be compiled.
///
/// # Errors
/// [`CompileError`] only if the bytes are no readable ONNX graph.
pub fn inspect_bytes(bytes: &[u8], external_dir: Option<&Path>) -> Result<Inspection, CompileError> {
    inspect_bytes_with(bytes, external_dir, &Options::default())
}

/// Like [`inspect_bytes`], with options.
///
/// # Errors
/// [`CompileError`] if the bytes are no readable ONNX graph, or the options do not fit it.
pub fn inspect_bytes_with(
    bytes: &[u8],
    external_dir: Option<&Path>,
    options: &Options,
) -> Result<Inspection, CompileError> {
    let mut graph = import::import(bytes, external_dir)?;
    options.apply(&mut graph)?;
    let quantised = check_quantised(&graph);
    rewrite::rewrite(&mut graph)?;
    let opset = graph.opset;
    let ports = graph.inputs.iter().map(|p| p.info(false)).chain(graph.outputs.iter().map(|p| p.info(true))).collect();
    let (nodes, mut problems, compiled) = lower::Lowering::new(&graph).survey();
    if let Err(error) = quantised {
        problems.insert(0, error);
    }
    let (program, report) = compiled.unzip();
    Ok(Inspection { opset, ports, nodes, problems, program, report })
}

/// Refuses models without any quantised operator with the advice to quantise.
fn check_quantised(graph: &graph::Graph) -> Result<(), CompileError> {
    let quantised = |op: &str| op.contains("Linear") || op.contains("QGemm") || op.contains("Integer");
    let float = graph.inputs.iter().any(|i| i.data_type == onnx::proto::data_type::FLOAT);
    if !float || graph.nodes.iter().any(|n| quantised(&n.op)) { Ok(()) } else { Err(CompileError::NotQuantised) }
}

fn directory(path: &Path) -> Option<&Path> {
    path.parent().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p })
}

fn read(path: &Path) -> Result<Vec<u8>, CompileError> {
    let io = |reason: String| CompileError::Io { path: path.display().to_string(), reason };
    let size = std::fs::metadata(path).map_err(|e| io(e.to_string()))?.len();
    if size > MAX_FILE {
        return Err(io(format!("the file has {size} bytes; at most {MAX_FILE} are supported")));
    }
    std::fs::read(path).map_err(|e| io(e.to_string()))
}
