//! Exact integer forms of ONNX Runtime's floating-point requantisation.
//!
//! ONNX Runtime rescales integer accumulators with single-precision arithmetic. Per channel that is a monotone step
//! function with at most 255 steps; [`solve_requant`] finds the cheapest [`Requant`](vinfer_circuits::ops::Requant)
//! that equals it on every reachable accumulator, [`solve_add`] does the same for the two-input `QLinearAdd`.
//! Nothing here is approximate: a form is returned only after an exact check against the reference functions
//! ([`requant_reference`], [`add_reference`]), and the table forms always exist.

mod add;
mod plane;
mod product;
mod reference;
mod requant;
mod stab;
mod thresholds;

pub use add::solve_add;
pub use product::{product_reference, solve_product};
pub use reference::{AddScales, add_is_swapped, add_reference, requant_reference};
pub use requant::solve_requant;
