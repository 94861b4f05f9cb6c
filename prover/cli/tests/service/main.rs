//! The proving service from outside: one file per scenario, which says what is broken and what must be observed.

mod contract;
mod drain;
mod idempotency;
mod isolation;
mod limits;
mod malformed;
mod recovery;
mod support;
mod uploads;
