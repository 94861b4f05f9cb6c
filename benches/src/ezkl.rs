//! EZKL, through its Python package in a virtual environment of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::child;
use crate::error::BenchError;
use crate::places::{Places, file_bytes};

/// The version compared with.
pub(crate) const VERSION: &str = "23.0.5";

const INSTALL_LIMIT: Duration = Duration::from_secs(900);

/// An installed EZKL.
pub(crate) struct Ezkl {
    python: PathBuf,
    script: PathBuf,
    strings: PathBuf,
    limit: Duration,
}

impl Ezkl {
    /// Installs the wanted version, unless it is there.
    pub(crate) fn install(places: &Places, args: &Args) -> Result<Self, BenchError> {
        let peers = places.scratch(&["peers"])?;
        let environment = peers.join("ezkl-venv");
        let ezkl = Self {
            python: environment.join("bin/python"),
            script: places.root.join("benches/peers/ezkl_step.py"),
            strings: places.scratch(&["peers", "srs"])?,
            limit: args.timeout,
        };
        if !ezkl.has_wanted_version(&peers) {
            eprintln!("installing ezkl {VERSION}");
            let mut create = Command::new("python3");
            create.args(["-m", "venv"]).arg(&environment);
            child::run("create-environment", &mut create, &peers, INSTALL_LIMIT)?;
            let mut install = Command::new(&ezkl.python);
            install.args(["-m", "pip", "install", "--quiet", &format!("ezkl=={VERSION}")]);
            child::run("install-ezkl", &mut install, &peers, INSTALL_LIMIT)?;
        }
        if ezkl.has_wanted_version(&peers) {
            Ok(ezkl)
        } else {
            Err(BenchError::Output { step: "ezkl version".into(), field: "version" })
        }
    }

    fn has_wanted_version(&self, peers: &Path) -> bool {
        let nothing = Path::new("-");
        self.step("version", peers, [nothing, nothing, nothing])
            .is_ok_and(|reported| reported["report"]["version"] == VERSION)
    }

    /// Calibrates, compiles, sets up, proves and verifies one sample, on as many threads as EZKL takes.
    pub(crate) fn measure(&self, model: &str, places: &Places) -> Result<Value, BenchError> {
        let work = places.scratch(&["benches", "work", "ezkl", model])?;
        let source = places.root.join("benches/models").join(model);
        let (onnx, input) = (source.join("model_float.onnx"), source.join("input.json"));
        let mut steps = Map::new();
        let mut string = self.strings.join("unknown.srs");
        for name in ["settings", "calibrate", "compile", "srs", "setup", "witness", "prove", "verify"] {
            eprintln!("[{model}] ezkl {name}");
            let files = [onnx.as_path(), &input, &string];
            let measured =
                if name == "srs" { self.reference_string(&work, files)? } else { self.step(name, &work, files)? };
            if name == "calibrate" {
                let rows = measured["report"]["logrows"].as_u64();
                let rows = rows.ok_or(BenchError::Output { step: name.into(), field: "logrows" })?;
                string = self.strings.join(format!("k{rows}.srs"));
            }
            steps.insert(name.into(), measured);
        }
        let bytes = json!({
            "pk": file_bytes(work.join("pk"))?,
            "vk": file_bytes(work.join("vk"))?,
            "srs": file_bytes(string)?,
        });
        steps.insert("bytes".into(), bytes);
        Ok(Value::Object(steps))
    }

    /// Makes the reference string, or takes the one made before for a circuit of this size and what it cost.
    fn reference_string(&self, work: &Path, files: [&Path; 3]) -> Result<Value, BenchError> {
        let note = files[2].with_extension("json");
        let before = fs::read_to_string(&note).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
        if let Some(mut before) = before.filter(|_| files[2].exists()) {
            before["made_before"] = true.into();
            return Ok(before);
        }
        let made = self.step("srs", work, files)?;
        fs::write(&note, made.to_string()).map_err(|source| BenchError::File { path: note, source })?;
        Ok(made)
    }

    fn step(&self, name: &str, work: &Path, files: [&Path; 3]) -> Result<Value, BenchError> {
        let mut python = Command::new(&self.python);
        python.arg(&self.script).arg(name).args(files).current_dir(work);
        child::run(name, &mut python, work, self.limit)
    }
}
