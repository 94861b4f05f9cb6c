//! Executes programs, and proves the execution.
//!
//! | module | what |
//! |---|---|
//! | [`execute`] | integer inference |
//! | `keys` | setup: proving and verification keys |
//! | `witness` | columns of one execution |
//! | `multiplicities` | uses of table rows |
//! | `prove` | the protocol, step by step |
//! | `logup`, `contraction`, `opening` | one argument each, named as in `circuits/PROTOCOL.md` |
//! | [`commit`], [`merkle`] | oracles |

mod claim_sum;
pub mod commit;
mod contraction;
mod evaluate;
pub mod execute;
mod kernels;
mod keys;
mod logup;
pub mod merkle;
mod multiplicities;
mod opening;
mod packed;
mod prove;
mod witness;

pub use keys::{ProvingKey, ProvingKeyError, SetupError, setup, setup_batch};
pub use multiplicities::count_multiplicities;
pub use prove::{ProveError, Proved, prove, prove_batch, prove_witness};
pub use witness::Witness;
