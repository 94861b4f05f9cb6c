//! Float models on their way to proofs.

use std::fs;
use std::path::PathBuf;

use crate::support::Lab;

/// A directory with the quantiser's own test model and its data.
fn lab(model: &str) -> Lab {
    let lab = Lab::new();
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../compiler/quantiser/tests/models");
    for (extension, name) in [("onnx", "float.onnx"), ("npz", "data.npz")] {
        lab.write(name, &fs::read(models.join(format!("{model}.{extension}"))).expect("model of the tests"));
    }
    lab
}

const QUANTIZE: [&str; 6] = ["quantize", "float.onnx", "--calibrate", "data.npz", "-o", "int8.onnx"];

#[test]
fn a_float_model_becomes_one_that_compiles_and_runs() {
    let lab = lab("residual");
    let finished = lab.vinfer(&[&QUANTIZE[..], &["--report", "report.json"]].concat());
    let text = finished.exits(0).stdout();
    for part in ["GlobalAveragePool", "most sensitive", "the compiled program", "top-1 agreement"] {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(lab.path("report.json")).expect("report")).expect("JSON");
    assert_eq!(report["compiles"], true);
    assert!(report["exact"]["cosine"].as_f64().is_some_and(|c| c > 0.999), "{report}");
    assert!(report["layers"].as_array().is_some_and(|layers| layers.len() == 7), "{report}");
    lab.vinfer(&["compile", "int8.onnx", "-o", "int8.vinfer"]).exits(0);
    assert_eq!(lab.files(), ["data.npz", "float.onnx", "int8.onnx", "int8.vinfer", "report.json"]);
}

#[test]
fn every_method_works_and_json_is_one_object() {
    let lab = lab("residual");
    for method in ["min-max", "percentile", "entropy", "mse"] {
        let finished = lab.vinfer(&[&QUANTIZE[..], &["--method", method, "--percentile", "99.9", "--json"]].concat());
        let json = finished.exits(0).json();
        assert!(json["method"].as_str().is_some_and(|m| m.starts_with(method)), "{json}");
    }
}

#[test]
fn refusals_leave_the_old_file() {
    let lab = lab("residual");
    lab.vinfer(&QUANTIZE).exits(0);
    let old = fs::read(lab.path("int8.onnx")).expect("file");
    lab.vinfer(&["quantize", "int8.onnx", "--calibrate", "data.npz", "-o", "int8.onnx"]).refuses("quantised already");
    lab.vinfer(&[&QUANTIZE[..], &["--keep-16", "y"]].concat()).refuses("--keep-16 `y`");
    lab.vinfer(&["quantize", "float.onnx", "--calibrate", "float.onnx", "-o", "int8.onnx"]).refuses("not an .npz file");
    lab.vinfer(&[&QUANTIZE[..], &["--percentile", "20"]].concat()).exits(2);
    assert_eq!(fs::read(lab.path("int8.onnx")).expect("file"), old);
    let json = lab.vinfer(&["quantize", "data.npz", "--calibrate", "data.npz", "-o", "new.onnx", "--json"]);
    assert_eq!(json.exits(2).json()["error"]["code"], "quantise");
    assert_eq!(lab.files(), ["data.npz", "float.onnx", "int8.onnx"]);
}
