//! Executes programs, and proves the execution.

pub mod commit;
pub mod execute;
pub mod merkle;
