//! Primitive operations, one file each: integer reference semantics and the relation that is proven.

mod add;
mod contract;
mod lookup;
mod max;
mod requant;
mod rewire;
mod sum;

pub use add::{Add, AddForm, AddOperand};
pub use contract::{Contract, Window};
pub use lookup::Lookup;
pub use max::MaxPool;
pub use requant::{Requant, floor_div_pow2};
pub use rewire::{Rewire, RewireKind};
pub use sum::Sum;
