//! `vinfer`: compile, run, prove and verify quantised ONNX models.
//!
//! Exit codes: 0 done or accepted, 1 proof rejected, 2 bad input or usage.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod cost;
mod engine;
mod error;
mod files;
mod html;
mod measure;
mod ports;
mod report;
mod tensors;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use error::CliError;

/// Exit code of a command line that does not parse; also what `clap` uses.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_usage(&error),
    };
    let verifying = matches!(cli.command, Command::Verify(_));
    match execute(&cli) {
        Ok(outcome) => {
            report::print(&if cli.global.json { outcome.json.to_string() } else { outcome.text });
            ExitCode::SUCCESS
        }
        Err(error) => {
            if cli.global.json {
                report::print(&report::failure(&error, verifying).to_string());
            }
            eprintln!("{}: {error}", if error.is_rejection() { "rejected" } else { "error" });
            if let Some(hint) = error.hint() {
                eprintln!("  {hint}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn execute(cli: &Cli) -> Result<report::Outcome, CliError> {
    let threads = cli.global.threads.map_or(0, usize::from);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    match &cli.command {
        Command::Demo => commands::demo::run(cli.global.json),
        Command::Inspect(args) => commands::inspect::run(args),
        Command::Quantize(args) => commands::quantize::run(args),
        Command::Compile(args) => commands::compile::run(args),
        Command::Setup(args) => commands::setup::run(args),
        Command::Run(args) => commands::run::run(args),
        Command::Prove(args) => commands::prove::run(args),
        Command::Verify(args) => commands::verify::run(args),
        Command::Remote(args) => commands::remote::run(args),
        Command::Serve(args) => commands::service::serve::run(args, cli.global.json),
        Command::Worker(args) => commands::service::worker::run(args, cli.global.json),
        Command::Keys(args) => commands::service::keys::run(args),
        Command::Log(args) => commands::service::log::run(args),
        Command::Doctor(args) => commands::service::doctor::run(args),
        Command::Backup(args) => commands::service::backup::run(args),
        Command::Restore(args) => commands::service::backup::restore_copy(args),
        Command::CheckProof(args) => commands::service::check_proof::run_task(args),
        Command::CompileModel(args) => commands::service::compile_model::run_task(args),
    }
}

/// Reports a command line that does not parse, or prints the help asked for.
fn refuse_usage(error: &clap::Error) -> ExitCode {
    let given = |word: &str| std::env::args_os().skip(1).any(|argument| argument == word);
    if error.use_stderr() && given("--json") {
        let message = error.to_string();
        let message = message.trim().trim_start_matches("error: ");
        report::print(&report::usage_failure(message, given("verify")).to_string());
    }
    error.print().ok();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}
