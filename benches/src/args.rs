//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::BenchError;

/// Shown after a command line that does not parse.
pub(crate) const USAGE: &str = "\
usage: vinfer-benches table   [--models A,B] [--runs N] [--timeout SECONDS] [--cli VINFER]
       vinfer-benches compare [--models A,B] [--runs N] [--timeout SECONDS] [--cli VINFER]
       vinfer-benches scaling [--most PARAMETERS] [--runs N] [--timeout SECONDS] [--cli VINFER]
       vinfer-benches gpt2 [--layers N] [--runs N] [--timeout SECONDS] [--cli VINFER]";

/// Models of `table`: all that the compiler's tests have.
pub(crate) const TABLE_MODELS: [&str; 10] = [
    "iris_mlp",
    "breast_cancer_mlp",
    "digits_mlp",
    "digits_cnn",
    "digits_cnn_qop",
    "digits_cnn_s8s8",
    "lenet5",
    "cnn62k",
    "cnn264k",
    "mlp4m",
];

/// Models of `compare`: those with a float twin in `benches/models`.
pub(crate) const COMPARE_MODELS: [&str; 2] = ["digits_mlp", "lenet5"];

const DEFAULT_RUNS: usize = 7;
const DEFAULT_MOST: u64 = 10_000_000;
const DEFAULT_LAYERS: usize = 12;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3600);

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// `vinfer` alone.
    Table,
    /// `vinfer` and EZKL.
    Compare,
    /// `vinfer` on generated models of growing size.
    Scaling,
    /// `vinfer` on a generated transformer of the size of GPT-2.
    Gpt2,
}

/// A command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Args {
    /// What to measure.
    pub(crate) command: Command,
    /// On which models.
    pub(crate) models: Vec<String>,
    /// Parameters of the largest generated model.
    pub(crate) most: u64,
    /// Blocks of the generated transformer.
    pub(crate) layers: usize,
    /// Runs of `vinfer prove` and `vinfer verify`; the median counts.
    pub(crate) runs: usize,
    /// Limit of one child process.
    pub(crate) timeout: Duration,
    /// Binary to measure instead of one built here.
    pub(crate) cli: Option<PathBuf>,
}

impl Args {
    /// Parses the arguments after the program name.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, BenchError> {
        let usage = |problem: String| BenchError::Usage { problem };
        let (command, known): (_, &[&str]) = match arguments.first().map(String::as_str) {
            Some("table") => (Command::Table, &TABLE_MODELS),
            Some("compare") => (Command::Compare, &COMPARE_MODELS),
            Some("scaling") => (Command::Scaling, &[]),
            Some("gpt2") => (Command::Gpt2, &[]),
            _ => return Err(usage("expected `table`, `compare`, `scaling` or `gpt2`".into())),
        };
        let models = known.iter().map(ToString::to_string).collect();
        let generated = matches!(command, Command::Scaling | Command::Gpt2);
        let runs = if generated { 1 } else { DEFAULT_RUNS };
        let (most, layers, timeout) = (DEFAULT_MOST, DEFAULT_LAYERS, DEFAULT_TIMEOUT);
        let mut args = Self { command, models, most, layers, runs, timeout, cli: None };
        for pair in arguments[1..].chunks(2) {
            let [option, value] = pair else { return Err(usage(format!("`{}` needs a value", pair[0]))) };
            let number = || value.parse::<u64>().ok().filter(|n| *n > 0);
            let number = || number().ok_or_else(|| usage(format!("`{option}` needs a positive number, not `{value}`")));
            match option.as_str() {
                "--models" => args.models = value.split(',').map(str::to_owned).collect(),
                "--most" if command == Command::Scaling => args.most = number()?,
                "--layers" if command == Command::Gpt2 => args.layers = number()? as usize,
                "--runs" => args.runs = number()? as usize,
                "--timeout" => args.timeout = Duration::from_secs(number()?),
                "--cli" => args.cli = Some(value.into()),
                _ => return Err(usage(format!("no such option: `{option}`"))),
            }
        }
        match args.models.iter().find(|model| !known.contains(&model.as_str())) {
            Some(model) => Err(usage(format!("no such model: `{model}`; there are {}", known.join(", ")))),
            None => Ok(args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, BenchError> {
        Args::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_replace_defaults() {
        let args = parse("table").unwrap();
        assert_eq!((args.command, args.models.len(), args.runs), (Command::Table, TABLE_MODELS.len(), DEFAULT_RUNS));
        let args = parse("compare --models lenet5,digits_mlp --runs 3 --timeout 60").unwrap();
        assert_eq!(args.models, ["lenet5", "digits_mlp"]);
        assert_eq!((args.runs, args.timeout), (3, Duration::from_secs(60)));
        let args = parse("scaling --most 100000").unwrap();
        assert_eq!((args.command, args.most, args.runs), (Command::Scaling, 100_000, 1));
        assert_eq!(parse("gpt2 --layers 2").unwrap().layers, 2);
    }

    #[test]
    fn bad_command_lines_are_refused() {
        for line in [
            "",
            "all",
            "table --models",
            "table --runs 0",
            "compare --models mlp4m",
            "table --fast 1",
            "table --most 9",
            "gpt2 --most 9",
        ] {
            assert!(matches!(parse(line), Err(BenchError::Usage { .. })), "{line}");
        }
    }
}
