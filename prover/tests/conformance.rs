//! The ONNX node tests that compile are proven and verified, two samples each.
#![allow(clippy::unwrap_used)]

#[path = "../../compiler/tests/common/mod.rs"]
mod reference;

use reference::conformance::{SETS, read_set};
use vinfer_prover::execute::execute;
use vinfer_prover::{prove, setup};
use vinfer_verifier::{Expected, PreparedKey};

/// Cases that compile and run, but have no constraint system yet.
const WITHOUT_RELATION: &[&str] = &[];

#[test]
fn node_tests_are_proven() {
    let (mut proven, mut refused, mut failures) = (0, 0, Vec::new());
    for set in SETS {
        for (name, case) in read_set(set) {
            let Ok(compiled) = vinfer_compiler::compile_bytes(&case.model, None) else {
                refused += 1;
                continue;
            };
            let program = compiled.program;
            let key = std::panic::catch_unwind(|| setup(&program));
            let (key, vk) = match key {
                Ok(Ok(key)) => key,
                other => {
                    let what = other.map_or_else(|_| "panic".to_owned(), |r| r.err().unwrap().to_string());
                    if !WITHOUT_RELATION.contains(&name.as_str()) {
                        failures.push(format!("{set} {name}: setup: {what}"));
                    }
                    continue;
                }
            };
            let prepared = PreparedKey::from_bytes(&vk).unwrap();
            for sample in 0..2 {
                let inputs = reference::inputs(&program, &case.given, sample).unwrap();
                let trace = execute(&program, &inputs).unwrap();
                let outputs: Vec<Vec<i32>> = program.outputs.iter().map(|p| trace[p.value as usize].clone()).collect();
                let expected = Expected { inputs: Some(inputs.clone()), outputs: Some(outputs), context: None };
                let verdict = match prove(&key, &inputs, [3; 32]) {
                    Ok(proved) => prepared.verify(&proved.proof, &expected).map(|_| ()).map_err(|e| e.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                if let Err(error) = verdict {
                    failures.push(format!("{set} {name}: sample {sample}: {error}"));
                }
            }
            proven += 1;
        }
    }
    println!("{proven} node tests proven, {refused} refused by the compiler");
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(proven >= 80);
}
