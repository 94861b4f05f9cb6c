//! The proving service from outside: one file per scenario, which says what is broken and what must be observed.

mod clients;
mod contract;
mod dashboard;
mod deploy;
mod drain;
mod full_disk;
mod grpc;
mod idempotency;
mod isolation;
mod liar;
mod limits;
mod malformed;
mod many_machines;
#[path = "../../../service/tests/nats/mod.rs"]
mod nats_server;
mod operations;
mod overview;
mod page;
mod recovery;
mod remote;
mod slow_clients;
mod support;
mod transparency;
mod uploads;
mod verification;
