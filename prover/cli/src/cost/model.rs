//! The cost model: predicted proving time and memory as linear functions of counts. Its coefficients stand here only.
//!
//! Fitted by non-negative least squares of the relative error to processor seconds (lower quartile of 7 to 17 runs) and
//! peak memory (median) of `vinfer prove --threads 1`, default build, on the ten classifiers in `compiler/tests/models`
//! of 7 thousand to 4 million weights, on a shared x86-64 server (2.5 GHz Xeon). The seconds for a multiplication are those
//! of the stage that executes the model. Fitted apart, the coefficients of witness cells and leaves came out 2.8 % apart,
//! less than the data tell, so they are one number. `vinfer inspect --measure --json` prints the data of one point.

use super::{Cost, Counts};

/// One term of a prediction: a count, its coefficient and its name.
pub(crate) struct Term {
    /// What is counted.
    pub(crate) name: &'static str,
    /// Coefficient: seconds (or bytes) for each.
    pub(crate) each: f64,
}

/// Seconds of processor time, in the order of [`Work`].
pub(crate) const COEFFICIENTS: [Term; 5] = [
    Term { name: "proof, whatever its model (proof of work, short oracles)", each: 4.9e-3 },
    Term { name: "cell of the witness vector (a power of two)", each: 3.24e-7 },
    Term { name: "leaf of the lookup argument", each: 3.24e-7 },
    Term { name: "cell of the vector of constants (a power of two)", each: 4.87e-8 },
    Term { name: "multiplication by a weight", each: 2.2e-9 },
];

/// Bytes of memory: process, witness vector, leaves, vector of constants.
pub(crate) const MEMORY_COEFFICIENTS: [Term; 4] = [
    Term { name: "process", each: 5.5e6 },
    Term { name: "cell of the witness vector", each: 103.0 },
    Term { name: "leaf of the lookup argument", each: 103.0 },
    Term { name: "cell of the vector of constants", each: 61.0 },
];

/// Measured error of the predictions of time and memory.
pub(crate) const ERROR: &str = "Measured error on the ten models of the fit: time within 15 % (root mean square 7 %), \
    memory within 10 %. On three larger models that the fit never saw (vgg11, mobilenetv2, resnet18; up to 25 s and 4.5 GB): \
    time within 12 %, memory up to 63 % too high. Another processor has other seconds; the shares of the operations stay \
    about the same.";
/// Measured error of the expected proof size.
pub(crate) const SIZE_ERROR: &str = "The proof size is an expectation over the positions that a proof opens; single proofs \
    of those models were within 2.5 % of it.";

/// Predicted seconds of an operation or of a proof, by what they are spent on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Work {
    /// The part that every proof has.
    pub(crate) fixed: f64,
    /// Committing to the witness and opening it.
    pub(crate) witness: f64,
    /// The lookup argument.
    pub(crate) lookups: f64,
    /// Opening the constants.
    pub(crate) constants: f64,
    /// Contractions.
    pub(crate) contractions: f64,
}

impl Work {
    /// All parts.
    pub(crate) fn seconds(&self) -> f64 {
        self.fixed + self.witness + self.lookups + self.constants + self.contractions
    }
}

impl Cost {
    /// Predicted work of one proof.
    pub(crate) fn work(&self) -> Work {
        let [fixed, witness, leaves, constants, macs] = COEFFICIENTS.each_ref().map(|term| term.each);
        Work {
            fixed,
            witness: f64::from(self.witness_bits).exp2() * witness,
            lookups: self.leaves as f64 * leaves,
            constants: f64::from(self.constant_bits).exp2() * constants,
            contractions: self.total.macs as f64 * macs,
        }
    }

    /// Predicted processor seconds of one proof.
    pub(crate) fn prove_seconds(&self) -> f64 {
        self.work().seconds()
    }

    /// Predicted peak memory of `vinfer prove`, in bytes.
    pub(crate) fn prove_memory(&self) -> u64 {
        let [process, witness, leaves, constants] = MEMORY_COEFFICIENTS.each_ref().map(|term| term.each);
        let bytes = process
            + f64::from(self.witness_bits).exp2() * witness
            + self.leaves as f64 * leaves
            + f64::from(self.constant_bits).exp2() * constants;
        bytes as u64
    }

    /// The part of [`Self::work`] that some of its counts cause. Gaps and pads of the whole are shared in proportion.
    pub(crate) fn share(&self, counts: &Counts) -> Work {
        let whole = self.work();
        let part = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        let total = &self.total;
        Work {
            fixed: 0.0,
            witness: whole.witness * part(counts.witness.padded, total.witness.padded),
            lookups: whole.lookups * part(counts.lookups + counts.table_rows, total.lookups + total.table_rows),
            constants: whole.constants * part(counts.constants.padded, total.constants.padded),
            contractions: whole.contractions * part(counts.macs, total.macs),
        }
    }
}
