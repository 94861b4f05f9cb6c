//! The command line.

mod remote;
mod service;

use std::ops::Range;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::engine::Options;

pub(crate) use remote::{
    Remote, RemoteCommand, RemoteInfer, RemotePlace, RemoteProof, RemoteUpload, RemoteVerify, RemoteVk,
};
pub(crate) use service::{
    Backup, CheckProof, CompileModel, Doctor, KeyPlace, Keys, KeysCommand, Log, LogCommand, LogNewKey, LogVerify,
    Restore, Serve, Work,
};

/// Compile, run, prove and verify quantised ONNX models.
///
/// Exit codes: 0 done or accepted, 1 proof rejected, 2 bad input or usage.
#[derive(Debug, Parser)]
#[command(name = "vinfer", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Print one JSON object on stdout and nothing else
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Threads to use [default: one per core]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compile, prove and verify a built-in digit classifier, then show a forged output being rejected
    Demo,
    /// Show a model's operators, shapes and cost, and what is unsupported and why
    Inspect(Inspect),
    /// Quantise a float ONNX model to 8 bits, so that it can be compiled
    Quantize(Quantize),
    /// Compile an ONNX model to a vinfer program
    Compile(Compile),
    /// Make the proving and verifying key of a program
    Setup(Setup),
    /// Run a program without proving, exactly as ONNX Runtime does
    Run(Run),
    /// Run a program on a sample, or a batch of samples, and prove the results
    Prove(Prove),
    /// Check a proof
    Verify(Verify),
    /// Use a proving service and check its proofs here
    Remote(Remote),
    /// Serve models, inference and proofs over HTTP and gRPC
    Serve(Serve),
    /// Make proofs for gateways that share a NATS server
    Worker(Work),
    /// Make, list and revoke API keys of the service
    Keys(Keys),
    /// Check the service's transparency log
    Log(Log),
    /// Look for what will go wrong with a service
    Doctor(Doctor),
    /// Copy everything that a service keeps
    Backup(Backup),
    /// Fill an empty storage with such a copy
    Restore(Restore),
    /// The process in which `serve` compiles one model
    #[command(hide = true)]
    CompileModel(CompileModel),
    /// The process in which `serve` checks one proof
    #[command(hide = true)]
    CheckProof(CheckProof),
}

/// Sizes that a model leaves open.
#[derive(Debug, Clone, Args)]
pub(crate) struct Shapes {
    /// Shape of an input (`ids=1,128`), or size of a symbolic dimension (`sequence=128`); may be repeated
    #[arg(long = "shape", value_name = "NAME=SIZES", value_parser = parse_shape)]
    pub(crate) shapes: Vec<(String, Vec<u32>)>,
}

impl Shapes {
    /// The compiler's options.
    pub(crate) fn options(&self) -> Options {
        Options { shapes: self.shapes.clone() }
    }
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// ONNX model
    #[arg(value_name = "MODEL.onnx")]
    pub(crate) model: PathBuf,
    /// Write a page about the model, its graph and the cost of every operation to an HTML file
    #[arg(long, value_name = "REPORT.html")]
    pub(crate) html: Option<PathBuf>,
    /// Make one real proof and show what each stage took
    #[arg(long)]
    pub(crate) measure: bool,
    /// Prove sample 0 of this file instead of made-up values; implies --measure
    #[arg(long, value_name = "IN.npz")]
    pub(crate) input: Option<PathBuf>,
    /// Sizes that the model leaves open.
    #[command(flatten)]
    pub(crate) shapes: Shapes,
}

/// Arguments of `quantize`.
#[derive(Debug, Args)]
pub(crate) struct Quantize {
    /// Float ONNX model
    #[arg(value_name = "FLOAT.onnx")]
    pub(crate) model: PathBuf,
    /// Calibration data: one array per graph input, first axis = sample
    #[arg(long, value_name = "DATA.npz")]
    pub(crate) calibrate: PathBuf,
    /// Quantised ONNX model to write
    #[arg(short, long, value_name = "INT8.onnx")]
    pub(crate) output: PathBuf,
    /// How ranges are chosen; `auto` takes the best on the data
    #[arg(long, value_enum, default_value_t = RangeMethod::Auto)]
    pub(crate) method: RangeMethod,
    /// Percentage of the values inside the range, for `--method percentile`
    #[arg(long, value_name = "P", default_value_t = 99.99, value_parser = parse_percentage)]
    pub(crate) percentile: f64,
    /// Keep the tensor NAME at 16 bits, where ONNX Runtime is exact at 16 bits; may be repeated
    #[arg(long = "keep-16", value_name = "NAME")]
    pub(crate) keep_16: Vec<String>,
    /// No factors per channel in front of layer normalisations, even where they help
    #[arg(long)]
    pub(crate) no_channel_factors: bool,
    /// Write the report on every layer to a JSON file
    #[arg(long, value_name = "FILE.json")]
    pub(crate) report: Option<PathBuf>,
}

/// How `quantize` chooses ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RangeMethod {
    /// The best of min-max, percentile and mse.
    Auto,
    /// The whole range seen.
    MinMax,
    /// Without the outermost values.
    Percentile,
    /// Least Kullback-Leibler divergence of the histograms.
    Entropy,
    /// Least mean squared error.
    Mse,
}

/// Arguments of `compile`.
#[derive(Debug, Args)]
pub(crate) struct Compile {
    /// ONNX model
    #[arg(value_name = "MODEL.onnx")]
    pub(crate) model: PathBuf,
    /// Program file to write
    #[arg(short, long, value_name = "MODEL.vinfer")]
    pub(crate) output: PathBuf,
    /// Sizes that the model leaves open.
    #[command(flatten)]
    pub(crate) shapes: Shapes,
}

/// Arguments of `setup`.
#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// Program made by `vinfer compile`
    #[arg(value_name = "MODEL.vinfer")]
    pub(crate) program: PathBuf,
    /// Inferences in one proof [default: 1, or those of --check's key]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch: Option<u32>,
    /// Directory to write `vk` and `pk` into; created if absent
    #[arg(short, long, value_name = "KEYDIR", required_unless_present = "check")]
    pub(crate) output: Option<PathBuf>,
    /// Write nothing, check that this is the verifying key of the program
    #[arg(long, value_name = "VK", conflicts_with = "output")]
    pub(crate) check: Option<PathBuf>,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Program made by `vinfer compile`
    #[arg(value_name = "MODEL.vinfer")]
    pub(crate) program: PathBuf,
    /// Inputs: .npz, .npy or .json, one array per graph input, first axis = sample
    #[arg(long, value_name = "IN.npz")]
    pub(crate) input: PathBuf,
    /// Sample `I`, or samples `A..B` (B excluded) [default: 0]
    #[arg(long, value_name = "I | A..B", value_parser = parse_samples)]
    pub(crate) index: Option<Range<u64>>,
    /// Outputs to write, one array per graph output, first axis = sample
    #[arg(short, long, value_name = "OUT.npz")]
    pub(crate) output: PathBuf,
}

/// Arguments of `prove`.
#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// Proving key made by `vinfer setup`
    #[arg(long, value_name = "KEYDIR/pk")]
    pub(crate) pk: PathBuf,
    /// Inputs: .npz, .npy or .json, one array per graph input, first axis = sample
    #[arg(long, value_name = "IN.npz")]
    pub(crate) input: PathBuf,
    /// Sample `I`, or samples `A..B` (B excluded), as many as the key proves at once [default: the first ones]
    #[arg(long, value_name = "I | A..B", value_parser = parse_samples)]
    pub(crate) index: Option<Range<u64>>,
    /// 32 bytes in hexadecimal that the proof is bound to [default: zeros]
    #[arg(long, value_name = "HEX32", value_parser = parse_context)]
    pub(crate) context: Option<[u8; 32]>,
    /// Proof to write
    #[arg(short, long, value_name = "FILE.proof")]
    pub(crate) output: PathBuf,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("arrays").args(["input", "output"]).multiple(true))]
pub(crate) struct Verify {
    /// Verifying key made by `vinfer setup`
    #[arg(long, value_name = "KEYDIR/vk")]
    pub(crate) vk: PathBuf,
    /// Proof made by `vinfer prove`
    #[arg(long, value_name = "FILE.proof")]
    pub(crate) proof: PathBuf,
    /// Demand that the proof is for this input
    #[arg(long, value_name = "IN.npz")]
    pub(crate) input: Option<PathBuf>,
    /// Sample of --input and --output (of one sample: that), or samples `A..B` for a whole batch [default: the first ones]
    #[arg(long, value_name = "I | A..B", requires = "arrays", value_parser = parse_samples)]
    pub(crate) index: Option<Range<u64>>,
    /// Compare the sample with inference K of the batch only [default: with a single sample, any]
    #[arg(long, value_name = "K", requires = "arrays")]
    pub(crate) inference: Option<u32>,
    /// Demand that the proof is for this output
    #[arg(long, value_name = "OUT.npz")]
    pub(crate) output: Option<PathBuf>,
    /// Demand that the proof is bound to these 32 bytes in hexadecimal
    #[arg(long, value_name = "HEX32", value_parser = parse_context)]
    pub(crate) context: Option<[u8; 32]>,
}

/// Why an argument does not parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentError {
    /// Neither a number nor two around `..`.
    #[error("expected a sample number I or a range A..B")]
    Samples,
    /// A range with nothing in it.
    #[error("the range is empty: A..B takes the samples from A to B - 1")]
    EmptyRange,
    /// Not a percentage that leaves a range.
    #[error("expected a percentage above 50 and at most 100")]
    Percentage,
    /// Not a name with sizes.
    #[error("expected NAME=SIZES with sizes such as 128 or 1,3,224,224")]
    Shape,
    /// Not 32 bytes in hexadecimal.
    #[error("expected 64 hexadecimal digits (32 bytes)")]
    Context,
}

fn parse_samples(text: &str) -> Result<Range<u64>, ArgumentError> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| ArgumentError::Samples);
    let (start, end) = match text.split_once("..") {
        Some((start, end)) => (number(start)?, number(end)?),
        None => {
            let start = number(text)?;
            (start, start.checked_add(1).ok_or(ArgumentError::Samples)?)
        }
    };
    if start < end { Ok(start..end) } else { Err(ArgumentError::EmptyRange) }
}

fn parse_percentage(text: &str) -> Result<f64, ArgumentError> {
    text.parse().ok().filter(|p| *p > 50.0 && *p <= 100.0).ok_or(ArgumentError::Percentage)
}

fn parse_shape(text: &str) -> Result<(String, Vec<u32>), ArgumentError> {
    // The name may hold any character, even `=`.
    let (name, sizes) = text.rsplit_once('=').ok_or(ArgumentError::Shape)?;
    let sizes = sizes.split(',').map(|size| size.trim().parse::<u32>().ok().filter(|&s| s > 0));
    let sizes = sizes.collect::<Option<Vec<u32>>>().ok_or(ArgumentError::Shape)?;
    if name.is_empty() { Err(ArgumentError::Shape) } else { Ok((name.to_owned(), sizes)) }
}

fn parse_context(text: &str) -> Result<[u8; 32], ArgumentError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let mut context = [0u8; 32];
    hex::decode_to_slice(digits, &mut context).map_err(|_| ArgumentError::Context)?;
    Ok(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn samples_are_one_or_a_nonempty_range() {
        assert_eq!(parse_samples("3"), Ok(3..4));
        assert_eq!(parse_samples("0..20"), Ok(0..20));
        assert_eq!(parse_samples("5..5"), Err(ArgumentError::EmptyRange));
        assert_eq!(parse_samples("5..2"), Err(ArgumentError::EmptyRange));
        for bad in ["", "..", "1..", "..3", "-1", "1..2..3", "1..=3", "x", "18446744073709551615"] {
            assert_eq!(parse_samples(bad), Err(ArgumentError::Samples), "{bad}");
        }
    }

    #[test]
    fn shapes_are_names_with_sizes() {
        assert_eq!(parse_shape("x=1,3, 8"), Ok(("x".to_owned(), vec![1, 3, 8])));
        assert_eq!(parse_shape("a=b=4"), Ok(("a=b".to_owned(), vec![4])));
        for bad in ["", "x", "x=", "=3", "x=0", "x=1,,2", "x=-1"] {
            assert_eq!(parse_shape(bad), Err(ArgumentError::Shape), "{bad}");
        }
    }

    #[test]
    fn context_is_32_bytes() {
        assert_eq!(parse_context(&"0a".repeat(32)), Ok([10; 32]));
        assert_eq!(parse_context(&format!("0x{}", "FF".repeat(32))), Ok([255; 32]));
        for bad in ["", "00", &"0a".repeat(33), &"zz".repeat(32)] {
            assert_eq!(parse_context(bad), Err(ArgumentError::Context), "{bad}");
        }
    }
}
