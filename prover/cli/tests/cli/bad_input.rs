//! Bad files and arrays: exit code 2, a message that names the fault, nothing written, no panic.

use crate::support::{Lab, f32s, npy, npz, tiny_inputs};

fn x() -> (&'static str, Vec<u8>) {
    ("x.npy", npy("<f4", "False", "(1, 2)", &f32s(&[0.0, 1.0])))
}

fn k() -> (&'static str, Vec<u8>) {
    ("k.npy", npy("|i1", "False", "(1, 3)", &[0, 0, 0]))
}

/// Runs the tiny program on `input`; an output that exists must survive the refusal untouched.
#[track_caller]
fn refused(input: &[u8], part: &str) {
    refused_with(input, &[], part);
}

#[track_caller]
fn refused_with(input: &[u8], more: &[&str], part: &str) {
    let lab = Lab::with_program();
    lab.write("in", input);
    lab.write("out.npz", b"precious");
    lab.run_tiny("in", more).refuses(part);
    assert_eq!(std::fs::read(lab.path("out.npz")).expect("output"), b"precious");
    assert_eq!(lab.files(), ["in", "out.npz", "tiny.vinfer"]);
}

#[test]
fn names_must_be_the_models() {
    refused(&npz(&[x()]), "array `k` is missing; the file holds `x`");
    refused(&npz(&[x(), k(), ("z.npy", x().1)]), "array `z` belongs to no port of the model, which has `k`, `x`");
    refused(&npz(&[x(), ("K.npy", k().1)]), "array `k` is missing; the file holds `x`, `K`");
    refused(&npz(&[]), "the file holds none");
    refused(&npz(&[x(), k(), ("readme.txt", vec![1])]), "`readme.txt`, which is not an .npy array");
    refused(b"{}", "array `x` is missing");
}

#[test]
fn types_must_be_the_declared_ones() {
    for (descr, name, size) in [("<f8", "float64", 8), ("<f2", "float16", 2), ("<i8", "int64", 8), ("|b1", "bool", 1)] {
        let array = npy(descr, "False", "(1, 2)", &vec![0; 2 * size]);
        refused(&npz(&[("x.npy", array), k()]), &format!("array `x` is {name}, the model declares float32"));
    }
    let array = npy("|u1", "False", "(1, 3)", &[0; 3]);
    refused(&npz(&[x(), ("k.npy", array)]), "array `k` is uint8, the model declares int8");
    let array = npy(">f4", "False", "(1, 2)", &[0; 8]);
    refused(&npz(&[("x.npy", array), k()]), "array `x` is big-endian (>f4)");
    let array = npy("|O", "False", "(1, 2)", &[0; 8]);
    refused(&npz(&[("x.npy", array), k()]), "element type |O, which is not a plain number");
    let structured = b"\x93NUMPY\x01\x00\x50\x00{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}";
    let mut array = structured.to_vec();
    array.resize(90, b' ');
    refused(&npz(&[("x.npy", array), k()]), "which is not a plain number");
}

#[test]
fn shapes_must_be_the_declared_ones() {
    for shape in ["(2,)", "(1, 3)", "(2, 1)", "(1, 1, 2)", "()"] {
        let array = npy("<f4", "False", shape, &[0; 8]);
        refused(&npz(&[("x.npy", array), k()]), "the model takes [S, 2], S samples along the first axis");
    }
    let array = npy("<f4", "True", "(1, 2)", &[0; 8]);
    refused(&npz(&[("x.npy", array), k()]), "Fortran (column-major) order");
    let array = npy("<f4", "False", "(2, 2)", &[0; 16]);
    refused(&npz(&[("x.npy", array), k()]), "array `k` holds 1 samples, array `x` holds 2");
}

#[test]
fn samples_must_exist() {
    let two = tiny_inputs(&[0.0; 4], &[0; 6]);
    refused_with(&two, &["--index", "2"], "sample 2 does not exist: the file holds 2");
    refused_with(&two, &["--index", "0..3"], "sample 2 does not exist: the file holds 2");
    refused_with(&two, &["--index", "1..1"], "the range is empty");
    refused_with(&two, &["--index", "-1"], "error: ");
    refused(&tiny_inputs(&[], &[]), "sample 0 does not exist: the file holds 0");
}

#[test]
fn numbers_must_be_quantisable() {
    refused_with(
        &tiny_inputs(&[0.0, 0.0, 0.0, f32::NAN], &[0; 6]),
        &["--index", "0..2"],
        "array `x` sample 1 element 1 is NaN",
    );
    refused(br#"{"x": [[0, 1]], "k": [[0, 1, 128]]}"#, "array `k` element 2 is 128, not a number of type int8");
    refused(br#"{"x": [[0, 1]], "k": [[0, 1.5, 1]]}"#, "array `k` element 1 is 1.5");
    refused(br#"{"x": [[0, "1"]], "k": [[0, 1, 1]]}"#, "array `x` element 1 is \"1\"");
    refused(br#"{"x": [[0, null]], "k": [[0, 1, 1]]}"#, "array `x` element 1 is null");
    refused(br#"{"x": [[0, NaN]], "k": [[0, 1, 1]]}"#, "not valid JSON");
}

#[test]
fn json_must_be_rectangular() {
    refused(br#"{"x": [[0, 1]], "k": [[0, 1, 2], [0, 1]]}"#, "array `k` holds 2 samples");
    refused(br#"{"x": [[0, 1], [0]], "k": [[0, 1, 2], [0, 1]]}"#, "ragged");
    refused(br#"{"x": [[0, 1], 3], "k": [[0, 1, 2], [0, 1, 2]]}"#, "ragged");
    refused(br#"{"x": 3, "k": [[0, 1, 2]]}"#, "array `x` has shape []");
    refused(br#"{"x": [[0, 1]], "k": [[0, 1,"#, "not valid JSON");
    refused(&[b"[".repeat(100_000), vec![]].concat(), "not valid JSON");
}

#[test]
fn damaged_files_are_refused() {
    let good = npz(&[x(), k()]);
    refused(b"", "not an .npz, .npy or .json file");
    refused(b"hello", "not an .npz, .npy or .json file");
    for len in [5, 20, good.len() / 2, good.len() - 1] {
        refused(&good[..len], "in: ");
    }
    let mut flipped = good.clone();
    // Inside the first member's compressed data: its local header takes 30 bytes and its name.
    flipped[30 + 5 + 40] ^= 0x10;
    refused(&flipped, "array `x`");
    refused(&npz(&[("x.npy", x().1[..x().1.len() - 1].to_vec()), k()]), "ends before the last element");
    refused(&npz(&[("x.npy", [x().1, vec![0]].concat()), k()]), "has bytes after the last element");
    refused(&npz(&[("x.npy", x().1[..40].to_vec()), k()]), "its header does not parse");
    refused(&npz(&[("x.npy", b"\x93NUMPY\x09\x00".to_vec()), k()]), "unknown .npy format version");
    refused(&npz(&[("x.npy", vec![0; 100]), k()]), "does not start like an .npy array");
    refused(&npz(&[("x.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec()), k()]), "its header does not parse");
}

#[test]
fn every_byte_of_an_archive_may_be_wrong() {
    let good = tiny_inputs(&[0.0, 1.0], &[1, 2, 3]);
    let lab = Lab::with_program();
    lab.write("in", &good);
    lab.run_tiny("in", &[]).exits(0);
    let outputs = lab.arrays("out.npz");
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        lab.write("in", &bad);
        let finished = lab.run_tiny("in", &["--threads", "1"]);
        // Some bytes (times, attributes) mean nothing; all others are found out.
        if finished.stderr().is_empty() {
            assert_eq!(lab.arrays("out.npz"), outputs, "byte {at}");
        } else {
            finished.refuses("in: ");
        }
    }
}

#[test]
fn absurd_sizes_take_no_memory() {
    for shape in ["(4000000000, 2)", "(18446744073709551615, 2)", "(99999999999999999999999, 2)"] {
        let array = npy("<f4", "False", shape, &[0; 8]);
        refused(&npz(&[("x.npy", array), k()]), "array `x`");
    }
    // 64 MiB of zeros behind a header that speaks of two elements.
    let bomb = [x().1, vec![0; 64 << 20]].concat();
    refused(&npz(&[("x.npy", bomb), k()]), "has bytes after the last element");
    // A claim of 2^28 samples, of which one is there.
    let claim = npy("<f4", "False", "(268435456, 2)", &[0; 8]);
    let other = npy("|i1", "False", "(268435456, 3)", &[0; 3]);
    refused(&npz(&[("x.npy", claim), ("k.npy", other)]), "ends before the last element");
}

#[test]
fn programs_are_checked() {
    let lab = Lab::with_program();
    lab.write("in.npz", &tiny_inputs(&[0.0, 1.0], &[0; 3]));
    let run = |program: &str| lab.vinfer(&["run", program, "--input", "in.npz", "-o", "out.npz"]);
    run("absent.vinfer").refuses("cannot read absent.vinfer");
    run("in.npz").refuses("not a vinfer program file");
    run(".").refuses("cannot read .");
    let good = std::fs::read(lab.path("tiny.vinfer")).expect("program");
    lab.write("short.vinfer", &good[..good.len() - 1]);
    run("short.vinfer").refuses("truncated or damaged");
    assert!(!lab.path("out.npz").exists());
}

#[test]
fn outputs_must_be_writable() {
    let lab = Lab::with_program();
    lab.write("in.npz", &tiny_inputs(&[0.0, 1.0], &[0; 3]));
    let run = |output: &str| lab.vinfer(&["run", "tiny.vinfer", "--input", "in.npz", "-o", output]);
    run("no/such/directory/out.npz").refuses("cannot write no/such/directory/out.npz");
    run(".").refuses("cannot write .: ");
    run("in.npz/out.npz").refuses("cannot write in.npz/out.npz");
    run("out.json").refuses("outputs are written as .npz only");
    assert_eq!(lab.files(), ["in.npz", "tiny.vinfer"]);
}
