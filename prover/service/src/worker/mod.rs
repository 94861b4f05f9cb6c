//! Workers: take jobs, prove them, have the proof checked, report.

mod room;
mod slot;

pub use room::{KeyRoom, Room};
pub use slot::{Worker, Workers};
