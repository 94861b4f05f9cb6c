//! Every committed random graph: its first sample is proven, verified, and refused with another output.

#[path = "../../compiler/tests/common/mod.rs"]
mod reference;

use vinfer_circuits::program::IntType;
use vinfer_prover::{prove, setup};
use vinfer_verifier::{Expected, PreparedKey, RejectReason, VerifyError};

#[test]
fn random_graphs_prove_and_verify() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../compiler/tests/graphs");
    let mut names: Vec<_> = std::fs::read_dir(root).expect("graphs").map(|e| e.expect("entry").path()).collect();
    names.sort();
    let (mut proven, mut refused) = (0, 0);
    for path in names {
        // `compiler/tests/graphs/refused.txt` lists those that do not compile.
        let Ok(compiled) = vinfer_compiler::compile_file(&path.join("model.onnx")) else { continue };
        let program = compiled.program;
        let (key, vk) = match setup(&program) {
            Ok(keys) => keys,
            Err(error) => {
                // Axis regroupings that views cannot express are refused by name, never mis-proven.
                assert!(error.to_string().contains("not supported"), "{}: {error}", path.display());
                refused += 1;
                continue;
            }
        };
        let given = reference::read_npz(&path.join("inputs.npz"));
        let inputs = reference::inputs(&program, &given, 0).expect("inputs");
        let proved = prove(&key, &inputs, [1; 32]).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let prepared = PreparedKey::from_bytes(&vk).expect("key");
        let verified = prepared.verify(&proved.proof, &Expected::default());
        let verified = verified.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(verified.outputs, proved.outputs, "{}", path.display());
        let mut other = proved.outputs.clone();
        let q = program.values[program.outputs[0].value as usize].quantisation;
        let first = other[0][0];
        other[0][0] = match q.int_type {
            // Another float of the same exponent, or one for zero.
            IntType::F32 if first == 0 => 1f32.to_bits().cast_signed(),
            IntType::F32 => first ^ 1,
            _ if first > q.lo() => first - 1,
            _ => first + 1,
        };
        proven += 1;
        if q.lo() == q.hi() {
            // No other output exists.
            continue;
        }
        let expected = Expected { outputs: Some(other), ..Expected::default() };
        assert_eq!(
            prepared.verify(&proved.proof, &expected),
            Err(VerifyError::Rejected(RejectReason::OutputMismatch)),
            "{}",
            path.display()
        );
    }
    println!("{proven} graphs proven, {refused} refused");
    assert!(proven >= 30);
}
