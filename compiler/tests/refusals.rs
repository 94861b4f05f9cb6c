//! Models that must be refused, each with the right reason, and damaged files, which must never cause a panic.

use std::path::{Path, PathBuf};

use vinfer_compiler::{CompileError, compile_bytes, compile_file, inspect_file};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refusals").join(format!("{name}.onnx"))
}

/// Name of the error variant.
fn variant(error: &CompileError) -> String {
    let text = format!("{error:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

/// The model, the error, and a word that the message must contain.
const CASES: &[(&str, &str, &str)] = &[
    ("alpha_with_bias", "PartlyQuantised", "gemm"),
    ("bad_group", "BadAttribute", "group"),
    ("bad_reshape", "BadShape", "reshape"),
    ("bias_scale", "BiasScale", "conv"),
    ("bias_zero_point", "BiasScale", "zero point"),
    ("blocked", "UnsupportedOperator", "per channel"),
    ("channels_mismatch", "BadShape", "conv"),
    ("clip_not_implied", "PartlyQuantised", "Clip"),
    ("cycle", "Cycle", "cycle"),
    ("defined_twice", "BadGraph", "`c`"),
    ("dynamic", "DynamicQuantisation", "quantize_static"),
    ("empty_raw_data", "BadTensor", "`w`"),
    ("empty_window", "BadShape", "padding"),
    ("external_absolute", "ExternalData", "inside the model's directory"),
    ("external_length", "ExternalData", "7 bytes"),
    ("external_missing", "ExternalData", "nothing.bin"),
    ("external_offset", "ExternalData", "124 bytes"),
    ("external_parent", "ExternalData", "inside the model's directory"),
    ("float_input", "PartlyQuantised", "`x`"),
    ("float_output", "PartlyQuantised", "graph output"),
    ("float_weights", "PartlyQuantised", "`wf`"),
    ("huge_dims", "BadTensor", "too many"),
    ("huge_kernel", "BadAttribute", "kernel_shape"),
    ("huge_pads", "BadAttribute", "pads"),
    ("huge_reshape", "BadShape", "reshape"),
    ("huge_unsqueeze", "BadAttribute", "axis"),
    ("int4_weights", "PartlyQuantised", "int4"),
    ("kernel_too_large", "BadShape", "conv"),
    ("missing", "MissingInitializer", "nowhere"),
    ("nan_scale", "BadAttribute", "ys"),
    ("negative_dims", "BadTensor", "negative"),
    ("no_input_shape", "BadPort", "`x`"),
    ("not_quantised", "NotQuantised", "quantize_static"),
    ("opset_25", "UnsupportedOpset", "25"),
    ("opset_9", "UnsupportedOpset", "9"),
    ("overflow", "AccumulatorOverflow", "channel 1"),
    ("per_channel_activation", "PartlyQuantised", "per tensor"),
    ("relu_not_implied", "PartlyQuantised", "Relu"),
    ("s8_graph_input", "PartlyQuantised", "uint8"),
    ("s8_two_readers", "PartlyQuantised", "uint8"),
    ("short_raw_data", "BadTensor", "`w`"),
    ("symbolic_height", "DynamicShape", "height"),
    ("two_readers", "PartlyQuantised", "2 readers"),
    ("unknown_domain", "UnsupportedOperator", "example.org"),
    ("unknown_operator", "UnsupportedOperator", "Einsum"),
    ("zero_scale", "BadAttribute", "xs"),
    ("zero_stride", "BadAttribute", "strides"),
];

/// Models that were refused once and compile now.
const COMPILE: &[&str] =
    &["average_pool", "float_tail", "int16_activations", "layer_norm", "matmul_activations", "softmax"];

#[test]
fn every_refusal_has_its_reason() {
    for (name, expected, word) in CASES {
        let error = compile_file(&path(name)).expect_err(name);
        assert_eq!(variant(&error), *expected, "{name}: {error}");
        assert!(error.to_string().contains(word), "{name}: {error}");
    }
    let files = std::fs::read_dir(path("x").parent().expect("directory")).expect("files");
    let models = files.filter(|f| f.as_ref().expect("file").path().extension().is_some_and(|e| e == "onnx"));
    assert_eq!(models.count(), CASES.len() + COMPILE.len() + 3, "a model without a test");
}

#[test]
fn good_models_compile() {
    for name in COMPILE {
        compile_file(&path(name)).expect(name).program.validate().expect(name);
    }
    for name in ["ok_conv", "ok_symbolic_batch", "ok_external"] {
        let compiled = compile_file(&path(name)).expect(name);
        assert_eq!(compiled.program.ops.len(), 1);
        assert!(compiled.program.inputs[0].leading_batch);
    }
    let bytes = std::fs::read(path("ok_external")).expect("file");
    let error = compile_bytes(&bytes, None).expect_err("no directory");
    assert_eq!(variant(&error), "ExternalData");
}

#[test]
fn inspection_lists_all_problems() {
    for (name, expected, _) in CASES {
        let Ok(inspection) = inspect_file(&path(name)) else { continue };
        assert!(inspection.report.is_none(), "{name}");
        assert!(inspection.problems.iter().any(|p| variant(p) == *expected), "{name}: {:?}", inspection.problems);
    }
    let inspection = inspect_file(&path("ok_conv")).expect("readable");
    assert!(inspection.problems.is_empty());
    assert_eq!(inspection.report.expect("compiles").rows.len(), 1);
    let conv = inspection.nodes.iter().find(|n| n.operator == "Conv").expect("listed");
    assert_eq!(conv.shape.as_deref(), Some(&[1, 4, 4, 4][..]));
}

#[test]
fn files_that_are_not_models() {
    assert_eq!(variant(&compile_bytes(b"", None).expect_err("empty")), "NotOnnx");
    assert_eq!(variant(&compile_bytes(b"PK\x03\x04 no model", None).expect_err("zip")), "NotOnnx");
    assert_eq!(variant(&compile_file(Path::new("/nonexistent.onnx")).expect_err("missing")), "Io");
    let bytes = std::fs::read(path("ok_conv")).expect("file");
    let error = compile_bytes(&bytes[..bytes.len() / 2], None).expect_err("half");
    assert_eq!(variant(&error), "Truncated", "{error}");
}

#[test]
fn damaged_files_never_panic() {
    for name in ["ok_conv", "matmul_activations", "huge_reshape", "empty_window"] {
        let bytes = std::fs::read(path(name)).expect("file");
        for end in 0..bytes.len() {
            let _ = compile_bytes(&bytes[..end], None);
        }
        for at in 0..bytes.len() {
            for change in [1u8, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= change;
                if let Ok(compiled) = compile_bytes(&damaged, None) {
                    compiled.program.validate().expect("valid");
                }
            }
        }
    }
}
