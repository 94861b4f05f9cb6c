//! `vinfer run`: conversions at the ports, sample selection, formats.

use crate::support::{Lab, f32s, npy, npz, tiny_inputs};

/// Two samples of `x` (ties, saturation, infinity) and `k`.
const X: [f32; 4] = [0.25, 0.75, f32::INFINITY, -1000.0];
const K: [i8; 6] = [0, 20, -128, 127, 1, -1];

#[test]
fn one_sample_by_default() {
    let lab = Lab::with_program();
    lab.write("in.npz", &tiny_inputs(&X, &K));
    lab.run_tiny("in.npz", &[]).exits(0);
    let arrays = lab.arrays("out.npz");
    let names: Vec<&str> = arrays.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["y", "coarse", "n"]);
    assert_eq!(arrays[0].header, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }");
    // 0.25 / 0.5 and 0.75 / 0.5 are ties: to even.
    assert_eq!(arrays[0].floats(), [0.0, 1.0]);
    assert_eq!(arrays[1].floats(), [0.0, 0.0]);
    assert_eq!(arrays[2].header, "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 3), }");
    assert_eq!(arrays[2].data, [20, 0, 148]);
}

#[test]
fn ranges_and_single_samples_agree() {
    let lab = Lab::with_program();
    lab.write("in.npz", &tiny_inputs(&X, &K));
    lab.run_tiny("in.npz", &["--index", "0..2"]).exits(0);
    let both = lab.arrays("out.npz");
    assert_eq!(both[0].floats(), [0.0, 1.0, 63.5, -64.0]);
    assert_eq!(both[1].floats(), [0.0, 0.0, 254.0, -256.0]);
    assert_eq!(both[2].data, [20, 0, 148, 0, 19, 21]);
    lab.run_tiny("in.npz", &["--index", "1"]).exits(0);
    let second = lab.arrays("out.npz");
    for (all, one) in both.iter().zip(&second) {
        assert!(all.data.ends_with(&one.data) && all.data.len() == 2 * one.data.len());
    }
}

#[test]
fn json_and_npz_inputs_give_equal_files() {
    let lab = Lab::with_program();
    lab.write("in.npz", &tiny_inputs(&[0.25, 1.5], &[1, 2, 3]));
    lab.run_tiny("in.npz", &[]).exits(0);
    let from_npz = std::fs::read(lab.path("out.npz")).expect("output");
    lab.write("in.json", br#" {"k": [[1, 2, 3]], "x": [[0.25, 1.5]]}"#);
    lab.run_tiny("in.json", &[]).exits(0);
    assert_eq!(std::fs::read(lab.path("out.npz")).expect("output"), from_npz);
}

#[test]
fn json_report_is_one_object() {
    let lab = Lab::with_program();
    lab.write("in.npz", &tiny_inputs(&X, &K));
    let finished = lab.run_tiny("in.npz", &["--json", "--threads", "1"]);
    finished.exits(0);
    let json = finished.json();
    assert_eq!(json["samples"], 1);
    assert_eq!(json["shapes"]["y"], serde_json::json!([1, 2]));
    assert_eq!(finished.stderr(), "");
}

#[test]
fn one_unnamed_array_needs_one_input() {
    let lab = Lab::with_program();
    lab.write("x.npy", &npy("<f4", "False", "(1, 2)", &f32s(&[0.0, 1.0])));
    lab.run_tiny("x.npy", &[]).refuses("one unnamed array, the model has `k`, `x`");
    lab.write("x.json", b"[[0, 1]]");
    lab.run_tiny("x.json", &[]).refuses("one unnamed array");
}

#[test]
fn stored_and_version_2_members_are_read() {
    let lab = Lab::with_program();
    let mut second = npy("<f4", "False", "(1, 2)", &f32s(&[0.0, 1.0]));
    let header_len = [second[8], second[9]];
    second[6] = 2;
    second.splice(8..10, [header_len[0], header_len[1], 0, 0]);
    let k = npy("|i1", "False", "(1, 3)", &[0, 0, 0]);
    lab.write("in.npz", &npz(&[("x.npy", second), ("k.npy", k)]));
    lab.run_tiny("in.npz", &[]).exits(0);
}

#[test]
fn outputs_to_a_device_do_not_replace_it() {
    let lab = Lab::with_program();
    lab.write("in.npz", &tiny_inputs(&X, &K));
    lab.vinfer(&["run", "tiny.vinfer", "--input", "in.npz", "-o", "/dev/null"]).exits(0);
    assert!(!std::fs::metadata("/dev/null").expect("device").is_file());
}
