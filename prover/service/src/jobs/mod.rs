//! Jobs: one statement to be proven. Everything that may happen to one is decided here, on one record per job.

mod activity;
mod board;
mod desk;
mod job;
mod lease;
mod sweep;
mod usage;

pub use activity::{Activity, Ended, Failed};
pub use board::{Board, Counts};
pub use desk::{Desk, Order};
pub use job::{Delivered, Event, EventKind, Execution, Failure, FailureCause, Job, Payload, Proof, Proved, State};
pub use lease::{Finish, Lease, LeaseError, Ticket};
pub use sweep::{Swept, sweep};
pub use usage::Usage;

use crate::store::token;

/// Key of a job's record.
pub fn job_key(tenant: &str, id: &str) -> String {
    format!("job.{}.{}", token(tenant), token(id))
}

/// Prefix of the keys of a tenant's jobs.
pub fn job_prefix(tenant: &str) -> String {
    format!("job.{}.", token(tenant))
}

/// Key of the record that says which job proves a statement.
pub fn claim_key(tenant: &str, statement: &crate::ids::Digest) -> String {
    format!("claim.{}.{statement}", token(tenant))
}
