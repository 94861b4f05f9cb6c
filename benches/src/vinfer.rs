//! `vinfer`, through its command line.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::child;
use crate::error::BenchError;
use crate::places::Places;

const NATIVE: &str = "-C target-cpu=native";
const BUILD_LIMIT: Duration = Duration::from_secs(3600);

/// A built command line.
pub(crate) struct Cli {
    binary: PathBuf,
    built_here: bool,
}

impl Cli {
    /// The given binary, or one built for this machine's vector units.
    pub(crate) fn get(args: &Args, places: &Places) -> Result<Self, BenchError> {
        if let Some(binary) = &args.cli {
            let binary =
                std::path::absolute(binary).map_err(|source| BenchError::File { path: binary.clone(), source })?;
            return Ok(Self { binary, built_here: false });
        }
        let target = places.scratch(&["native"])?;
        let logs = places.scratch(&["benches", "logs"])?;
        eprintln!("building vinfer ({NATIVE})");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--release", "--locked", "-p", "vinfer", "--target-dir"]).arg(&target);
        cargo.current_dir(&places.root).env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", NATIVE);
        child::run("build", &mut cargo, &logs, BUILD_LIMIT)?;
        Ok(Self { binary: target.join("release/vinfer"), built_here: true })
    }

    /// What was measured.
    pub(crate) fn about(&self, places: &Places) -> Value {
        let git = Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(&places.root).output();
        let commit = git.ok().filter(|output| output.status.success() && self.built_here);
        json!({
            "commit": commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            "rustflags": self.built_here.then_some(NATIVE),
            "threads": 1,
        })
    }

    /// Compiles, sets up, proves and verifies a model's first sample, on one thread.
    pub(crate) fn measure(&self, model: &str, places: &Places, args: &Args) -> Result<Value, BenchError> {
        let work = places.scratch(&["benches", "work", "vinfer", model])?;
        let source = places.quantised(model);
        self.measure_file(model, &work, &source.join("model.onnx"), &source.join("inputs.npz"), 1, args)
    }

    /// The same for a model file and its inputs, with keys for `batch` samples.
    pub(crate) fn measure_file(
        &self,
        model: &str,
        work: &Path,
        onnx: &Path,
        input: &Path,
        batch: usize,
        args: &Args,
    ) -> Result<Value, BenchError> {
        let batch = batch.to_string();
        let step = |name: &str, configure: &dyn Fn(&mut Command) -> &mut Command| {
            let mut command = Command::new(&self.binary);
            command.current_dir(work).args([name, "--json", "--threads", "1"]);
            configure(&mut command);
            child::run(name, &mut command, work, args.timeout)
        };
        let mut steps = Map::new();
        eprintln!("[{model}] vinfer compile, setup");
        steps.insert("compile".into(), step("compile", &|c| c.arg(onnx).args(["-o", "model.vinfer"]))?);
        steps.insert("setup".into(), step("setup", &|c| c.args(["model.vinfer", "--batch", &batch, "-o", "keys"]))?);
        let (mut prove, mut verify) = (Vec::new(), Vec::new());
        for run in 1..=args.runs {
            eprintln!("[{model}] vinfer prove, verify {run} of {}", args.runs);
            let input_of = |c: &mut Command| {
                c.arg("--input").arg(input);
            };
            prove.push(step("prove", &|c| {
                input_of(c);
                c.args(["--pk", "keys/pk", "-o", "proof"])
            })?);
            verify.push(step("verify", &|c| {
                input_of(c);
                c.args(["--vk", "keys/vk", "--proof", "proof"])
            })?);
        }
        let valid = verify.iter().all(|run| run["report"]["valid"] == true);
        if !valid {
            return Err(BenchError::Output { step: "verify".into(), field: "valid" });
        }
        steps.insert("prove".into(), prove.into());
        steps.insert("verify".into(), verify.into());
        Ok(Value::Object(steps))
    }
}
