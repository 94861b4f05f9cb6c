//! Benchmarks of the `vinfer` command line: `table` of all test models, `compare` with EZKL on the same model shapes,
//! `scaling` over generated models.
//!
//! Every step runs in a child process of its own, so its processor time and peak memory are the kernel's figures for it.

mod args;
mod child;
mod error;
mod ezkl;
mod format;
mod places;
mod results;
mod scaling;
mod tables;
mod vinfer;

use std::process::ExitCode;

use serde_json::{Value, json};

use args::{Args, Command};
use error::BenchError;
use places::Places;
use results::Results;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Args::parse(&arguments).and_then(|args| run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if matches!(error, BenchError::Usage { .. }) {
                eprintln!("{}", args::USAGE);
            }
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), BenchError> {
    let places = Places::find();
    let cli = vinfer::Cli::get(args, &places)?;
    match args.command {
        Command::Table => table(args, &places, &cli),
        Command::Compare => compare(args, &places, &cli),
        Command::Scaling => scaling::run(args, &places, &cli),
        Command::Gpt2 => scaling::gpt2(args, &places, &cli),
    }
}

fn table(args: &Args, places: &Places, cli: &vinfer::Cli) -> Result<(), BenchError> {
    let mut results = Results::new(&places.results("table"), cli.about(places));
    for model in &args.models {
        results.add(model, &[("vinfer", cli.measure(model, places, args))])?;
    }
    println!("{}", tables::own(results.models()));
    results.finish()
}

fn compare(args: &Args, places: &Places, cli: &vinfer::Cli) -> Result<(), BenchError> {
    let peer = ezkl::Ezkl::install(places, args)?;
    let about = json!({ "vinfer": cli.about(places), "ezkl": { "version": ezkl::VERSION } });
    let mut results = Results::new(&places.results("compare"), about);
    for model in &args.models {
        let own: Result<Value, BenchError> = cli.measure(model, places, args);
        let other = peer.measure(model, places);
        results.add(model, &[("vinfer", own), ("ezkl", other)])?;
    }
    println!("{}", tables::comparison(results.models()));
    results.finish()
}
