//! The verifier's arithmetic context: algebra plus transcript. All algebraic checks (sumcheck, LogUp, leaf and
//! contraction relations) are written once against [`Context`]; a circuit builder can implement it later.

use vinfer_circuits::arithmetic::{Arithmetic, Native};
use vinfer_circuits::field::K;
use vinfer_circuits::transcript::Transcript;

use crate::error::RejectReason;

/// Algebra, prover messages, challenges and equality checks.
pub(crate) trait Context: Arithmetic {
    /// Takes prover messages into the context and absorbs them.
    fn receive(&mut self, label: &'static str, values: &[K]) -> alloc::vec::Vec<Self::Element>;

    /// Draws a challenge.
    fn challenge(&mut self, label: &'static str) -> Self::Element;

    /// Requires two elements to be equal.
    ///
    /// # Errors
    /// `reason` when they differ (natively; a circuit adds a constraint).
    fn require_equal(&self, a: &Self::Element, b: &Self::Element, reason: RejectReason) -> Result<(), RejectReason>;

    /// Requires an element to be invertible.
    ///
    /// # Errors
    /// `reason` when it is zero.
    fn require_non_zero(&self, a: &Self::Element, reason: RejectReason) -> Result<(), RejectReason>;
}

/// The native context.
#[derive(Debug)]
pub(crate) struct NativeContext {
    /// The transcript.
    pub(crate) transcript: Transcript,
}

impl Arithmetic for NativeContext {
    type Element = K;

    fn constant(&self, value: K) -> K {
        Native.constant(value)
    }
}

impl Context for NativeContext {
    fn receive(&mut self, label: &'static str, values: &[K]) -> alloc::vec::Vec<K> {
        self.transcript.absorb(label, values);
        values.to_vec()
    }

    fn challenge(&mut self, label: &'static str) -> K {
        self.transcript.challenge(label)
    }

    fn require_equal(&self, a: &K, b: &K, reason: RejectReason) -> Result<(), RejectReason> {
        if a == b { Ok(()) } else { Err(reason) }
    }

    fn require_non_zero(&self, a: &K, reason: RejectReason) -> Result<(), RejectReason> {
        use p3_field::Field;
        if a.is_zero() { Err(reason) } else { Ok(()) }
    }
}
