//! `vinfer doctor`: looks for what will go wrong with a service.

use serde_json::json;
use vinfer_service::ServiceError;
use vinfer_service::maintenance::doctor::{Finding, Health, examine};

use super::{configuration, settings, wait_for};
use crate::args::Doctor;
use crate::error::CliError;
use crate::report::{self, Outcome};

/// Runs the command.
pub(crate) fn run(args: &Doctor) -> Result<Outcome, CliError> {
    let config = configuration(&args.data, &settings(args.config.as_deref(), [], &args.set)?)?;
    let findings = wait_for(async { Ok(examine(&config).await) })?;
    let line = |finding: &Finding| {
        let health = match finding.health {
            Health::Good => "good",
            Health::Warning => "warning",
            Health::Bad => "bad",
        };
        format!("{health:8} {:11} {}", finding.what, finding.text)
    };
    let text = findings.iter().map(line).collect::<Vec<_>>().join("\n");
    let bad: Vec<&str> =
        findings.iter().filter(|finding| finding.health == Health::Bad).map(|finding| finding.what).collect();
    if !bad.is_empty() {
        report::print(&text);
        return Err(ServiceError::invalid(format!("not well: {}", bad.join(", "))).into());
    }
    Ok(Outcome { text, json: json!({ "findings": findings }) })
}
