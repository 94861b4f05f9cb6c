//! What an operator does beside serving: copies, checks, and forgetting what is old.

pub mod backup;
pub mod doctor;
pub mod retention;
