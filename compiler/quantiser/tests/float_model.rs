//! The preparing passes and the interpreter leave the function of the float model as it is: batch normalisation,
//! biases, factors, means, activations and whole layer normalisations move elsewhere, ONNX Runtime's outputs stay.

mod support;

use vinfer_quantiser::Options;

#[test]
fn float_outputs_equal_onnx_runtime() {
    for name in ["residual", "mobile", "branches", "transformer", "digits_cnn", "digits_mlp"] {
        let quantised = support::quantised(
            name,
            &Options { methods: vec![vinfer_quantiser::Method::MinMax], ..Options::default() },
        );
        let wanted = support::array(name, "y");
        let wanted = wanted.as_floats().expect("floats");
        let got: Vec<f32> = quantised.float_outputs.concat().concat();
        assert_eq!(got.len(), wanted.len(), "{name}");
        let largest = wanted.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        for (index, (g, w)) in got.iter().zip(wanted).enumerate() {
            assert!((g - w).abs() <= 2e-5 * largest, "{name} element {index}: {g} instead of {w}");
        }
    }
}
