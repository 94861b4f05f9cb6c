//! How cost grows: models with random weights from ten thousand parameters up, alone and in batches; a least-squares fit
//! of every figure, and a plot.

mod fit;
mod graph;
mod models;
mod plot;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::args::Args;
use crate::error::BenchError;
use crate::places::Places;
use crate::vinfer::Cli;
use fit::Fit;
use models::{Model, Transformer, convolutional, perceptron, transformer};

/// Parameters of the smallest model.
const LEAST: f64 = 1e4;
/// Side of the images.
const SIDE: i64 = 8;
/// Batches that every model is measured with.
const BATCHES: [usize; 2] = [1, 16];
/// Head of the table that is printed.
const HEAD: &str = "\
| model | parameters | activations | batch | setup CPU s | prove CPU s | per inference | peak RSS MB | proof KB | verify ms |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|";
/// Models whose batch has more activations than this are not measured with `--most` at its default.
const MOST_ACTIVATIONS: u64 = 1 << 21;

/// One measured model and batch.
struct Point {
    series: String,
    parameters: f64,
    /// Of the whole batch.
    activations: f64,
    figures: Vec<f64>,
}

/// What is fitted: name, unit, and whether it grows with logarithms of the sizes or with the sizes.
const FIGURES: [(&str, &str, bool); 4] = [
    ("prove CPU seconds", "s", false),
    ("peak memory", "bytes", false),
    ("proof", "bytes", true),
    ("verify milliseconds", "ms", true),
];

/// Runs `scaling`.
pub(crate) fn run(args: &Args, places: &Places, cli: &Cli) -> Result<(), BenchError> {
    let mut points = Vec::new();
    let mut records = Vec::new();
    println!("{HEAD}");
    let mut size = LEAST;
    while size <= args.most as f64 * 1.001 {
        for (kind, model) in [("perceptron", perceptron(size)), ("convolutions", convolutional(size, SIDE))] {
            for batch in BATCHES {
                if model.activations * batch as u64 > MOST_ACTIVATIONS.max(args.most / 4) {
                    continue;
                }
                let (point, record) = measure(kind, &model, batch, args, places, cli)?;
                points.push(point);
                records.push(record);
            }
        }
        size *= 10f64.sqrt();
    }
    println!();
    let fits: Vec<Fit> = FIGURES.iter().enumerate().map(|(at, &(_, _, log))| Fit::new(&points, at, log)).collect();
    for ((name, unit, _), fit) in FIGURES.iter().zip(&fits) {
        println!("{name} ({unit}): {}", fit.describe());
    }
    let fitted: Vec<Value> =
        FIGURES.iter().zip(&fits).map(|((name, _, _), fit)| json!({ "figure": name, "fit": fit.describe() })).collect();
    let results = places.results("scaling");
    write(&results, json!({ "about": cli.about(places), "points": records, "fits": fitted }).to_string().as_bytes())?;
    let picture = results.with_extension("svg");
    write(&picture, plot::svg(&points, &fits[0]).as_bytes())?;
    println!("\nwrote {} and {}", results.display(), picture.display());
    Ok(())
}

/// Runs `gpt2`: the blocks of GPT-2 small on 16 embedded tokens, with and without its layer normalisations.
pub(crate) fn gpt2(args: &Args, places: &Places, cli: &Cli) -> Result<(), BenchError> {
    println!("{HEAD}");
    for normalised in [true, false] {
        let shape = Transformer { tokens: 16, width: 768, heads: 12, layers: args.layers, vocabulary: 0, normalised };
        let model = transformer(shape);
        let kind = if normalised { "gpt2" } else { "gpt2 without normalisation" };
        if let Err(error) = measure(kind, &model, 1, args, places, cli) {
            println!("{kind}, {} parameters: {error}", model.parameters);
        }
    }
    Ok(())
}

fn measure(
    kind: &str,
    model: &Model,
    batch: usize,
    args: &Args,
    places: &Places,
    cli: &Cli,
) -> Result<(Point, Value), BenchError> {
    let work = places.scratch(&["benches", "work", "scaling"])?;
    let (onnx, input) = (work.join("model.onnx"), work.join("inputs.npy"));
    write(&onnx, &model.onnx)?;
    write(&input, &model.inputs(batch))?;
    let measured = cli.measure_file(&format!("{} x {batch}", model.name), &work, &onnx, &input, batch, args)?;
    let figure = |step: &str, path: [&'static str; 2]| {
        let missing = BenchError::Output { step: step.into(), field: path[1] };
        let runs = measured[step].as_array().cloned().unwrap_or_else(|| vec![measured[step].clone()]);
        let mut values = runs.iter().filter_map(|run| run[path[0]][path[1]].as_f64()).collect::<Vec<_>>();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().ok_or(missing)
    };
    let setup = figure("setup", ["report", "cpu_seconds"])?;
    let prove = figure("prove", ["report", "cpu_seconds"])?;
    let memory = figure("prove", ["process", "peak_rss_bytes"])?;
    let proof = figure("prove", ["report", "proof_bytes"])?;
    let verify = figure("verify", ["report", "verify_seconds"])? * 1e3;
    println!(
        "| {} | {} | {} | {batch} | {setup:.2} | {prove:.3} | {:.4} | {:.0} | {:.0} | {verify:.1} |",
        model.name,
        model.parameters,
        model.activations,
        prove / batch as f64,
        memory / 1e6,
        proof / 1e3,
    );
    let point = Point {
        series: if batch == 1 { kind.to_owned() } else { format!("{kind}, batch of {batch}") },
        parameters: model.parameters as f64,
        activations: model.activations as f64 * batch as f64,
        figures: vec![prove, memory, proof, verify],
    };
    let record = json!({
        "model": model.name,
        "kind": kind,
        "parameters": model.parameters,
        "activations": model.activations,
        "batch": batch,
        "setup_cpu_seconds": setup,
        "prove_cpu_seconds": prove,
        "peak_rss_bytes": memory,
        "proof_bytes": proof,
        "verify_ms": verify,
    });
    Ok((point, record))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), BenchError> {
    fs::write(path, bytes).map_err(|source| BenchError::File { path: path.to_owned(), source })
}
