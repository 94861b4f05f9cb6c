//! Executes programs, and proves the execution.

pub mod execute;
