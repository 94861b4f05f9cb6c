//! `vinfer setup`: program file to proving and verifying key.

use serde_json::json;

use super::read_program;
use crate::args::Setup;
use crate::engine;
use crate::error::CliError;
use crate::files::{self, Target};
use crate::measure::{Stopwatch, peak_rss_bytes};
use crate::report::{self, Outcome, Progress};

/// Runs the command.
pub(crate) fn run(args: &Setup) -> Result<Outcome, CliError> {
    let program = read_program(&args.program)?;
    files::create_directory(&args.output)?;
    let vk_target = Target::check(&args.output.join("vk"))?;
    let pk_target = Target::check(&args.output.join("pk"))?;
    let watch = Stopwatch::start();
    let progress = Progress::start("making keys");
    let keys = engine::setup(&program).map_err(|source| CliError::Engine { path: args.program.clone(), source })?;
    let elapsed = watch.elapsed();
    // Both are on disk before either gets its name.
    let (pk, vk) = (pk_target.stage_with(&mut |out| keys.pk.write_to(out))?, vk_target.stage(&keys.vk)?);
    pk.commit()?;
    vk.commit()?;
    let pk_bytes = files::open(&args.output.join("pk"))?.1;
    drop(progress);
    let text = format!(
        "made keys in {}\n  vk {} (publish it), pk {} (for the prover), {}",
        args.output.display(),
        report::bytes(keys.vk.len() as u64),
        report::bytes(pk_bytes),
        report::seconds(elapsed.wall),
    );
    let json = json!({
        "vk": args.output.join("vk").to_string_lossy(),
        "pk": args.output.join("pk").to_string_lossy(),
        "vk_bytes": keys.vk.len(),
        "pk_bytes": pk_bytes,
        "setup_seconds": elapsed.wall,
        "cpu_seconds": elapsed.cpu,
        "peak_rss_bytes": peak_rss_bytes(),
    });
    Ok(Outcome { text, json })
}
