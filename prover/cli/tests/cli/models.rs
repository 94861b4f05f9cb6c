//! A real model from ONNX to outputs, against ONNX Runtime's own.

use std::path::{Path, PathBuf};

use crate::support::{Lab, read_npz};

fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/digits_cnn").join(name)
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn digits_run_as_in_onnx_runtime() {
    let lab = Lab::new();
    let (model, inputs) = (asset("model.onnx"), asset("inputs.npz"));
    let compiled = lab.vinfer(&["compile", shown(&model), "-o", "digits.vinfer", "--json"]);
    assert_eq!(compiled.exits(0).json()["macs"], 23_680);
    let run = ["run", "digits.vinfer", "--input", shown(&inputs), "-o", "out.npz"];
    lab.vinfer(&[&run[..], &["--index", "0..20"]].concat()).exits(0);
    let expected = read_npz(&asset("ort_outputs.npz"));
    assert_eq!(lab.arrays("out.npz"), expected);
    lab.vinfer(&[&run[..], &["--index", "7"]].concat()).exits(0);
    assert_eq!(lab.arrays("out.npz")[0].data, expected[0].data[7 * 40..8 * 40]);
}

#[test]
fn an_unnamed_array_is_the_only_input() {
    let lab = Lab::new();
    lab.vinfer(&["compile", shown(&asset("model.onnx")), "-o", "digits.vinfer"]).exits(0);
    let x = &read_npz(&asset("inputs.npz"))[0];
    lab.write("x.npy", &crate::support::npy("<f4", "False", "(20, 1, 8, 8)", &x.data));
    let pixels: Vec<f32> = x.floats()[..64].to_vec();
    let rows: Vec<&[f32]> = pixels.chunks(8).collect();
    lab.write("x.json", serde_json::json!([[rows]]).to_string().as_bytes());
    for input in ["x.npy", "x.json"] {
        lab.vinfer(&["run", "digits.vinfer", "--input", input, "-o", "out.npz"]).exits(0);
        assert_eq!(lab.arrays("out.npz")[0].data, read_npz(&asset("ort_outputs.npz"))[0].data[..40]);
    }
}

#[test]
fn inspect_tells_ports_cost_and_ranges() {
    let lab = Lab::new();
    let inspected = lab.vinfer(&["inspect", shown(&asset("model.onnx")), "--json"]);
    let json = inspected.exits(0).json();
    assert_eq!(json["supported"], true);
    assert_eq!(json["inputs"][0]["sample_shape"], serde_json::json!([1, 8, 8]));
    assert!(json["cost"]["lookups"].as_u64().is_some_and(|n| n > 0));
    assert!(json["operations"][0]["reachable"].is_array());
    let text = lab.vinfer(&["inspect", shown(&asset("model.onnx"))]);
    assert!(text.exits(0).stdout().ends_with("supported\n"));
}

#[test]
fn files_that_are_no_models_are_refused() {
    let lab = Lab::new();
    let good = std::fs::read(asset("model.onnx")).expect("model");
    lab.write("short.onnx", &good[..good.len() / 2]);
    lab.write("text.onnx", b"not a model");
    lab.write("empty.onnx", b"");
    for model in ["short.onnx", "text.onnx", "empty.onnx", "absent.onnx", "."] {
        lab.vinfer(&["compile", model, "-o", "out.vinfer"]).refuses(model);
        lab.vinfer(&["inspect", model]).refuses(model);
    }
    assert!(!lab.path("out.vinfer").exists());
}
