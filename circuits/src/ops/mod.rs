//! Primitive operations, one file each: integer reference semantics. `lower/` holds the relation that is proven of each.

mod add;
mod arrange;
mod contract;
mod embed;
mod extremum;
pub mod float;
mod lookup;
mod matmul;
mod max;
mod multiply;
mod operand;
mod requant;
mod rewire;
mod sum;

pub use add::{Add, AddForm};
pub use arrange::{Arrange, AxisIndices, Part, PartSource};
pub(crate) use contract::row_major_strides;
pub use contract::{Contract, Window};
pub use embed::Embed;
pub use extremum::{Extremum, ExtremumResult};
pub use float::{Float, FloatKind};
pub use lookup::Lookup;
pub use matmul::MatMul;
pub use max::MaxPool;
pub use multiply::Multiply;
pub use operand::{Operand, broadcast_index};
pub use requant::{Requant, floor_div_pow2};
pub use rewire::{Rewire, RewireKind};
pub use sum::Sum;
