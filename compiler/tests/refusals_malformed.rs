//! Damaged and absurd models (made by `gen/refusals_malformed.py`, or encoded here) are refused, quickly.

mod common;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use vinfer_compiler::{CompileError, Compiled, compile_bytes, compile_file};

/// Models that break a rule of ONNX as a whole: the error, and what the message must contain.
const GRAPHS: &[(&str, &str, &str)] = &[
    ("declared_huge_product", "BadTensor", "too many"),
    ("declared_two_gigabytes", "BadTensor", "`w`"),
    ("external_beyond", "ExternalData", "112 are needed"),
    ("external_directory", "ExternalData", "`.`"),
    ("external_empty", "ExternalData", "inside the model's directory"),
    ("external_large", "ExternalData", "268435456 are needed"),
    ("external_negative_offset", "ExternalData", "-16"),
    ("external_nested_parent", "ExternalData", "inside the model's directory"),
    ("external_not_a_number", "ExternalData", "many"),
    ("external_nowhere", "ExternalData", "no file location"),
    ("external_windows_parent", "ExternalData", "secret"),
    ("external_zero_byte", "ExternalData", "`w`"),
    ("initialiser_twice", "BadGraph", "`w` is defined twice"),
    ("input_batches", "DynamicShape", "make_dynamic_shape_fixed"),
    ("input_huge", "BadPort", "`x`"),
    ("input_many_axes", "BadPort", "8 axes"),
    ("input_negative", "BadPort", "`x`"),
    ("input_redefined", "BadGraph", "`x`"),
    ("input_twice", "BadGraph", "`x`"),
    ("input_two_gigabytes", "BadPort", "`x`"),
    ("input_zero", "BadPort", "`x`"),
    ("long_raw_data", "BadTensor", "`w`"),
    ("no_data_type", "UnsupportedOperator", "`wd`"),
    ("no_nodes", "NotOnnx", "no nodes"),
    ("no_opset", "NotOnnx", "operator set"),
    ("odd_raw_data", "BadTensor", "`xs`"),
    ("opset_huge", "UnsupportedOpset", "4611686018427387904"),
    ("own_output", "Cycle", "`loop`"),
    ("scale_double", "BadAttribute", "`xs`"),
    ("scale_empty", "BadAttribute", "`xs`"),
    ("scale_infinite", "BadAttribute", "`ys`"),
    ("scale_int8", "BadAttribute", "`xs`"),
    ("scale_negative", "BadAttribute", "`xs`"),
    ("scale_vector_mismatch", "PartlyQuantised", "`conv`"),
    ("two_cycles", "BadGraph", "`b`"),
    ("typed_data_too_large", "BadTensor", "`w`"),
    ("undefined_bias", "MissingInitializer", "`nothing`"),
    ("undefined_output", "BadGraph", "`nowhere`"),
    ("unknown_data_type", "UnsupportedOperator", "`wd`"),
    ("weights_int64", "UnsupportedOperator", "`wd`"),
    ("zero_point_float", "UnsupportedOperator", "`xq`"),
    ("zero_point_other_type", "BadAttribute", "`wd`"),
];

/// Models with a declared output type of their own.
const OPEN: &[&str] = &["output_other_type"];

fn directory(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refusals/malformed").join(kind)
}

/// Names of the models in a directory.
fn names(kind: &str) -> Vec<String> {
    let paths = std::fs::read_dir(directory(kind)).expect("models").map(|e| e.expect("entry").path());
    let models = paths.filter(|p| p.extension().is_some_and(|e| e == "onnx"));
    models.map(|p| p.file_stem().expect("a name").to_string_lossy().into_owned()).collect()
}

fn compile(kind: &str, name: &str) -> Result<Compiled, CompileError> {
    let start = Instant::now();
    let result = compile_file(&directory(kind).join(format!("{name}.onnx")));
    assert!(start.elapsed() < Duration::from_secs(5), "{name} takes {:?}", start.elapsed());
    result
}

#[test]
fn broken_graphs() {
    for (name, expected, word) in GRAPHS {
        let error = compile("graph", name).expect_err(name);
        assert_eq!(common::variant(&error), *expected, "{name}: {error}");
        assert!(error.to_string().contains(word), "{name}: {error}");
    }
    assert_eq!(names("graph").len(), GRAPHS.len() + OPEN.len(), "a model without a test");
}

/// The runtime refuses a graph output whose declared type is not that of the tensor.
#[test]
fn declared_output_types() {
    for name in OPEN {
        compile("graph", name).expect_err(name);
    }
}

#[test]
fn impossible_operands_name_the_node() {
    let names = names("operands");
    assert!(names.len() > 60);
    for name in names {
        let error = compile("operands", &name).expect_err(&name);
        assert!(error.to_string().contains("`node`"), "{name}: {error}");
    }
}

/// A protobuf field of bytes.
fn field(tag: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = varint(tag << 3 | 2);
    out.extend(varint(bytes.len() as u64));
    out.extend_from_slice(bytes);
    out
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn node(operator: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let mut body: Vec<u8> = inputs.iter().flat_map(|i| field(1, i.as_bytes())).collect();
    body.extend(field(2, output.as_bytes()));
    body.extend(field(4, operator.as_bytes()));
    field(1, &body)
}

/// `x` quantised, `count` times `operator`, quantised: a float tensor of one element.
fn chain(operator: &str, count: usize) -> Vec<u8> {
    let mut graph =
        [node("QuantizeLinear", &["x", "s", "z"], "q"), node("DequantizeLinear", &["q", "s", "z"], "v0")].concat();
    for i in 0..count {
        graph.extend(node(operator, &[&format!("v{i}")], &format!("v{}", i + 1)));
    }
    graph.extend(node("QuantizeLinear", &[&format!("v{count}"), "s", "z"], "y"));
    let scale = [varint(2 << 3), varint(1), field(8, b"s"), field(9, &0.1f32.to_le_bytes())].concat();
    let zero = [varint(2 << 3), varint(2), field(8, b"z"), field(9, &[128])].concat();
    graph.extend([field(5, &scale), field(5, &zero)].concat());
    let port = |name: &str, kind: u64| {
        let shape = field(2, &field(1, &[varint(1 << 3), varint(1)].concat()));
        let tensor = field(1, &[varint(1 << 3), varint(kind), shape].concat());
        [field(1, name.as_bytes()), field(2, &tensor)].concat()
    };
    graph.extend([field(11, &port("x", 1)), field(12, &port("y", 2))].concat());
    let opset = [varint(2 << 3), varint(17)].concat();
    [varint(1 << 3), varint(8), field(8, &opset), field(7, &graph)].concat()
}

#[test]
fn long_chains_do_not_exhaust_the_stack() {
    for (operator, count) in [("Identity", 4000), ("Neg", 20_000), ("Flatten", 3000), ("Relu", 3000)] {
        let start = Instant::now();
        if let Ok(compiled) = compile_bytes(&chain(operator, count), None) {
            compiled.program.validate().expect("valid");
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{operator}: {:?}", start.elapsed());
    }
    compile_bytes(&chain("Neg", 3), None).expect("a short chain compiles");
}

#[test]
fn nested_and_overlong_encodings() {
    let groups = vec![0x0b; 100_000]; // 100,000 groups, none of them closed
    compile_bytes(&groups, None).expect_err("groups");
    let mut nested = Vec::new();
    for _ in 0..2000 {
        nested = field(7, &nested);
    }
    compile_bytes(&nested, None).expect_err("graphs in graphs");
    compile_bytes(&[0xff; 64], None).expect_err("endless number");
    let mut large = varint(7 << 3 | 2);
    large.extend(varint(1 << 60));
    compile_bytes(&large, None).expect_err("a graph longer than the file");
}
