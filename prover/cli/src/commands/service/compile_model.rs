//! The process that compiles one model for `vinfer serve`.

use serde_json::json;
use vinfer_service::ServiceError;
use vinfer_service::models::child::{Task, run};

use crate::args::CompileModel;
use crate::error::CliError;
use crate::report::Outcome;

/// Runs the command.
pub(crate) fn run_task(args: &CompileModel) -> Result<Outcome, CliError> {
    let task =
        Task { model: args.model.clone(), output: args.output.clone(), memory: args.memory, seconds: args.seconds };
    run(&task).map_err(|error| ServiceError::internal(error.to_string()))?;
    Ok(Outcome { text: String::new(), json: json!({}) })
}
