//! The quantised models are close to the float ones, and compile.

mod support;

use vinfer_circuits::boundary;
use vinfer_compiler::compile_bytes;
use vinfer_prover::execute::execute;
use vinfer_quantiser::{Data, Method, Options, Quantised, compare};

/// Outputs of the compiled program, per sample.
fn exact(quantised: &Quantised) -> Vec<Vec<Vec<f32>>> {
    let program = compile_bytes(&quantised.model, None).expect("the quantised model compiles").program;
    let value = |index: u32| &program.values[index as usize].quantisation;
    let run = |sample: &Vec<vinfer_quantiser::Tensor>| {
        let inputs: Vec<Vec<i32>> = program
            .inputs
            .iter()
            .zip(sample)
            .map(|(port, tensor)| {
                let values = tensor.as_floats().expect("floats").iter();
                values.map(|&x| boundary::quantise(x, value(port.value)).expect("a number")).collect()
            })
            .collect();
        let trace = execute(&program, &inputs).expect("the program runs");
        let output = |port: &vinfer_circuits::program::Port| {
            trace[port.value as usize].iter().map(|&v| boundary::dequantise(v, value(port.value))).collect()
        };
        program.outputs.iter().map(output).collect()
    };
    quantised.samples.iter().map(run).collect()
}

fn right(outputs: &[Vec<Vec<f32>>], labels: &[i64]) -> f64 {
    let largest = |v: &[f32]| (0..v.len()).fold(0, |best, i| if v[i] > v[best] { i } else { best });
    let right = outputs.iter().zip(labels).filter(|(o, label)| largest(&o[0]) as i64 == **label).count();
    right as f64 / labels.len() as f64
}

/// Every method costs at most half a percent of the digits, on the program that is proven.
#[test]
fn digits_stay_right() {
    for name in ["digits_cnn", "digits_mlp"] {
        let labels = support::array(name, "label");
        let Data::I64(labels) = labels.data else { panic!("labels are integers") };
        for method in [Method::MinMax, Method::Percentile(99.99), Method::Entropy, Method::MeanSquare] {
            let quantised = support::quantised(name, &Options { methods: vec![method], ..Options::default() });
            let outputs = exact(&quantised);
            let (before, after) = (right(&quantised.float_outputs, &labels), right(&outputs, &labels));
            assert!(after >= before - 0.005, "{name} {method:?}: {before} became {after}");
        }
    }
}

/// What the emulation says of the whole model holds on the program, and all rescaling has the cheapest form.
#[test]
fn convolutional_models_compile_and_stay_close() {
    for name in ["residual", "mobile", "digits_cnn", "digits_mlp"] {
        let quantised = support::quantised(name, &Options::default());
        let exact = compare(&quantised.float_outputs, &exact(&quantised));
        assert!(exact.cosine > 0.999 && exact.top1_agreement > 0.98, "{name}: {exact:?}");
        assert!((exact.cosine - quantised.accuracy.cosine).abs() < 1e-3, "{name}: {:?}", quantised.accuracy);
        for layer in &quantised.layers {
            assert!(layer.cosine > 0.99 && layer.sensitivity < 0.01, "{name}: {layer:?}");
            assert!(layer.forms.is_none_or(|f| f.parity + f.table == 0 && f.line > 0), "{name}: {layer:?}");
        }
        let compiled = compile_bytes(&quantised.model, None).expect("compiles").report;
        // Tables of functions are tables; everything else rescales.
        let rescaling = compiled.rows.iter().filter(|row| row.primitive != "Lookup");
        let dear: usize = rescaling.map(|row| row.parity + row.table).sum();
        assert_eq!(dear, 0, "{name}");
    }
}

#[test]
fn branches_stay_close() {
    let quantised = support::quantised("branches", &Options::default());
    assert!(quantised.accuracy.cosine > 0.999, "{:?}", quantised.accuracy);
}

/// One channel of a residual sum is a hundred times larger than the others in a few tokens.
#[test]
fn factors_per_channel_save_transformers() {
    let plain = support::quantised("transformer", &Options { channel_factors: false, ..Options::default() });
    let factors = support::quantised("transformer", &Options::default());
    assert_eq!((plain.migration, factors.migration), ("none", "split"));
    assert!(factors.accuracy.cosine > 0.97, "{:?}", factors.accuracy);
    assert!(plain.accuracy.cosine < factors.accuracy.cosine - 0.005, "{:?}", plain.accuracy);
}

/// The sum before a normalisation at 16 bits is nearly as good as float; products cannot be kept.
#[test]
fn sums_keep_sixteen_bits() {
    let options = |name: &str| Options {
        keep_sixteen: vec![name.to_owned()],
        methods: vec![Method::MinMax],
        channel_factors: false,
    };
    let eight = support::quantised(
        "transformer",
        &Options { methods: vec![Method::MinMax], channel_factors: false, ..Options::default() },
    );
    let sum = eight.layers.iter().rfind(|l| l.operator == "Add").expect("a sum").output.clone();
    let sixteen = support::quantised("transformer", &options(&sum));
    let error = |q: &Quantised| q.layers.iter().find(|l| l.output == sum).expect("the sum").sensitivity;
    assert!(error(&sixteen) < error(&eight) / 100.0);
    let product = eight.layers.iter().find(|l| l.operator == "Gemm").expect("a product").output.clone();
    for name in [product.as_str(), "nothing"] {
        let refusal = vinfer_quantiser::quantise(
            &support::file("transformer.onnx"),
            None,
            &support::arrays("transformer"),
            &options(name),
        );
        assert!(matches!(refusal, Err(vinfer_quantiser::QuantiseError::KeepSixteen { .. })), "{name}");
    }
}

#[test]
fn equal_inputs_give_equal_files() {
    let options = Options::default();
    assert!(support::quantised("residual", &options).model == support::quantised("residual", &options).model);
}
