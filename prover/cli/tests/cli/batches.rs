//! Keys and proofs of several inferences, from outside.

use std::path::Path;

use crate::support::{Finished, Lab, tiny_inputs};

/// Three samples, keys for two at once, and a proof of the first two.
fn proven() -> Lab {
    let lab = Lab::with_program();
    lab.write("in.npz", &tiny_inputs(&[0.25, 0.75, 3.0, -4.0, 1.0, 2.0], &[0, 20, -128, 1, 2, 3, 4, 5, 6]));
    let json = lab.vinfer(&["setup", "tiny.vinfer", "--batch", "2", "-o", "keys", "--json"]).exits(0).json();
    assert_eq!(json["batch"], 2);
    prove(&lab, &["--index", "0..2", "-o", "a.proof"]).exits(0);
    lab.run_tiny("in.npz", &["--index", "0..3"]).exits(0);
    lab
}

fn prove(lab: &Lab, more: &[&str]) -> Finished {
    lab.vinfer(&[&["prove", "--pk", "keys/pk", "--input", "in.npz"][..], more].concat())
}

fn verify(lab: &Lab, more: &[&str]) -> Finished {
    lab.vinfer(&[&["verify", "--vk", "keys/vk", "--proof", "a.proof"][..], more].concat())
}

#[track_caller]
fn rejected(lab: &Lab, more: &[&str], part: &str) {
    let json = verify(lab, &[more, &["--json"]].concat()).exits(1).json();
    assert_eq!(json["valid"], false);
    assert!(json["error"]["message"].as_str().is_some_and(|m| m.contains(part)), "{json}");
}

#[test]
fn a_batch_is_proven_and_each_inference_reported() {
    let lab = proven();
    let proved = prove(&lab, &["-o", "b.proof", "--json"]).exits(0).json();
    assert_eq!(std::fs::read(lab.path("a.proof")).expect("proof"), std::fs::read(lab.path("b.proof")).expect("proof"));
    let json = verify(&lab, &["--json"]).exits(0).json();
    assert_eq!((&json["valid"], &json["batch"]), (&true.into(), &2.into()));
    for accepted in [&proved, &json] {
        assert_eq!(accepted["outputs"]["n"], serde_json::json!([[20, 0, 148], [19, 18, 17]]));
        assert_eq!(accepted["outputs"]["y"], serde_json::json!([[0.0, 1.0], [3.0, -4.0]]));
        assert_eq!(accepted["inferences"].as_array().map(Vec::len), Some(2));
        assert_eq!((&accepted["inferences"], &accepted["statement"]), (&json["inferences"], &json["statement"]));
    }
    let text = verify(&lab, &[]).exits(0).stdout();
    assert!(text.contains("inference 0") && text.contains("inference 1"), "{text}");
}

#[test]
fn all_inferences_or_one_are_compared() {
    let lab = proven();
    let arrays = ["--input", "in.npz", "--output", "out.npz"];
    let with = |more: &[&'static str]| [&arrays[..], more].concat();
    assert_eq!(verify(&lab, &with(&["--json"])).exits(0).json()["compared_inference"], serde_json::Value::Null);
    verify(&lab, &with(&["--index", "0..2"])).exits(0);
    for (index, inference) in [("0", 0), ("1", 1)] {
        for arrays in [&arrays[..], &arrays[..2], &arrays[2..]] {
            let json = verify(&lab, &[arrays, &["--index", index, "--json"]].concat()).exits(0).json();
            assert_eq!(json["compared_inference"], inference, "{arrays:?}");
            verify(&lab, &[arrays, &["--index", index, "--inference", index]].concat()).exits(0);
        }
    }
    rejected(&lab, &with(&["--index", "1..3"]), "another input");
    rejected(&lab, &with(&["--index", "2"]), "another input");
    rejected(&lab, &with(&["--index", "1", "--inference", "0"]), "another input");
    rejected(&lab, &["--output", "out.npz", "--index", "2"], "none of its 2 inferences");
    rejected(&lab, &["--output", "out.npz", "--index", "1", "--inference", "0"], "inference 0, `y` element 0");
    rejected(&lab, &["--output", "out.npz", "--index", "1..3"], "inference 0, `y` element 0");
    verify(&lab, &with(&["--index", "0..3"])).refuses("one sample (`--index I`) or all of them in order");
    verify(&lab, &with(&["--index", "0", "--inference", "2"])).refuses("position in the batch");
}

#[test]
fn another_number_of_samples_than_the_keys_is_refused() {
    let lab = proven();
    for (index, given) in [("0", "not 1"), ("0..3", "not 3")] {
        prove(&lab, &["--index", index, "-o", "b.proof"]).refuses(given);
    }
    prove(&lab, &["--index", "2..4", "-o", "b.proof"]).refuses("sample 3 does not exist");
    lab.vinfer(&["setup", "tiny.vinfer", "-o", "one"]).exits(0);
    let single = ["prove", "--pk", "one/pk", "--input", "in.npz", "-o", "b.proof"];
    lab.vinfer(&[&single[..], &["--index", "0..2"]].concat()).refuses("vinfer setup --batch 2");
    assert!(!lab.path("b.proof").exists());
    // A proof of a batch is none of the key for one.
    lab.vinfer(&["verify", "--vk", "one/vk", "--proof", "a.proof"]).refuses("another verification key");
    for batch in ["65537", "4294967295"] {
        lab.vinfer(&["setup", "tiny.vinfer", "--batch", batch, "-o", "b"]).refuses("a batch has 1 to 65536");
    }
    for batch in ["0", "-1", "4294967296", "x"] {
        lab.vinfer(&["setup", "tiny.vinfer", "--batch", batch, "-o", "b"]).exits(2);
    }
    lab.vinfer(&["setup", "tiny.vinfer"]).exits(2);
}

#[test]
fn a_key_is_checked_against_its_program() {
    let lab = proven();
    let check = |vk: &str, more: &[&str]| lab.vinfer(&[&["setup", "tiny.vinfer", "--check", vk][..], more].concat());
    assert_eq!(check("keys/vk", &["--json"]).exits(0).json()["batch"], 2);
    check("keys/vk", &["--batch", "2"]).exits(0);
    check("keys/vk", &["--batch", "3"]).exits(1);
    lab.vinfer(&["setup", "tiny.vinfer", "-o", "one"]).exits(0);
    assert_eq!(check("one/vk", &["--json"]).exits(0).json()["batch"], 1);
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/digits_cnn/model.onnx");
    lab.vinfer(&["compile", model.to_str().expect("path"), "-o", "digits.vinfer"]).exits(0);
    lab.vinfer(&["setup", "digits.vinfer", "--batch", "2", "-o", "digits"]).exits(0);
    check("digits/vk", &[]).exits(1);
    check("keys/pk", &[]).refuses("keys/pk");
}

#[test]
fn digits_are_proven_in_a_batch_as_onnx_runtime_computes_them() {
    let lab = Lab::new();
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/digits_cnn");
    let path = |name: &str| assets.join(name).to_str().expect("path").to_owned();
    let (model, inputs, outputs) = (path("model.onnx"), path("inputs.npz"), path("ort_outputs.npz"));
    lab.vinfer(&["compile", &model, "-o", "digits.vinfer"]).exits(0);
    lab.vinfer(&["setup", "digits.vinfer", "--batch", "16", "-o", "keys"]).exits(0);
    lab.vinfer(&["prove", "--pk", "keys/pk", "--input", &inputs, "--index", "2..18", "-o", "a.proof"]).exits(0);
    verify(&lab, &["--input", &inputs, "--index", "2..18", "--output", &outputs]).exits(0);
    verify(&lab, &["--input", &inputs, "--index", "7", "--output", &outputs, "--inference", "5"]).exits(0);
    rejected(&lab, &["--input", &inputs, "--index", "18", "--output", &outputs], "another input");
    rejected(&lab, &["--output", &outputs, "--index", "0..16"], "inference");
}
