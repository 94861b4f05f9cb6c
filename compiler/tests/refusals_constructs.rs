//! Kinds of models that stay refused (made by `gen/refusals_constructs.py`): the message names the node and the operator,
//! and says why and what to do.

mod common;

use std::path::{Path, PathBuf};

use vinfer_compiler::{CompileError, compile_file, inspect_file};

/// The model, the errors it may cause, and what the message must contain.
const CASES: &[(&str, &[&str], &[&str])] = &[
    ("bfloat16_input", &["BadPort"], &["`x`", "bfloat16", "uint8"]),
    ("bfloat16_model", &["BadPort"], &["`x`", "bfloat16", "uint8"]),
    ("double_input", &["BadPort"], &["`x`", "double", "uint8"]),
    ("double_model", &["BadPort"], &["`x`", "double", "uint8"]),
    ("dropout_training", &["UnsupportedOperator"], &["`drop`", "(Dropout)"]),
    ("dynamic_fused", &["DynamicQuantisation", "NotQuantised"], &["quantize_static"]),
    ("dynamic_lstm", &["DynamicQuantisation", "NotQuantised"], &["quantize_static"]),
    ("dynamic_matmul", &["DynamicQuantisation"], &["`measure`", "(DynamicQuantizeLinear)", "quantize_static"]),
    ("float16_input", &["BadPort"], &["`x`", "float16", "uint8"]),
    ("float16_model", &["BadPort"], &["`x`", "float16", "uint8"]),
    ("float16_scale", &["BadPort"], &["`x`", "float16", "uint8"]),
    ("float8", &["UnsupportedOperator"], &["`quantise`", "(QuantizeLinear)", "float8", "uint8"]),
    ("function", &["UnsupportedOperator"], &["`call`", "Twice"]),
    ("gru", &["UnsupportedOperator"], &["`rnn`", "(GRU)"]),
    ("if", &["UnsupportedOperator"], &["`branch`", "(If)"]),
    ("loop", &["UnsupportedOperator"], &["`repeat`", "(Loop)"]),
    ("lstm", &["UnsupportedOperator"], &["`rnn`", "(LSTM)"]),
    ("matmul_int4", &["PartlyQuantised"], &["int4", "int8 or uint8"]),
    ("matmul_nbits", &["UnsupportedOperator"], &["`product`", "MatMulNBits"]),
    ("matmul_uint4", &["PartlyQuantised"], &["uint4", "int8 or uint8"]),
    ("non_max_suppression", &["UnsupportedOperator"], &["`nms`", "(NonMaxSuppression)"]),
    ("nonzero", &["UnsupportedOperator"], &["`where`", "(NonZero)"]),
    ("random", &["UnsupportedOperator"], &["`noise`", "(RandomNormalLike)"]),
    ("recursive_function", &["UnsupportedOperator", "BadGraph"], &["Loop"]),
    ("rnn", &["UnsupportedOperator"], &["`rnn`", "(RNN)"]),
    ("scan", &["UnsupportedOperator"], &["`accumulate`", "(Scan)"]),
    ("sequence", &["UnsupportedOperator"], &["`list`", "(SequenceConstruct)"]),
    ("sparse_constant", &["UnsupportedOperator"], &["`sparse`", "(Constant)"]),
    ("sparse_initializer", &["BadGraph"], &["sparse"]),
    ("string_constant", &["UnsupportedOperator"], &["`labels`", "LabelEncoder"]),
    ("string_input", &["BadPort"], &["`x`", "string"]),
    ("tree_ensemble", &["UnsupportedOperator"], &["`forest`", "TreeEnsembleRegressor"]),
    ("unique", &["UnsupportedOperator"], &["`unique`", "(Unique)"]),
];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refusals/constructs")
}

fn path(name: &str) -> PathBuf {
    directory().join(format!("{name}.onnx"))
}

#[test]
fn every_construct_is_refused_with_its_reason() {
    for (name, variants, words) in CASES {
        let error = compile_file(&path(name)).expect_err(name);
        assert!(variants.contains(&common::variant(&error).as_str()), "{name}: {error:?}");
        for word in *words {
            assert!(error.to_string().contains(word), "{name}: no {word} in: {error}");
        }
        if let CompileError::UnsupportedOperator { reason, remedy, .. }
        | CompileError::PartlyQuantised { reason, remedy, .. } = &error
        {
            assert!(reason.len() > 10 && remedy.len() > 10, "{name}: {error}");
        }
    }
    assert_eq!(std::fs::read_dir(directory()).expect("models").count(), CASES.len(), "a model without a test");
}

#[test]
fn inspection_agrees() {
    for (name, variants, _) in CASES {
        let Ok(inspection) = inspect_file(&path(name)) else { continue };
        let found = inspection.problems.iter().any(|p| variants.contains(&common::variant(p).as_str()));
        assert!(found && inspection.report.is_none(), "{name}: {:?}", inspection.problems);
    }
}
