//! Keys, proofs and verification, from outside.

use std::path::Path;

use crate::support::{Lab, f32s, npy, npz, read_npz, tiny_inputs};

const PROVE: [&str; 7] = ["prove", "--pk", "keys/pk", "--input", "in.npz", "-o", "a.proof"];
const VERIFY: [&str; 5] = ["verify", "--vk", "keys/vk", "--proof", "a.proof"];

/// Two samples, keys, and a proof of sample 1 bound to a context.
fn proven() -> Lab {
    let lab = Lab::with_program();
    lab.write("in.npz", &tiny_inputs(&[0.25, 0.75, 3.0, -4.0], &[0, 20, -128, 1, 2, 3]));
    lab.vinfer(&["setup", "tiny.vinfer", "-o", "keys"]).exits(0);
    let context = "07".repeat(32);
    let proved = lab.vinfer(&[&PROVE[..], &["--index", "1", "--context", &context, "--json"]].concat());
    let json = proved.exits(0).json();
    assert_eq!(json["outputs"]["n"], serde_json::json!([[19, 18, 17]]));
    assert_eq!(json["outputs"]["y"], serde_json::json!([[3.0, -4.0]]));
    for figure in ["prove_seconds", "cpu_seconds", "peak_rss_bytes", "proof_bytes"] {
        assert!(json[figure].as_f64().is_some_and(|x| x >= 0.0), "{figure}");
    }
    assert_eq!(proved.stderr(), "");
    lab
}

fn verify(lab: &Lab, more: &[&str]) -> crate::support::Finished {
    lab.vinfer(&[&VERIFY[..], more].concat())
}

#[track_caller]
fn rejected(lab: &Lab, more: &[&str]) {
    let finished = verify(lab, &[more, &["--json"]].concat());
    let json = finished.exits(1).json();
    assert_eq!(json["valid"], false);
    assert!(json["error"]["message"].is_string());
}

#[test]
fn a_proof_is_accepted_for_what_it_speaks_of() {
    let lab = proven();
    let json = verify(&lab, &["--json"]).exits(0).json();
    assert_eq!(json["valid"], true);
    assert!(json["security_bits"].as_f64().is_some_and(|bits| bits >= 100.0));
    assert_eq!(json["context"], "07".repeat(32));
    lab.run_tiny("in.npz", &["--index", "0..2"]).exits(0);
    let all = ["--input", "in.npz", "--index", "1", "--output", "out.npz", "--context", &"07".repeat(32)];
    verify(&lab, &all).exits(0);
    // An output file of one sample is that sample.
    lab.run_tiny("in.npz", &["--index", "1"]).exits(0);
    verify(&lab, &["--output", "out.npz", "--index", "1"]).exits(0);
    verify(&lab, &["--output", "out.npz"]).exits(0);
}

#[test]
fn another_input_output_or_context_is_rejected() {
    let lab = proven();
    rejected(&lab, &["--input", "in.npz"]);
    rejected(&lab, &["--input", "in.npz", "--index", "0"]);
    rejected(&lab, &["--context", &"08".repeat(32)]);
    lab.run_tiny("in.npz", &["--index", "0..2"]).exits(0);
    rejected(&lab, &["--output", "out.npz"]);
    // No integer dequantises to 3.1, and nothing equals NaN: not the proven output, whatever it is.
    for y in [3.1, f32::NAN] {
        let y = npy("<f4", "False", "(1, 2)", &f32s(&[y, -4.0]));
        let coarse = npy("<f4", "False", "(1, 2)", &f32s(&[4.0, -4.0]));
        let n = npy("|u1", "False", "(1, 3)", &[19, 18, 17]);
        lab.write("claim.npz", &npz(&[("y.npy", y), ("coarse.npy", coarse), ("n.npy", n)]));
        rejected(&lab, &["--output", "claim.npz"]);
    }
}

#[test]
fn a_changed_proof_is_never_accepted() {
    let lab = proven();
    let good = std::fs::read(lab.path("a.proof")).expect("proof");
    for at in (0..good.len()).step_by(good.len().div_ceil(200)) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        lab.write("a.proof", &bad);
        let finished = verify(&lab, &["--json"]);
        assert_eq!(finished.json()["valid"], false, "byte {at}");
    }
    lab.write("a.proof", &good[..good.len() - 1]);
    verify(&lab, &[]).refuses("a.proof");
    lab.write("a.proof", &[&good[..], &[0]].concat());
    verify(&lab, &[]).refuses("a.proof");
}

#[test]
fn bad_keys_and_arrays_are_refused() {
    let lab = proven();
    let arrays = ["--input", "in.npz", "--index", "2"];
    verify(&lab, &arrays).refuses("sample 2 does not exist");
    verify(&lab, &["--output", "in.npz"]).refuses("array `y` is missing");
    lab.vinfer(&["verify", "--vk", "keys/pk", "--proof", "a.proof"]).refuses("keys/pk");
    lab.vinfer(&["verify", "--vk", "keys/vk", "--proof", "in.npz"]).refuses("in.npz");
    lab.vinfer(&["prove", "--pk", "keys/vk", "--input", "in.npz", "-o", "b.proof"]).refuses("keys/vk");
    let pk = std::fs::read(lab.path("keys/pk")).expect("key");
    lab.write("short", &pk[..pk.len() - 1]);
    lab.vinfer(&["prove", "--pk", "short", "--input", "in.npz", "-o", "b.proof"]).refuses("short");
    assert!(!lab.path("b.proof").exists());
}

#[test]
fn a_proof_for_another_key_is_refused() {
    let lab = proven();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/digits_cnn/model.onnx");
    lab.vinfer(&["compile", model.to_str().expect("path"), "-o", "digits.vinfer"]).exits(0);
    lab.vinfer(&["setup", "digits.vinfer", "-o", "other"]).exits(0);
    lab.vinfer(&["verify", "--vk", "other/vk", "--proof", "a.proof"]).refuses("another verification key");
}

#[test]
fn equal_inputs_give_equal_keys_and_proofs_on_any_number_of_threads() {
    let lab = proven();
    lab.vinfer(&["setup", "tiny.vinfer", "-o", "again", "--threads", "1"]).exits(0);
    for key in ["vk", "pk"] {
        let read = |directory: &str| std::fs::read(lab.path(directory).join(key)).expect("key");
        assert_eq!(read("keys"), read("again"));
    }
    let more = ["--index", "1", "--context", &"07".repeat(32), "--threads", "1"];
    let first = std::fs::read(lab.path("a.proof")).expect("proof");
    lab.vinfer(&[&PROVE[..], &more[..]].concat()).exits(0);
    assert_eq!(std::fs::read(lab.path("a.proof")).expect("proof"), first);
}

#[test]
fn digits_are_proven_as_onnx_runtime_computes_them() {
    let lab = Lab::new();
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/digits_cnn");
    let path = |name: &str| assets.join(name).to_str().expect("path").to_owned();
    let (model, inputs, outputs) = (path("model.onnx"), path("inputs.npz"), path("ort_outputs.npz"));
    lab.vinfer(&["compile", &model, "-o", "digits.vinfer"]).exits(0);
    lab.vinfer(&["setup", "digits.vinfer", "-o", "keys"]).exits(0);
    lab.vinfer(&["prove", "--pk", "keys/pk", "--input", &inputs, "--index", "3", "-o", "a.proof"]).exits(0);
    let demand = ["--input", &inputs, "--index", "3", "--output", &outputs];
    verify(&lab, &demand).exits(0);
    assert_eq!(read_npz(Path::new(&outputs)).len(), 1);
    rejected(&lab, &["--output", &outputs, "--index", "4"]);
}

#[test]
fn the_demonstration_ends_with_a_rejected_forgery() {
    let lab = Lab::new();
    let json = lab.vinfer(&["demo", "--json"]).exits(0).json();
    assert_eq!((&json["digit"], &json["forgery_rejected"]), (&2.into(), &true.into()));
    let text = lab.vinfer(&["demo"]).exits(0).stdout();
    assert!(text.contains("██") && text.contains("rejected"));
}
