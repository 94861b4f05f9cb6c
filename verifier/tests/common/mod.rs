//! Honest proofs of tiny programs, and a prover that cheats in the opening.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::arithmetic_side_effects, clippy::panic)]

#[path = "../../../prover/tests/common/honest.rs"]
pub(crate) mod honest;
#[path = "../../../prover/tests/common/manifest.rs"]
pub(crate) mod manifest;
pub(crate) mod replay;
#[path = "../../../circuits/tests/common/mod.rs"]
pub(crate) mod tiny;

use honest::Honest;

/// An honest execution of a tiny program by name.
pub(crate) fn tiny_honest(name: &str, seed: u64) -> Honest {
    let (_, program) = tiny::programs::all(seed).into_iter().find(|p| p.0 == name).unwrap();
    Honest::new(&program, tiny::programs::inputs(&program, seed))
}

/// An honest execution of tables only; see [`tiny::programs::lookups`].
pub(crate) fn lookups(len: u32, stages: usize) -> Honest {
    let program = tiny::programs::lookups(5, len, stages);
    Honest::new(&program, tiny::programs::inputs(&program, 5))
}
