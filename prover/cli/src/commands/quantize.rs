//! `vinfer quantize`: float ONNX model to statically quantised ONNX model.

use serde_json::{Value, json};
use vinfer_circuits::boundary;
use vinfer_circuits::program::Program;
use vinfer_prover::execute::execute;
use vinfer_quantiser::{Accuracy, Layer, Method, Options, Quantised, Tensor, compare, quantise, read_npz};

use super::read_model;
use crate::args::{Quantize, RangeMethod};
use crate::engine::{self, EngineError};
use crate::error::CliError;
use crate::files::{self, Target};
use crate::measure::Stopwatch;
use crate::ports::PortSpec;
use crate::report::{self, Outcome, Progress};

/// Longest file of calibration data.
const MAX_DATA_BYTES: u64 = 4 << 30;

/// Samples that are run on the compiled program.
const EXACT_SAMPLES: usize = 1000;

/// Runs the command.
pub(crate) fn run(args: &Quantize) -> Result<Outcome, CliError> {
    let target = Target::check(&args.output)?;
    let report_target = args.report.as_deref().map(Target::check).transpose()?;
    let watch = Stopwatch::start();
    let progress = Progress::start("quantising");
    let (bytes, directory) = read_model(&args.model)?;
    let data_failed = |source| CliError::Engine { path: args.calibrate.clone(), source: EngineError::Quantise(source) };
    let arrays = read_npz(&files::read(&args.calibrate, MAX_DATA_BYTES)?).map_err(data_failed)?;
    let options = Options {
        methods: methods(args),
        keep_sixteen: args.keep_16.clone(),
        channel_factors: !args.no_channel_factors,
    };
    let quantised = quantise(&bytes, Some(directory), &arrays, &options).map_err(|source| match source {
        source @ vinfer_quantiser::QuantiseError::Data { .. } => data_failed(source),
        source => CliError::Engine { path: args.model.clone(), source: EngineError::Quantise(source) },
    })?;
    let compiled = engine::compile(&quantised.model, None, &engine::Options::default());
    let exact = compiled.as_ref().ok().and_then(|c| exact_accuracy(&c.program, &quantised));
    let compiles = compiled.map(|_| ()).map_err(|error| error.to_string());
    let json = report_json(args, &quantised, exact.as_ref(), &compiles);
    // The report goes first: a model is never newer than its report.
    if let Some(target) = &report_target {
        target.write(format!("{json:#}\n").as_bytes())?;
    }
    target.write(&quantised.model)?;
    drop(progress);
    let mut text = table(&quantised.layers);
    text += &format!("method {}, scales per channel: {}\n", method_name(quantised.method), quantised.migration);
    text += &accuracy_text(&quantised.accuracy, exact.as_ref());
    text += &match compiles {
        Ok(()) => "`vinfer compile` accepts the model\n".to_owned(),
        Err(reason) => format!("`vinfer compile` does not accept the model yet: {reason}\n"),
    };
    text += &format!(
        "wrote {}, {}, {}\n",
        args.output.display(),
        report::bytes(quantised.model.len() as u64),
        report::seconds(watch.elapsed().wall)
    );
    Ok(Outcome { text, json })
}

fn methods(args: &Quantize) -> Vec<Method> {
    let percentile = Method::Percentile(args.percentile);
    match args.method {
        RangeMethod::Auto => vec![Method::MinMax, percentile, Method::MeanSquare],
        RangeMethod::MinMax => vec![Method::MinMax],
        RangeMethod::Percentile => vec![percentile],
        RangeMethod::Entropy => vec![Method::Entropy],
        RangeMethod::Mse => vec![Method::MeanSquare],
    }
}

fn method_name(method: Method) -> String {
    match method {
        Method::MinMax => "min-max".to_owned(),
        Method::Percentile(p) => format!("percentile {p}"),
        Method::Entropy => "entropy".to_owned(),
        Method::MeanSquare => "mse".to_owned(),
    }
}

/// The comparison on the compiled program, which computes what the runtime does, bit for bit; `None` where the program
/// does not take the samples.
fn exact_accuracy(program: &Program, quantised: &Quantised) -> Option<Accuracy> {
    let ports = PortSpec::outputs(program);
    let run = |sample: &Vec<Tensor>| -> Option<Vec<Vec<f32>>> {
        let inputs = program.inputs.iter().map(|port| {
            let position = quantised.inputs.iter().position(|name| *name == port.name)?;
            let quantisation = &program.values.get(port.value as usize)?.quantisation;
            let tensor = sample.get(position)?;
            if let Some(values) = tensor.as_floats() {
                return values.iter().map(|&x| boundary::quantise(x, quantisation)).collect::<Option<Vec<i32>>>();
            }
            let centred = |v: &i64| i32::try_from(*v).ok()?.checked_sub(quantisation.zero_point);
            tensor.as_integers()?.iter().map(centred).collect()
        });
        let trace = execute(program, &inputs.collect::<Option<Vec<_>>>()?).ok()?;
        let outputs = program.outputs.iter().zip(&ports).map(|(port, spec)| {
            let values = trace.get(port.value as usize)?;
            Some(values.iter().map(|&v| boundary::dequantise(v, &spec.quantisation)).collect())
        });
        outputs.collect()
    };
    let samples = &quantised.samples[..quantised.samples.len().min(EXACT_SAMPLES)];
    let outputs: Option<Vec<_>> = samples.iter().map(run).collect();
    Some(compare(&quantised.float_outputs[..samples.len()], &outputs?))
}

fn accuracy_json(accuracy: &Accuracy) -> Value {
    json!({
        "samples": accuracy.samples,
        "top1_agreement": accuracy.top1_agreement,
        "cosine": accuracy.cosine,
        "least_cosine": accuracy.least_cosine,
        "max_error": accuracy.max_error,
    })
}

fn report_json(args: &Quantize, q: &Quantised, exact: Option<&Accuracy>, compiles: &Result<(), String>) -> Value {
    let layer = |layer: &Layer| {
        json!({
            "output": layer.output,
            "operator": layer.operator,
            "scale": layer.scale,
            "zero_point": layer.zero_point,
            "max_error": layer.max_error,
            "cosine": layer.cosine,
            "sensitivity": layer.sensitivity,
            "line": layer.forms.map(|f| f.line),
            "parity": layer.forms.map(|f| f.parity),
            "table": layer.forms.map(|f| f.table),
        })
    };
    json!({
        "model": args.output.to_string_lossy(),
        "model_bytes": q.model.len(),
        "method": method_name(q.method),
        "migration": q.migration,
        "emulated": accuracy_json(&q.accuracy),
        "exact": exact.map(accuracy_json),
        "compiles": compiles.is_ok(),
        "compile_problem": compiles.as_ref().err(),
        "layers": q.layers.iter().map(layer).collect::<Vec<_>>(),
    })
}

fn accuracy_text(emulated: &Accuracy, exact: Option<&Accuracy>) -> String {
    let how = if exact.is_some() { "the compiled program" } else { "an emulation in floating point" };
    let a = exact.unwrap_or(emulated);
    format!(
        "float against int8 ({how}) on {} samples: top-1 agreement {:.2} %, cosine {:.5} (least {:.5}), largest \
         error {:.4}\n",
        a.samples,
        a.top1_agreement * 100.0,
        a.cosine,
        a.least_cosine,
        a.max_error
    )
}

/// One line per layer; the most sensitive one is marked.
fn table(layers: &[Layer]) -> String {
    let most = layers.iter().map(|l| l.sensitivity).fold(0.0, f64::max);
    let mut text = format!(
        "{:<28} {:<18} {:>11} {:>9} {:>12}  {}\n",
        "tensor", "operator", "max error", "cosine", "sensitivity", "line/parity/table"
    );
    for layer in layers {
        let forms = layer.forms.map_or_else(String::new, |f| format!("{}/{}/{}", f.line, f.parity, f.table));
        let mark = if layer.sensitivity == most && most > 0.0 { "  most sensitive" } else { "" };
        text += &format!(
            "{:<28} {:<18} {:>11.5} {:>9.5} {:>12.2e}  {forms}{mark}\n",
            layer.output, layer.operator, layer.max_error, layer.cosine, layer.sensitivity
        );
    }
    text
}
