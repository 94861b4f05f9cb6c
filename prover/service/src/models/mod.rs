//! Models: immutable files with a name, compiled and set up in a process of their own.

pub mod child;
mod record;
mod report;
mod setup;
mod shelf;

pub use record::{Model, ModelState, PortInfo, Ready};
pub use setup::Setup;
pub use shelf::Shelf;

use crate::store::token;

/// Key of a model's record.
pub fn model_key(tenant: &str, name: &str) -> String {
    format!("model.{}.{}", token(tenant), token(name))
}
