//! The verifier in `verifier/second`, written in Python from `circuits/PROTOCOL.md`, says what the Rust verifier
//! says: of honest proofs, of changed ones, of proofs from false witnesses, and of changed keys. Its trace of the
//! committed proofs is the committed one (`circuits/tests/vectors`). Without `python3` the tests pass with a note.
//!
//! `VINFER_SECOND_CASES=N` makes N times as many cases; `VINFER_UPDATE_VECTORS=1` makes the vectors again.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../../tests/common"]
mod common {
    pub(crate) mod faults;
    pub(crate) mod honest;
    pub(crate) mod manifest;
}
#[path = "../../../circuits/tests/common/mod.rs"]
mod tiny;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::faults::{deltas, with};
use common::honest::{Honest, encode};
use common::manifest::{MUTATIONS, Site, mutated, sites};
use tiny::Rng;
use vinfer_circuits::field::MODULUS;
use vinfer_circuits::program::Program;
use vinfer_circuits::system::Home;
use vinfer_prover::{ProveError, count_multiplicities, prove, prove_witness, setup};
use vinfer_verifier::{Expected, PreparedKey};

/// Start of a proof file: magic, key digest, context.
const HEADER: usize = 8 + 32 + 32;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Accepted(String),
    KeyRejected,
    ProofRejected,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn first_verifier(key: &[u8], proof: &[u8]) -> Verdict {
    let Ok(key) = PreparedKey::from_bytes(key) else { return Verdict::KeyRejected };
    match key.verify(proof, &Expected::default()) {
        Ok(verified) => Verdict::Accepted(hex::encode(verified.statement)),
        Err(_) => Verdict::ProofRejected,
    }
}

/// Output of the second verifier; `None` without Python.
fn python(key: &Path, proofs: &[PathBuf], more: &[&str]) -> Option<String> {
    let script = root().join("verifier/second/verify.py");
    let output = match Command::new("python3").arg("-B").arg(script).arg(key).args(proofs).args(more).output() {
        Ok(output) => output,
        Err(error) => {
            println!("the second verifier was not run: python3: {error}");
            return None;
        }
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)) && stderr.is_empty(), "{}: {stderr}", output.status);
    Some(String::from_utf8(output.stdout).unwrap())
}

/// A line of the second verifier as a verdict.
fn verdict(line: &str) -> Verdict {
    if line.starts_with("key rejected: ") {
        return Verdict::KeyRejected;
    }
    if line.starts_with("proof rejected: ") {
        return Verdict::ProofRejected;
    }
    let rest = line.strip_prefix("accepted: statement ").unwrap_or_else(|| panic!("no verdict: {line}"));
    Verdict::Accepted(rest.split(',').next().unwrap().to_owned())
}

/// Demands that both verifiers say the same of every proof; returns how many were accepted and rejected.
fn agree(key: &[u8], cases: &[(String, Vec<u8>)]) -> (usize, usize) {
    let directory = tempfile::tempdir().unwrap();
    let key_path = directory.path().join("vk");
    fs::write(&key_path, key).unwrap();
    let paths: Vec<PathBuf> = (0..cases.len()).map(|i| directory.path().join(format!("{i}.proof"))).collect();
    for (path, (_, proof)) in paths.iter().zip(cases) {
        fs::write(path, proof).unwrap();
    }
    let Some(output) = python(&key_path, &paths, &[]) else { return (0, 0) };
    assert_eq!(output.lines().count(), cases.len(), "{output}");
    let mut accepted = 0;
    for (line, (name, proof)) in output.lines().zip(cases) {
        let first = first_verifier(key, proof);
        assert_eq!(first, verdict(line), "{name}: the second verifier says {line}");
        accepted += usize::from(matches!(first, Verdict::Accepted(_)));
    }
    (accepted, cases.len() - accepted)
}

/// How many times as many cases as usual.
fn scale() -> usize {
    std::env::var("VINFER_SECOND_CASES").ok().and_then(|v| v.parse().ok()).unwrap_or(1)
}

fn pick(rng: &mut Rng, len: usize) -> usize {
    rng.range(0, len as i64 - 1) as usize
}

/// Changed fields: a selection over every kind of field and change.
fn changed_fields(honest: &Honest, other: &Honest, count: usize, rng: &mut Rng) -> Vec<(String, Vec<u8>)> {
    let (proof, other) = (honest.proof(), other.proof());
    let mut kinds: BTreeMap<&str, Vec<Site>> = BTreeMap::new();
    for site in sites(&proof) {
        kinds.entry(site.name).or_default().push(site);
    }
    let kinds: Vec<Vec<Site>> = kinds.into_values().collect();
    let mut out = Vec::new();
    let mut at = pick(rng, kinds.len());
    while out.len() < count {
        at = (at + 1) % kinds.len();
        let site = &kinds[at][pick(rng, kinds[at].len())];
        let mutation = MUTATIONS[pick(rng, MUTATIONS.len())];
        if let Some(bad) = mutated(&proof, &other, site, mutation) {
            out.push((format!("{site:?} {mutation:?}"), encode(&honest.statement, &bad)));
        }
    }
    out
}

/// Changed bytes: statement, length, encoding.
fn changed_bytes(good: &[u8], tensors: usize, count: usize, rng: &mut Rng) -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    for i in 0..count {
        let mut bad = good.to_vec();
        let name = match i % 7 {
            0 => {
                let at = pick(rng, HEADER);
                bad[at] ^= 1 << pick(rng, 8);
                format!("header byte {at}")
            }
            1 => {
                let at = HEADER + pick(rng, tensors);
                bad[at] ^= 1 << pick(rng, 8);
                format!("tensor byte {at}")
            }
            2 => {
                bad.truncate(pick(rng, bad.len()));
                format!("{} bytes", bad.len())
            }
            3 => {
                bad.extend(vec![0; 1 + pick(rng, 32)]);
                "trailing bytes".to_owned()
            }
            4 => {
                // Zero has a second representative.
                let start = HEADER + tensors + pick(rng, bad.len() / 2);
                let Some(at) = bad[start..].windows(8).position(|w| w == [0; 8]) else { continue };
                bad[start + at..start + at + 8].copy_from_slice(&MODULUS.to_le_bytes());
                format!("zero at {} not canonical", start + at)
            }
            _ => {
                let at = pick(rng, bad.len());
                bad[at] ^= 1 << pick(rng, 8);
                format!("byte {at}")
            }
        };
        out.push((name, bad));
    }
    out
}

/// Proofs made from witnesses with one changed cell, with the multiplicities that fit it best.
fn false_witnesses(honest: &Honest, count: usize, rng: &mut Rng) -> Vec<(String, Vec<u8>)> {
    let system = &honest.witness.system;
    // Multiplicities are counted again.
    let counts = |c: usize| system.tables.iter().any(|t| t.multiplicity as usize == c);
    let hidden: Vec<usize> =
        (0..system.columns.len()).filter(|&c| system.columns[c].home == Home::Witness && !counts(c)).collect();
    let count = if hidden.is_empty() { 0 } else { count };
    (0..count)
        .map(|_| {
            let column = hidden[pick(rng, hidden.len())];
            let at = pick(rng, honest.witness.columns[column].len());
            let cell = honest.witness.columns[column][at];
            let all = deltas(cell, rng);
            let delta = all[pick(rng, all.len())];
            let mut witness = with(&honest.witness, column as u32, at, cell + delta);
            if rng.range(0, 1) == 0 {
                count_multiplicities(&honest.key, &mut witness);
            }
            let proof = prove_witness(&honest.key, &honest.statement, &witness);
            (format!("column {column} cell {at} plus {delta}"), encode(&honest.statement, &proof))
        })
        .collect()
}

fn model(name: &str) -> Program {
    let path = root().join("compiler/tests").join(name).join("model.onnx");
    vinfer_compiler::compile_file(&path).unwrap().program
}

/// Both verifiers on a program: honest, changed, false.
fn examine(name: &str, program: &Program, seed: u64, [fields, bytes, witnesses]: [usize; 3]) {
    let mut rng = Rng::new(seed);
    let honest = Honest::new(program, tiny::programs::inputs(program, seed));
    let other = Honest::new(program, tiny::programs::inputs(program, seed + 1));
    let good = encode(&honest.statement, &honest.proof());
    let tensors = honest.statement.inputs.iter().chain(&honest.statement.outputs).map(Vec::len).sum();
    let mut cases = changed_bytes(&good, tensors, bytes, &mut rng);
    cases.push(("honest".to_owned(), good));
    cases.extend(changed_fields(&honest, &other, fields, &mut rng));
    cases.extend(false_witnesses(&honest, witnesses, &mut rng));
    let (accepted, rejected) = agree(&honest.vk, &cases);
    println!("{name}: {accepted} accepted, {rejected} rejected");
    assert!(accepted == 1 || accepted + rejected == 0, "{name}: {accepted} accepted");
}

#[test]
fn models() {
    let n = scale();
    examine("iris_mlp", &model("models/iris_mlp_int8"), 1, [24 * n, 14 * n, 2 * n]);
    examine("digits_cnn", &model("models/digits_cnn_int8"), 2, [10 * n, 7 * n, n]);
}

#[test]
fn folded_oracles() {
    let n = scale();
    examine("tables", &tiny::programs::lookups(3, 2400, 3), 3, [24 * n, 7 * n, n]);
}

#[test]
fn random_programs() {
    let (mut accepted, mut rejected, mut seed) = (0, 0, 0);
    while accepted < 8 * scale() {
        seed += 1;
        let program = tiny::random::program(seed);
        let Ok((key, vk)) = setup(&program) else { continue };
        let inputs = tiny::programs::inputs(&program, seed);
        // Some random floats leave the range of floats that proofs hold.
        let good = match prove(&key, &inputs, [7; 32]) {
            Ok(proved) => proved.proof,
            Err(ProveError::Unsatisfied { .. }) => continue,
            Err(error) => panic!("seed {seed}: {error}"),
        };
        let honest = Honest::new(&program, inputs);
        let mut cases = vec![(format!("seed {seed}"), good)];
        cases.extend(false_witnesses(&honest, 2, &mut Rng::new(seed)));
        let (a, r) = agree(&vk, &cases);
        if a + r == 0 {
            return;
        }
        assert!(a > 0, "seed {seed}");
        accepted += a;
        rejected += r;
    }
    println!("random programs: {accepted} accepted, {rejected} rejected");
}

#[test]
fn changed_keys() {
    let mut rng = Rng::new(4);
    let (mut accepted, mut rejected) = (0, 0);
    let programs = [model("models/iris_mlp_int8"), tiny::random::program(3), tiny::random::program(6)];
    for (number, program) in programs.iter().enumerate() {
        let (_, vk) = setup(program).unwrap();
        let (proving, _) = setup(program).unwrap();
        let good = prove(&proving, &tiny::programs::inputs(program, 5), [0; 32]).unwrap().proof;
        for _ in 0..12 * scale() {
            // The digests lie in the first 65 bytes of the body, the system behind them.
            let mut body = vk[40..].to_vec();
            let at = 65 + pick(&mut rng, body.len() - 65);
            match rng.range(0, 9) {
                0 => drop(body.remove(at)),
                1 => body.insert(at, body[at]),
                2 => body.truncate(at),
                3 => body.push(0),
                4 => {
                    body[at] |= 128;
                    body.insert(at + 1, 0);
                }
                _ => body[at] ^= 1 << pick(&mut rng, 8),
            }
            let key = [&vk[..8], blake3::hash(&body).as_bytes(), &body].concat();
            let mut proof = good.clone();
            proof[8..40].copy_from_slice(blake3::hash(&key).as_bytes());
            let (a, r) = agree(&key, &[(format!("key {number} at {at}"), proof)]);
            accepted += a;
            rejected += r;
        }
    }
    println!("changed keys: {accepted} accepted, {rejected} rejected");
    assert_eq!(accepted, 0);
}

#[test]
fn vectors() {
    for (name, source) in [("iris_mlp", "models/iris_mlp_int8"), ("float_graph", "graphs/f101799")] {
        let directory = root().join("circuits/tests/vectors").join(name);
        let file = |part: &str| directory.join(part);
        let update = std::env::var_os("VINFER_UPDATE_VECTORS").is_some();
        if update {
            let program = model(source);
            let (key, vk) = setup(&program).unwrap();
            let proof = prove(&key, &tiny::programs::inputs(&program, 1), [7; 32]).unwrap().proof;
            fs::create_dir_all(&directory).unwrap();
            fs::write(file("vk"), vk).unwrap();
            fs::write(file("proof"), proof).unwrap();
        }
        let first = first_verifier(&fs::read(file("vk")).unwrap(), &fs::read(file("proof")).unwrap());
        let Some(trace) = python(&file("vk"), &[file("proof")], &["--trace"]) else { return };
        if update {
            fs::write(file("trace.txt"), &trace).unwrap();
        }
        assert_eq!(verdict(trace.lines().last().unwrap()), first, "{name}");
        assert!(matches!(first, Verdict::Accepted(_)), "{name}: the protocol changed; VINFER_UPDATE_VECTORS=1");
        let committed = fs::read_to_string(file("trace.txt")).unwrap();
        for (line, (new, old)) in trace.lines().zip(committed.lines()).enumerate() {
            assert_eq!(new, old, "{name}: line {}", line + 1);
        }
        assert_eq!(trace.len(), committed.len(), "{name}");
    }
}
