//! Nothing that a file holds makes the quantiser panic, and refusals say what to do.

mod support;

use vinfer_quantiser::{Method, Options, QuantiseError, Tensor, quantise, read_npz};

fn quick() -> Options {
    Options { methods: vec![Method::MinMax], ..Options::default() }
}

fn refusal(model: &[u8], arrays: &[(String, Tensor)]) -> QuantiseError {
    quantise(model, None, arrays, &quick()).expect_err("a refusal")
}

#[test]
fn no_model_is_refused() {
    let arrays = support::arrays("residual");
    for bytes in [&b""[..], b"\x08\x08", b"PK\x03\x04", &[0xff; 100]] {
        assert!(matches!(refusal(bytes, &arrays), QuantiseError::NotOnnx { .. }));
    }
}

#[test]
fn quantised_models_are_refused_with_advice() {
    let arrays = support::arrays("digits_cnn");
    let quantised = support::quantised("digits_cnn", &quick()).model;
    let error = refusal(&quantised, &arrays);
    assert!(matches!(error, QuantiseError::AlreadyQuantised { .. }));
    assert!(error.to_string().contains("float model it was made from"));
    // The same file with the operator renamed to the dynamic one, which has as many letters less.
    let dynamic = replace(&support::file("digits_cnn.onnx"), b"MaxPool", b"Dynamic");
    assert!(matches!(refusal(&dynamic, &arrays), QuantiseError::Dynamic { .. }));
}

#[test]
fn unknown_operators_are_named() {
    let error =
        refusal(&replace(&support::file("digits_cnn.onnx"), b"MaxPool", b"MaxLoop"), &support::arrays("digits_cnn"));
    assert!(matches!(&error, QuantiseError::Unsupported { operator, .. } if operator == "MaxLoop"), "{error}");
}

#[test]
fn data_must_fit() {
    let model = support::file("digits_cnn.onnx");
    let x = support::array("digits_cnn", "x");
    let with = |tensor: Tensor| vec![("x".to_owned(), tensor)];
    let floats = x.as_floats().expect("floats").to_vec();
    let mut broken = floats.clone();
    broken[77] = f32::NAN;
    let cases: [(Vec<(String, Tensor)>, &str); 5] = [
        (vec![("image".to_owned(), x.clone())], "there is no array `x`"),
        (with(Tensor::floats(vec![floats.len() / 64, 64], floats.clone())), "does not fit"),
        (with(Tensor::integers(x.dims.clone(), vec![0; floats.len()])), "must hold floats"),
        (with(Tensor::floats(vec![0, 1, 8, 8], Vec::new())), "does not fit"),
        (with(Tensor::floats(x.dims.clone(), broken)), "NaN"),
    ];
    for (arrays, part) in cases {
        let error = refusal(&model, &arrays).to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn damaged_models_never_panic() {
    let arrays: Vec<(String, Tensor)> = vec![("x".to_owned(), Tensor::floats(vec![1, 3, 8, 8], vec![0.5; 192]))];
    let model = support::file("residual.onnx");
    for end in (0..model.len()).step_by(397) {
        quantise(&model[..end], None, &arrays, &quick()).ok();
    }
    let mut state = 1u64;
    for _ in 0..150 {
        let mut damaged = model.clone();
        for _ in 0..3 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let at = (state >> 33) as usize % damaged.len();
            damaged[at] = (state >> 20) as u8;
        }
        quantise(&damaged, None, &arrays, &quick()).ok();
    }
}

#[test]
fn damaged_data_never_panic() {
    let data = support::file("residual.npz");
    for end in (0..data.len()).step_by(53) {
        assert!(matches!(read_npz(&data[..end]), Err(QuantiseError::Data { .. })));
    }
    for at in (0..data.len()).step_by(3) {
        let mut damaged = data.clone();
        damaged[at] ^= 0x55;
        read_npz(&damaged).ok();
    }
}

fn replace(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut out = bytes.to_vec();
    for at in 0..out.len() - old.len() {
        if &out[at..at + old.len()] == old {
            out[at..at + old.len()].copy_from_slice(new);
        }
    }
    out
}
