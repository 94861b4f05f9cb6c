//! Completeness: honest proofs are accepted, speak of what the executor computes, and are deterministic.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../circuits/tests/common/mod.rs"]
mod tiny;

use common::honest::CONTEXT;
use vinfer_circuits::program::Program;
use vinfer_prover::execute::execute;
use vinfer_prover::{ProvingKey, prove, setup};
use vinfer_verifier::{Expected, PreparedKey, verify};

fn check(name: &str, program: &Program, samples: &[Vec<Vec<i32>>]) {
    let (key, vk) = setup(program).unwrap();
    let prepared = PreparedKey::from_bytes(&vk).unwrap();
    assert_eq!(prepared.digest(), key.verifying_key().digest(), "{name}");
    for inputs in samples {
        let trace = execute(program, inputs).unwrap();
        let outputs: Vec<Vec<i32>> = program.outputs.iter().map(|p| trace[p.value as usize].clone()).collect();
        let proved = prove(&key, inputs, CONTEXT).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(proved.outputs, outputs, "{name}");
        let expected =
            Expected { inputs: Some(inputs.clone()), outputs: Some(outputs.clone()), context: Some(CONTEXT) };
        for expected in [Expected::default(), expected] {
            let verified = prepared.verify(&proved.proof, &expected).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!((&verified.inputs, &verified.outputs), (inputs, &outputs), "{name}");
            assert_eq!(verified.context, CONTEXT);
            assert_eq!(verified.statement, proved.statement);
            assert_eq!(verified.key_digest, prepared.digest());
            assert!(verified.security_bits >= 100.0);
        }
        verify(&vk, &proved.proof, &Expected::default()).unwrap();
    }
}

/// Two samples of a test model.
fn check_model(name: &str) {
    let program = common::program(name);
    check(name, &program, &[0, 1].map(|sample| common::inputs(name, &program, sample)));
}

macro_rules! models {
    ($($name:ident),*) => { $(#[test] fn $name() { check_model(stringify!($name)); })* };
}

models!(
    iris_mlp_int8,
    breast_cancer_mlp_int8,
    digits_mlp_int8,
    digits_cnn_int8,
    digits_cnn_qop_int8,
    digits_cnn_s8s8_int8,
    lenet5_int8,
    cnn62k_int8,
    cnn264k_int8
);

#[test]
fn mlp4m_int8() {
    let program = common::program("mlp4m_int8");
    check("mlp4m_int8", &program, &[common::inputs("mlp4m_int8", &program, 0)]);
}

#[test]
fn every_primitive() {
    for seed in 1..=3 {
        for (name, program) in tiny::programs::all(seed) {
            check(name, &program, &[tiny::programs::inputs(&program, seed)]);
        }
    }
}

#[test]
fn every_operation_between_activations() {
    for seed in 1..=3 {
        for (name, program) in tiny::activations::all(seed) {
            let samples = [tiny::programs::inputs(&program, seed), tiny::activations::hard_inputs(&program)];
            check(name, &program, &samples);
        }
    }
}

#[test]
fn proofs_are_deterministic() {
    for name in ["digits_cnn_int8", "lenet5_int8"] {
        let program = common::program(name);
        let inputs = common::inputs(name, &program, 0);
        let (key, vk) = setup(&program).unwrap();
        let first = prove(&key, &inputs, CONTEXT).unwrap().proof;
        assert!(first == prove(&key, &inputs, CONTEXT).unwrap().proof, "{name}: same key");
        let (again, same_vk) = setup(&program).unwrap();
        assert!(vk == same_vk, "{name}: verification key");
        assert!(first == prove(&again, &inputs, CONTEXT).unwrap().proof, "{name}: key made again");
        let read = ProvingKey::from_bytes(&key.to_bytes()).unwrap();
        assert!(read.to_bytes() == key.to_bytes(), "{name}: proving key bytes");
        assert!(first == prove(&read, &inputs, CONTEXT).unwrap().proof, "{name}: key from bytes");
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let proof = pool.install(|| prove(&key, &inputs, CONTEXT).unwrap().proof);
            assert!(first == proof, "{name}: {threads} threads");
        }
    }
}

#[test]
fn different_statements_have_different_proofs() {
    let program = common::program("iris_mlp_int8");
    let (key, _) = setup(&program).unwrap();
    let inputs = common::inputs("iris_mlp_int8", &program, 0);
    let a = prove(&key, &inputs, CONTEXT).unwrap();
    let b = prove(&key, &inputs, [8; 32]).unwrap();
    assert_ne!(a.statement, b.statement);
    assert_eq!(a.outputs, b.outputs);
    assert!(a.proof != b.proof);
}

#[test]
fn damaged_proving_keys_are_refused() {
    let (key, _) = setup(&common::program("iris_mlp_int8")).unwrap();
    let bytes = key.to_bytes();
    for at in (0..bytes.len()).step_by(bytes.len() / 61) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(ProvingKey::from_bytes(&damaged).is_err(), "byte {at}");
        assert!(ProvingKey::from_bytes(&bytes[..at]).is_err(), "length {at}");
    }
    let mut long = bytes;
    long.push(0);
    assert!(ProvingKey::from_bytes(&long).is_err());
}
