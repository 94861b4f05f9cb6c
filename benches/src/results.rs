//! Measurements of a command, written after every model so that a stopped run keeps what it has.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::error::BenchError;

/// What is measured so far.
pub(crate) struct Results {
    path: PathBuf,
    about: Value,
    models: Map<String, Value>,
    failures: usize,
}

impl Results {
    /// None yet.
    pub(crate) fn new(path: &Path, about: Value) -> Self {
        Self { path: path.to_owned(), about, models: Map::new(), failures: 0 }
    }

    /// Adds a model's measurements, by system; a failed one becomes `{"error": why}`.
    pub(crate) fn add(&mut self, model: &str, systems: &[(&str, Result<Value, BenchError>)]) -> Result<(), BenchError> {
        let mut entry = Map::new();
        for (system, measured) in systems {
            let value = measured.as_ref().cloned().unwrap_or_else(|error| {
                eprintln!("[{model}] {system}: {error}");
                self.failures += 1;
                json!({ "error": error.to_string() })
            });
            entry.insert((*system).into(), value);
        }
        self.models.insert(model.into(), Value::Object(entry));
        self.write()
    }

    /// Model by model.
    pub(crate) fn models(&self) -> &Map<String, Value> {
        &self.models
    }

    /// Says where the results are; an error if some are missing.
    pub(crate) fn finish(self) -> Result<(), BenchError> {
        eprintln!("results: {}", self.path.display());
        if self.failures == 0 { Ok(()) } else { Err(BenchError::Incomplete { count: self.failures }) }
    }

    fn write(&self) -> Result<(), BenchError> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let object = json!({
            "unix_time": time,
            "machine": machine(),
            "about": self.about,
            "models": self.models,
        });
        let file_error = |source| BenchError::File { path: self.path.clone(), source };
        self.path.parent().map_or(Ok(()), fs::create_dir_all).map_err(file_error)?;
        fs::write(&self.path, format!("{object:#}\n")).map_err(file_error)
    }
}

/// Processor, cores, load: what a reader needs to judge the figures.
fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")).map(|rest| rest.trim_matches([' ', '\t', ':']));
    json!({
        "os": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "processor": model,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "load_average": read("/proc/loadavg").split_whitespace().next(),
    })
}
