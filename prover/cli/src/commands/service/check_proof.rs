//! The process that checks one proof for `vinfer serve`.

use std::path::Path;

use serde_json::json;
use vinfer_circuits::system::PublicPort;
use vinfer_service::ServiceError;
use vinfer_service::verification::{Task, run};

use crate::args::CheckProof;
use crate::engine::port_spec;
use crate::error::CliError;
use crate::ports::{PortSpec, Sample, read_inputs};
use crate::report::Outcome;

/// Runs the command.
pub(crate) fn run_task(args: &CheckProof) -> Result<Outcome, CliError> {
    let task = Task { directory: args.directory.clone(), memory: args.memory, seconds: args.seconds };
    run(&task, read).map_err(|error| ServiceError::internal(error.to_string()))?;
    Ok(Outcome { text: String::new(), json: json!({}) })
}

fn read(path: &Path, ports: &[PublicPort], index: u64) -> Result<Sample, String> {
    let specs: Vec<PortSpec> = ports.iter().map(|port| port_spec(port, &port.shape)).collect();
    let samples = read_inputs(path, &specs, index..index.saturating_add(1)).map_err(|error| error.to_string())?;
    samples.into_iter().next().ok_or_else(|| "it holds no sample".to_owned())
}
