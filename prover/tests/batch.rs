//! Batches: one proof of several inferences computes what the inferences compute one by one, and nothing else verifies.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/forged.rs"]
#[allow(dead_code)]
mod forged;
#[path = "../../compiler/tests/common/mod.rs"]
mod reference;
#[path = "../../circuits/tests/common/mod.rs"]
mod tiny;

use std::path::{Path, PathBuf};

use common::honest::{CONTEXT, Honest, decode, encode, statement};
use vinfer_circuits::lower::LowerError;
use vinfer_circuits::program::batch::{MAX_BATCH, join, sample};
use vinfer_circuits::program::{BatchError, Program};
use vinfer_circuits::statement::{KeyError, VerifyingKey};
use vinfer_prover::execute::{ExecuteError, execute};
use vinfer_prover::{ProveError, ProvingKey, ProvingKeyError, SetupError, prove, prove_batch, setup, setup_batch};
use vinfer_verifier::{Expected, PreparedKey, RejectReason, VerifyError};

type Sample = Vec<Vec<i32>>;

/// Every value of a batch is the values of its samples, one after the other.
fn check_execution(name: &str, program: &Program, count: u32, samples: &[Sample]) {
    let samples: Vec<Sample> = (0..count as usize).map(|i| samples[i % samples.len()].clone()).collect();
    let batch = program.batched(count).unwrap_or_else(|e| panic!("{name} x {count}: {e}"));
    let whole = execute(&batch, &join(&samples)).unwrap();
    let singles: Vec<Vec<Vec<i32>>> = samples.iter().map(|s| execute(program, s).unwrap()).collect();
    for (value, data) in whole.iter().enumerate() {
        let one_by_one: Vec<i32> = singles.iter().flat_map(|trace| trace[value].iter().copied()).collect();
        assert_eq!(*data, one_by_one, "{name} x {count}: value {value}");
    }
}

/// A batch is proven and accepted, with the outputs that its samples have one by one; returns the proof.
fn check_proof(name: &str, program: &Program, samples: &[Sample]) -> Vec<u8> {
    let count = samples.len() as u32;
    let (key, vk) = setup_batch(program, count).unwrap_or_else(|e| panic!("{name} x {count}: {e}"));
    let proved = prove_batch(&key, samples, CONTEXT).unwrap_or_else(|e| panic!("{name} x {count}: {e}"));
    let verified = PreparedKey::from_bytes(&vk).unwrap().verify(&proved.proof, &Expected::default());
    let verified = verified.unwrap_or_else(|e| panic!("{name} x {count}: {e}"));
    assert_eq!((verified.batch, verified.inferences.len()), (count, samples.len()));
    assert_eq!(verified.inferences, proved.inferences);
    for (index, given) in (0..).zip(samples) {
        let trace = execute(program, given).unwrap();
        let outputs: Sample = program.outputs.iter().map(|p| trace[p.value as usize].clone()).collect();
        assert_eq!(sample(&verified.inputs, index, count), *given, "{name} x {count}");
        assert_eq!(sample(&verified.outputs, index, count), outputs, "{name} x {count}");
    }
    proved.proof
}

fn tiny_samples(program: &Program, count: u64) -> Vec<Sample> {
    (0..count).map(|seed| tiny::programs::inputs(program, seed + 1)).collect()
}

#[test]
fn every_operation_runs_in_batches_as_alone() {
    for seed in 1..=2 {
        for (name, program) in tiny::programs::all(seed).into_iter().chain(tiny::activations::all(seed)) {
            for count in [2, 3, 16] {
                check_execution(name, &program, count, &tiny_samples(&program, 16));
            }
        }
    }
    for seed in 1..=100 {
        let program = tiny::random::program(seed);
        for count in [2, 3, 16] {
            check_execution(&format!("random {seed}"), &program, count, &tiny_samples(&program, 16));
        }
    }
}

#[test]
fn every_operation_is_proven_in_batches() {
    for (name, program) in tiny::programs::all(1).into_iter().chain(tiny::activations::all(1)) {
        for count in [2, 3] {
            check_proof(name, &program, &tiny_samples(&program, count));
        }
    }
    for (name, program) in tiny::programs::all(2).into_iter().chain(tiny::activations::all(2)) {
        check_proof(name, &program, &tiny_samples(&program, 16));
    }
}

/// Whatever is provable alone is provable in a batch.
#[test]
fn random_programs_are_proven_in_batches() {
    let mut proven = 0;
    for seed in 1..=40 {
        let program = tiny::random::program(seed);
        let Ok((key, _)) = setup(&program) else { continue };
        let samples = tiny_samples(&program, 3);
        // Some random floats leave the range of floats that proofs hold.
        if samples.iter().any(|s| prove(&key, s, CONTEXT).is_err()) {
            continue;
        }
        check_proof(&format!("random {seed}"), &program, &samples);
        proven += 1;
    }
    assert!(proven > 15, "{proven}");
}

/// Directories of the committed graphs of every operator.
fn operator_graphs() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../compiler/tests/operators");
    let mut names: Vec<_> = std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    names
}

#[test]
fn operator_graphs_run_and_are_proven_in_batches() {
    let (mut run, mut proven) = (0, 0);
    for path in operator_graphs() {
        let Ok(compiled) = vinfer_compiler::compile_file(&path.join("model.onnx")) else { continue };
        let (program, name) = (compiled.program, path.display().to_string());
        let given = reference::read_npz(&path.join("inputs.npz"));
        let held = given.values().map(|a| a.samples).min().unwrap();
        let samples: Vec<Sample> = (0..held).map(|at| reference::inputs(&program, &given, at).unwrap()).collect();
        for count in [2, 3, 16] {
            check_execution(&name, &program, count, &samples);
        }
        run += 1;
        // Proofs of batches are slow where tables are large; every second graph shows the rest.
        if run % 2 == 0 && setup(&program).is_ok() {
            let samples = [0, 1].map(|at| samples[at % samples.len()].clone());
            check_proof(&name, &program, &samples);
            proven += 1;
        }
    }
    println!("{run} graphs run, {proven} proven");
    assert!(run >= 90 && proven >= 40, "{run} {proven}");
}

fn model_samples(name: &str, program: &Program, count: usize) -> Vec<Sample> {
    let given = reference::read_npz(&common::model_dir(name).join("inputs.npz"));
    let held = given.values().map(|a| a.samples).min().unwrap();
    (0..count).map(|at| reference::inputs(program, &given, at % held).unwrap()).collect()
}

#[test]
fn models_run_in_batches_as_alone() {
    for name in [
        "iris_mlp_int8",
        "breast_cancer_mlp_int8",
        "digits_mlp_int8",
        "digits_cnn_int8",
        "digits_cnn_qop_int8",
        "digits_cnn_s8s8_int8",
        "lenet5_int8",
        "cnn62k_int8",
        "tiny_transformer_int8",
        "tiny_transformer_relu_int8",
    ] {
        let program = common::program(name);
        for count in [2, 3, 16] {
            check_execution(name, &program, count, &model_samples(name, &program, 16));
        }
    }
}

#[test]
fn models_are_proven_in_batches() {
    for (name, count) in [
        ("iris_mlp_int8", 16),
        ("breast_cancer_mlp_int8", 5),
        ("digits_cnn_int8", 3),
        ("digits_cnn_int8", 16),
        ("digits_cnn_qop_int8", 2),
        ("lenet5_int8", 4),
        ("tiny_transformer_int8", 2),
    ] {
        let program = common::program(name);
        let proof = check_proof(name, &program, &model_samples(name, &program, count));
        if count == 16 {
            // One opening, one set of tables: far less than sixteen proofs.
            let (key, _) = setup(&program).unwrap();
            let single = prove(&key, &model_samples(name, &program, 1)[0], CONTEXT).unwrap().proof;
            assert!(proof.len() < 3 * single.len(), "{name}: {} bytes, alone {}", proof.len(), single.len());
        }
    }
}

/// Three digits under one proof.
fn digits() -> (Honest, Vec<Sample>) {
    let name = "digits_cnn_int8";
    let program = common::program(name);
    let samples = model_samples(name, &program, 3);
    (Honest::batch(&program, 3, join(&samples)), samples)
}

#[test]
fn one_false_output_of_one_sample_is_rejected() {
    let (honest, _) = digits();
    honest.judge(&honest.statement, &honest.witness).unwrap();
    let file = encode(&honest.statement, &honest.proof());
    let (output, len) = (honest.key.proven().outputs[0].value, honest.outputs[0].len());
    for at in [0, len / 3, len - 1] {
        // Another output in the file: the transcript is another one.
        let (mut statement, proof) = decode(&honest.verifier, &file);
        statement.outputs[0][at] ^= 1;
        let result = honest.verifier.verify(&encode(&statement, &proof), &Expected::default());
        assert_eq!(result, Err(VerifyError::Rejected(RejectReason::LogupLayer { layer: 1 })), "{at}");
        // A proof made for the other output, from the honest execution.
        assert!(matches!(honest.judge(&statement, &honest.witness), Err(RejectReason::PublicClaim { .. })));
        // A proof made from an execution with the other output: a looked-up tuple is no row.
        let last = honest.key.proven().ops.iter().position(|op| op.output() == output).unwrap();
        let change = |cells: &mut Vec<i32>| cells[at] ^= 1;
        let execution = forged::execution(&honest, last, change);
        let (claimed, mut witness) = forged::claim(&honest, &execution);
        assert_ne!(claimed.outputs, honest.statement.outputs);
        let _ = vinfer_prover::count_multiplicities(&honest.key, &mut witness);
        let reason = honest.judge(&claimed, &witness).unwrap_err();
        assert_eq!(reason, RejectReason::LogupRoot);
    }
}

#[test]
fn outputs_of_other_samples_are_rejected() {
    let (honest, samples) = digits();
    let outputs: Vec<Sample> = (0..3).map(|i| sample(&honest.outputs, i, 3)).collect();
    assert_ne!(outputs[0], outputs[1]);
    let swapped = [outputs[1].clone(), outputs[0].clone(), outputs[2].clone()];
    let claimed = statement(&honest.verifier, &join(&samples), &join(&swapped));
    let reason = honest.judge(&claimed, &honest.witness).unwrap_err();
    assert!(matches!(reason, RejectReason::PublicClaim { .. }), "{reason:?}");
}

#[test]
fn one_inference_is_compared_at_its_place_or_anywhere() {
    let (honest, samples) = digits();
    let file = encode(&honest.statement, &honest.proof());
    let outputs: Vec<Sample> = (0..3).map(|i| sample(&honest.outputs, i, 3)).collect();
    let expected = |input: usize, output: usize| Expected {
        inputs: Some(samples[input].clone()),
        outputs: Some(outputs[output].clone()),
        context: Some(CONTEXT),
    };
    let check = |e: &Expected, index| honest.verifier.verify_inference(&file, e, index).map(|(_, at)| at);
    for at in 0..3usize {
        assert_eq!(check(&expected(at, at), None), Ok(at as u32));
        assert_eq!(check(&expected(at, at), Some(at as u32)), Ok(at as u32));
        let other = (at + 1) % 3;
        let rejected = |reason| Err(VerifyError::Rejected(reason));
        assert_eq!(check(&expected(at, at), Some(other as u32)), rejected(RejectReason::InputMismatch));
        assert_eq!(check(&expected(at, other), None), rejected(RejectReason::OutputMismatch));
        assert_eq!(check(&expected(at, other), Some(at as u32)), rejected(RejectReason::OutputMismatch));
    }
    let mut unknown = expected(0, 0);
    unknown.inputs.as_mut().unwrap()[0][0] ^= 1;
    assert_eq!(check(&unknown, None), Err(VerifyError::Rejected(RejectReason::InputMismatch)));
    let elsewhere = Expected { context: Some([1; 32]), ..expected(0, 0) };
    assert_eq!(check(&elsewhere, None), Err(VerifyError::Rejected(RejectReason::ContextMismatch)));
    let beyond = VerifyError::Expectation { what: "position in the batch" };
    assert_eq!(check(&expected(0, 0), Some(3)), Err(beyond));
    // The tensors of a whole batch are no sample, and those of a sample no batch.
    let whole = Expected { inputs: Some(join(&samples)), ..Expected::default() };
    honest.verifier.verify(&file, &whole).unwrap();
    assert_eq!(check(&whole, None), Err(VerifyError::Expectation { what: "input" }));
    let one = Expected { inputs: Some(samples[0].clone()), ..Expected::default() };
    assert_eq!(honest.verifier.verify(&file, &one), Err(VerifyError::Expectation { what: "input" }));
}

#[test]
fn every_inference_has_a_digest_that_the_statement_holds() {
    let (honest, samples) = digits();
    let key = honest.verifier.key();
    let digests = honest.statement.inferences(key);
    assert_eq!(digests.len(), 3);
    let head = |domain: &[u8; 32]| {
        let mut hasher = blake3::Hasher::new_keyed(domain);
        hasher.update(&2u32.to_le_bytes()).update(&10u64.to_le_bytes()).update(b"direct-100");
        hasher.update(&honest.verifier.digest()).update(&CONTEXT).update(&3u64.to_le_bytes());
        hasher
    };
    let mut hasher = head(b"vinfer statement v1             ");
    for digest in &digests {
        hasher.update(digest);
    }
    assert_eq!(*hasher.finalize().as_bytes(), honest.statement.digest(key));
    // That of inference 1, from its own tensors alone.
    let alone = statement_of_one(&honest, &samples[1], 1);
    let mut hasher = head(b"vinfer inference v1             ");
    hasher.update(&1u64.to_le_bytes());
    for tensors in [&alone.0, &alone.1] {
        hasher.update(&1u64.to_le_bytes()).update(&(tensors.len() as u64).to_le_bytes()).update(tensors);
    }
    assert_eq!(*hasher.finalize().as_bytes(), digests[1]);
    // Another byte of one sample is another digest of that sample alone, and another statement.
    let mut other = honest.statement.clone();
    other.outputs[0][0] ^= 1;
    let changed = other.inferences(key);
    assert!(changed[0] != digests[0] && changed[1..] == digests[1..]);
    assert_ne!(other.digest(key), honest.statement.digest(key));
    // The same inference twice has two names.
    let twice = join(&[samples[0].clone(), samples[0].clone(), samples[0].clone()]);
    let twice = Honest::batch(honest.key.program(), 3, twice).statement.inferences(key);
    assert!(twice[0] != twice[1] && twice[1] != twice[2]);
}

/// Raw input and output of sample `index`.
fn statement_of_one(honest: &Honest, sample: &Sample, index: usize) -> (Vec<u8>, Vec<u8>) {
    let (input, output) = (&honest.statement.inputs[0], &honest.statement.outputs[0]);
    let part = |t: &[u8]| t.chunks(t.len() / 3).nth(index).unwrap().to_vec();
    assert_eq!(part(input).len(), sample[0].len());
    (part(input), part(output))
}

#[test]
fn wrong_numbers_of_samples_are_refused() {
    let program = common::program("iris_mlp_int8");
    let samples = model_samples("iris_mlp_int8", &program, 5);
    let (key, _) = setup_batch(&program, 4).unwrap();
    for given in [0, 1, 3, 5] {
        let result = prove_batch(&key, &samples[..given], CONTEXT).map(|_| ());
        assert_eq!(result, Err(ProveError::Batch { batch: 4, given }));
    }
    let message = prove_batch(&key, &samples[..3], CONTEXT).unwrap_err().to_string();
    assert!(message.contains("4 inferences at once") && message.contains("--batch 3"), "{message}");
    // Four samples, one of them too long and the next too short, are not four samples.
    let mut uneven = samples[..4].to_vec();
    let moved = uneven[1][0].pop().unwrap();
    uneven[0][0].push(moved);
    let result = prove_batch(&key, &uneven, CONTEXT).map(|_| ());
    assert!(matches!(result, Err(ProveError::Execute(ExecuteError::InputLength { .. }))), "{result:?}");
}

#[test]
fn batches_beyond_the_limits_are_refused() {
    let program = common::program("digits_cnn_int8");
    for count in [0, MAX_BATCH + 1, u32::MAX] {
        assert_eq!(program.batched(count), Err(BatchError::Count(count)));
    }
    let large = common::program("lenet5_int8");
    let error = large.batched(MAX_BATCH).unwrap_err();
    assert_eq!(error, BatchError::TooLarge { count: MAX_BATCH });
    assert_eq!(setup_batch(&large, MAX_BATCH).map(|_| ()).unwrap_err(), SetupError::Batch(error));
    // Within the limit of elements, but more cells than one commitment holds.
    let error = setup_batch(&large, 40_000).map(|_| ()).unwrap_err();
    assert!(matches!(error, SetupError::Lower(LowerError::TooLarge(_))), "{error}");
    // So many lookups that the proven bits do not reach the floor.
    let error = setup_batch(&program, 40_000).map(|_| ()).unwrap_err();
    assert!(matches!(error, SetupError::Key(KeyError::Security { .. })), "{error}");
    // No axis is left.
    let mut deep = tiny::programs::all(1).remove(0).1;
    for value in &mut deep.values {
        while value.shape.len() < 9 {
            value.shape.insert(0, 1);
        }
    }
    assert!(matches!(deep.batched(2), Err(BatchError::Axes { .. })));
    assert_eq!(program.batched(1).as_ref(), Ok(&program));
}

#[test]
fn keys_name_their_batch_and_program() {
    let program = common::program("iris_mlp_int8");
    let (single, single_vk) = setup(&program).unwrap();
    let (key, vk) = setup_batch(&program, 2).unwrap();
    let (own, alone) = (key.verifying_key().key(), single.verifying_key().key());
    assert_eq!((own.batch, alone.batch), (2, 1));
    assert_eq!(own.program_digest, alone.program_digest);
    assert_eq!(VerifyingKey::from_bytes(&vk).as_ref(), Ok(own));
    assert!(vk.starts_with(b"VINFERB2") && single_vk.starts_with(b"VINFERV2"));
    // Made again from the file of the proving key, byte for byte.
    let read = ProvingKey::from_bytes(&key.to_bytes()).unwrap();
    assert!(read.to_bytes() == key.to_bytes() && read.verifying_key().key() == own);
    assert_eq!(setup_batch(&program, 2).unwrap().1, vk);
    // A key of another number than its tensors have is none.
    for batch in [0, 3, u32::MAX] {
        let false_key = VerifyingKey { batch, ..own.clone() };
        assert_eq!(PreparedKey::from_bytes(&false_key.to_bytes()).map(|_| ()), Err(KeyError::Batch { batch }));
    }
    // A batch of one has one encoding, that without a batch.
    let body = postcard_body(1, &single_vk[40..]);
    assert_eq!(VerifyingKey::from_bytes(&sealed(b"VINFERB2", &body)).map(|_| ()), Err(KeyError::Malformed));
    let as_single = VerifyingKey { batch: 1, ..own.clone() };
    let prepared = PreparedKey::from_bytes(&as_single.to_bytes()).unwrap();
    let samples = model_samples("iris_mlp_int8", &program, 2);
    let proved = prove_batch(&key, &samples, CONTEXT).unwrap();
    assert_eq!(prepared.verify(&proved.proof, &Expected::default()), Err(VerifyError::WrongKey));
    // A proving key of a batch that its program cannot have.
    for batch in [0u32, u32::MAX] {
        let mut bytes = key.to_bytes();
        bytes[10..14].copy_from_slice(&batch.to_le_bytes());
        let end = bytes.len() - 32;
        let checksum = *blake3::hash(&bytes[..end]).as_bytes();
        bytes[end..].copy_from_slice(&checksum);
        let error = ProvingKey::from_bytes(&bytes).map(|_| ()).unwrap_err();
        assert_eq!(error, ProvingKeyError::Setup(SetupError::Batch(BatchError::Count(batch))));
    }
}

fn postcard_body(batch: u8, rest: &[u8]) -> Vec<u8> {
    [&[batch][..], rest].concat()
}

fn sealed(magic: &[u8; 8], body: &[u8]) -> Vec<u8> {
    [&magic[..], blake3::hash(body).as_bytes(), body].concat()
}
