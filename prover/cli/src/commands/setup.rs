//! `vinfer setup`: program file to proving and verifying key.

use std::path::Path;

use serde_json::json;

use super::{MAX_KEY_BYTES, read_program};
use crate::args::Setup;
use crate::engine::{self, VerifyingKey};
use crate::error::CliError;
use crate::files::{self, Target};
use crate::measure::{Stopwatch, peak_rss_bytes};
use crate::report::{self, Outcome, Progress};

/// Runs the command.
pub(crate) fn run(args: &Setup) -> Result<Outcome, CliError> {
    match (&args.output, &args.check) {
        (Some(output), _) => write(args, output),
        (None, Some(vk)) => check(args, vk),
        // The command line asks for one of them.
        (None, None) => Err(CliError::NoKeyPath),
    }
}

fn write(args: &Setup, output: &Path) -> Result<Outcome, CliError> {
    let program = read_program(&args.program)?;
    files::create_directory(output)?;
    let vk_target = Target::check(&output.join("vk"))?;
    let pk_target = Target::check(&output.join("pk"))?;
    let watch = Stopwatch::start();
    let progress = Progress::start("making keys");
    let batch = args.batch.unwrap_or(1);
    let keys =
        engine::setup(&program, batch).map_err(|source| CliError::Engine { path: args.program.clone(), source })?;
    let elapsed = watch.elapsed();
    // Both are on disk before either gets its name.
    let (pk, vk) = (pk_target.stage_with(&mut |out| keys.pk.write_to(out))?, vk_target.stage(&keys.vk)?);
    pk.commit()?;
    vk.commit()?;
    let pk_bytes = files::open(&output.join("pk"))?.1;
    drop(progress);
    let text = format!(
        "made keys in {}{}\n  vk {} (publish it), pk {} (for the prover), {}",
        output.display(),
        if batch == 1 { String::new() } else { format!(", for {batch} inferences in one proof") },
        report::bytes(keys.vk.len() as u64),
        report::bytes(pk_bytes),
        report::seconds(elapsed.wall),
    );
    let json = json!({
        "vk": output.join("vk").to_string_lossy(),
        "pk": output.join("pk").to_string_lossy(),
        "batch": batch,
        "vk_bytes": keys.vk.len(),
        "pk_bytes": pk_bytes,
        "setup_seconds": elapsed.wall,
        "cpu_seconds": elapsed.cpu,
        "peak_rss_bytes": peak_rss_bytes(),
    });
    Ok(Outcome { text, json })
}

/// Makes the key again, for as many inferences as it is for, and compares.
fn check(args: &Setup, vk: &Path) -> Result<Outcome, CliError> {
    let program = read_program(&args.program)?;
    let given = files::read(vk, MAX_KEY_BYTES)?;
    let key = VerifyingKey::from_bytes(&given).map_err(|source| CliError::Engine { path: vk.to_owned(), source })?;
    let batch = key.batch();
    if let Some(expected) = args.batch.filter(|&expected| expected != batch) {
        return Err(CliError::OtherBatch { path: vk.to_owned(), batch, expected });
    }
    let progress = Progress::start("making the key again");
    let keys =
        engine::setup(&program, batch).map_err(|source| CliError::Engine { path: args.program.clone(), source })?;
    drop(progress);
    if keys.vk != given {
        return Err(CliError::OtherKey { path: vk.to_owned(), program: args.program.clone() });
    }
    let text = format!(
        "{} is the verifying key of {}, for {batch} inference{} in one proof",
        vk.display(),
        args.program.display(),
        if batch == 1 { "" } else { "s" },
    );
    Ok(Outcome { text, json: json!({ "valid": true, "batch": batch, "vk": vk.to_string_lossy() }) })
}
