//! Completeness and soundness of the operations between activations, on tiny programs.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../circuits/tests/common/mod.rs"]
mod tiny;

use vinfer_prover::execute::execute;
use vinfer_prover::{prove, setup};
use vinfer_verifier::{Expected, PreparedKey};

#[test]
fn honest_proofs_are_accepted() {
    for seed in 1..=3 {
        for (name, program) in tiny::activations::all(seed) {
            let (key, vk) = setup(&program).unwrap();
            let prepared = PreparedKey::from_bytes(&vk).unwrap();
            let samples = [tiny::programs::inputs(&program, seed), tiny::activations::hard_inputs(&program)];
            for inputs in samples {
                let trace = execute(&program, &inputs).unwrap();
                let proved = prove(&key, &inputs, [7; 32]).unwrap_or_else(|e| panic!("{name}: {e}"));
                let verified =
                    prepared.verify(&proved.proof, &Expected::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
                let outputs: Vec<_> = program.outputs.iter().map(|p| trace[p.value as usize].clone()).collect();
                assert_eq!((verified.inputs, verified.outputs), (inputs, outputs), "{name}");
            }
        }
    }
}
