//! Quantiser: a float ONNX model and calibration data become a statically quantised model in QDQ form.
//!
//! Weights are int8 per output channel (symmetric), activations uint8 per tensor (asymmetric), biases int32 with scale
//! exactly `f32(input scale * weight scale)`: the form that ONNX Runtime runs on integers and `vinfer compile` makes
//! exact. Steps:
//!
//! 1. `onnx`, `prepare`: bytes to a graph whose every operator has an exact integer form;
//! 2. `run`, `calibrate`, `histogram`: ranges of all tensors over the data;
//! 3. `migrate`: factors per channel in front of layer normalisations, where they help;
//! 4. `plan`: scales, zero points, integers; scales are nudged until rescaling is one integer division;
//! 5. `emulate`, `search`, `report`: the choice among methods, and how far the result is from the float model;
//! 6. `export`: the file.

#![forbid(unsafe_code)]

use std::path::Path;

mod calibrate;
mod data;
mod emulate;
mod error;
mod export;
mod graph;
mod histogram;
mod migrate;
mod onnx;
mod plan;
mod prepare;
mod report;
mod roles;
mod run;
mod search;
mod tensor;

pub use data::read_npz;
pub use error::QuantiseError;
pub use histogram::Method;
pub use plan::Forms;
pub use report::{Accuracy, Layer, compare};
pub use tensor::{Data, Tensor};

use migrate::Migration;

/// What the caller chooses.
#[derive(Clone, Debug)]
pub struct Options {
    /// Methods to choose ranges with; the best on the data is taken.
    pub methods: Vec<Method>,
    /// Tensors to keep at 16 bits.
    pub keep_sixteen: Vec<String>,
    /// Whether factors per channel may be placed in front of layer normalisations.
    pub channel_factors: bool,
}

impl Default for Options {
    fn default() -> Self {
        let methods = vec![Method::MinMax, Method::Percentile(99.99), Method::MeanSquare];
        Self { methods, keep_sixteen: Vec::new(), channel_factors: true }
    }
}

/// A quantised model.
#[derive(Clone, Debug)]
pub struct Quantised {
    /// The ONNX file.
    pub model: Vec<u8>,
    /// The method that was best.
    pub method: Method,
    /// How scales per channel were moved in front of layer normalisations: `none`, `shared` or `split`.
    pub migration: &'static str,
    /// Every layer.
    pub layers: Vec<Layer>,
    /// Float against quantised model, the latter emulated in floating point.
    pub accuracy: Accuracy,
    /// The calibration samples as the model runs them, one tensor per graph input.
    pub samples: Vec<Vec<Tensor>>,
    /// Names of the graph inputs.
    pub inputs: Vec<String>,
    /// Outputs of the float model, per sample and graph output.
    pub float_outputs: Vec<Vec<Vec<f32>>>,
}

/// Quantises a float ONNX model. `directory` is where its external data lie; `arrays` are the calibration data.
///
/// # Errors
/// [`QuantiseError`] names what stands in the way and what to do about it.
pub fn quantise(
    bytes: &[u8],
    directory: Option<&Path>,
    arrays: &[(String, Tensor)],
    options: &Options,
) -> Result<Quantised, QuantiseError> {
    let (mut graph, opset) = onnx::decode::decode(bytes, directory)?;
    let ports: Vec<_> = graph
        .inputs
        .iter()
        .map(|port| data::Input {
            name: port.name.clone(),
            float: port.data_type == vinfer_compiler::onnx::proto::data_type::FLOAT,
            dims: port.dims.clone(),
        })
        .collect();
    let samples = data::samples(&ports, arrays)?;
    let first = samples.first().ok_or_else(|| QuantiseError::Data { reason: "there is no sample".to_owned() })?;
    prepare::prepare(&mut graph, opset, first)?;
    let float = search::float_outputs(&graph, &samples)?;
    let (mut best, _) = search::search(&graph, &samples, options, &float)?;
    best.plan.nudge(&best.graph, &best.shapes)?;
    let accuracy = compare(&float, &search::emulated_outputs(&best.graph, &best.plan, &samples)?);
    let layers = search::layers(&best, &samples, &float)?;
    let model = export::export(&best.graph, &best.plan, &best.shapes)?;
    let migration = match best.migration {
        Migration::None => "none",
        Migration::Shared => "shared",
        Migration::Split => "split",
    };
    let inputs = graph.inputs.iter().map(|port| port.name.clone()).collect();
    Ok(Quantised { model, method: best.method, migration, layers, accuracy, samples, inputs, float_outputs: float })
}
