//! Shared by the tests: NumPy archives, and bit-for-bit comparison of a compiled model with ONNX Runtime.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};
use std::path::Path;

use npyz::npz::NpzArchive;
use vinfer_circuits::boundary::{dequantise, quantise};
use vinfer_circuits::program::{IntType, PortType, Program};
use vinfer_compiler::{CompileError, Compiled};

pub(crate) mod conformance;

/// Element data of an array in an `.npz` file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    /// `float32`.
    Float(Vec<f32>),
    /// Any integer type, or `bool`.
    Integer(Vec<i64>),
}

impl Data {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Float(v) => v.len(),
            Self::Integer(v) => v.len(),
        }
    }
}

/// An array whose first axis is the sample.
pub(crate) struct Array {
    /// Number of samples.
    pub(crate) samples: usize,
    /// Row-major elements.
    pub(crate) data: Data,
}

/// Arrays by name.
pub(crate) type Arrays = BTreeMap<String, Array>;

/// Reads all arrays of an `.npz` file.
pub(crate) fn read_npz(path: &Path) -> Arrays {
    let mut npz = NpzArchive::open(path).expect("an npz file");
    let names: Vec<String> = npz.array_names().map(str::to_owned).collect();
    names.into_iter().map(|name| (name.clone(), read_array(&mut npz, &name))).collect()
}

/// Reads one array of an `.npz` file.
pub(crate) fn read_array<R: Read + Seek>(npz: &mut NpzArchive<R>, name: &str) -> Array {
    let array = npz.by_name(name).expect("readable").expect("listed");
    let samples = array.shape().first().copied().unwrap_or(1) as usize;
    let descriptor = array.dtype().descr();
    macro_rules! integers {
        ($kind:ty) => {
            Data::Integer(array.into_vec::<$kind>().expect("integers").into_iter().map(i64::from).collect())
        };
    }
    let data = match descriptor.trim_matches(['\'', '<', '|', '=']) {
        "f4" => Data::Float(array.into_vec().expect("floats")),
        "b1" => integers!(bool),
        "u1" => integers!(u8),
        "i1" => integers!(i8),
        "u2" => integers!(u16),
        "i2" => integers!(i16),
        "i4" => integers!(i32),
        "i8" => integers!(i64),
        other => panic!("{name}: element type {other}"),
    };
    Array { samples, data }
}

/// Name of an error's variant.
pub(crate) fn variant(error: &CompileError) -> String {
    let text = format!("{error:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

/// Centred inputs of one sample.
pub(crate) fn inputs(program: &Program, arrays: &Arrays, sample: usize) -> Result<Vec<Vec<i32>>, String> {
    let port_inputs = program.inputs.iter().map(|port| {
        let value = &program.values[port.value as usize];
        let q = &value.quantisation;
        let array = arrays.get(&port.name).ok_or_else(|| format!("there is no input `{}`", port.name))?;
        if array.data.len() != array.samples * value.len() {
            return Err(format!("input `{}` has another size", port.name));
        }
        let range = sample * value.len()..(sample + 1) * value.len();
        match &array.data {
            Data::Float(v) if q.int_type == IntType::F32 => {
                Ok(v[range].iter().map(|x| x.to_bits().cast_signed()).collect())
            }
            Data::Float(v) => {
                v[range].iter().map(|&x| quantise(x, q).ok_or_else(|| "not a number".to_owned())).collect()
            }
            Data::Integer(v) => v[range]
                .iter()
                .map(|&x| i32::try_from(x - i64::from(q.zero_point)).map_err(|e| format!("input `{}`: {e}", port.name)))
                .collect(),
        }
    });
    port_inputs.collect()
}

/// Runs every sample of `given` and compares every output bit with `expected`; returns the number of output elements
/// compared, or the first difference.
pub(crate) fn differences(compiled: &Compiled, given: &Arrays, expected: &Arrays) -> Result<usize, String> {
    let program = &compiled.program;
    let samples = given.values().map(|a| a.samples).min().ok_or("no input")?;
    if let Some(missing) = expected.keys().find(|name| program.outputs.iter().all(|p| p.name != **name)) {
        return Err(format!("the program has no output `{missing}`"));
    }
    let mut compared = 0;
    for sample in 0..samples {
        let inputs = inputs(program, given, sample)?;
        let trace = vinfer_prover::execute::execute(program, &inputs).map_err(|e| e.to_string())?;
        for port in &program.outputs {
            let value = &program.values[port.value as usize];
            let centred = &trace[port.value as usize];
            let want = expected.get(&port.name).ok_or_else(|| format!("unexpected output `{}`", port.name))?;
            if want.data.len() != samples * centred.len() {
                return Err(format!("output `{}` has another size", port.name));
            }
            for (i, &c) in centred.iter().enumerate() {
                let at = sample * centred.len() + i;
                let (equal, message) = match (port.port_type, &want.data) {
                    (PortType::Float32, Data::Float(want)) => {
                        let bits = value.quantisation.int_type == IntType::F32;
                        let got =
                            if bits { f32::from_bits(c.cast_unsigned()) } else { dequantise(c, &value.quantisation) };
                        (got.to_bits() == want[at].to_bits(), format!("{got} instead of {}", want[at]))
                    }
                    (kind, Data::Integer(want)) if kind != PortType::Float32 => {
                        let got = i64::from(c) + i64::from(value.quantisation.zero_point);
                        (got == want[at], format!("{got} instead of {}", want[at]))
                    }
                    _ => return Err(format!("output `{}` has another type", port.name)),
                };
                if !equal {
                    return Err(format!("sample {sample} {}[{i}]: {message}", port.name));
                }
            }
            compared += centred.len();
        }
    }
    Ok(compared)
}

/// Runs every sample of `inputs.npz` in `directory` and compares with `ort_outputs.npz`, see [`differences`].
pub(crate) fn compare(compiled: &Compiled, directory: &Path) -> Result<usize, String> {
    let given = read_npz(&directory.join("inputs.npz"));
    let expected = read_npz(&directory.join("ort_outputs.npz"));
    differences(compiled, &given, &expected)
}

/// Compares refusals (`NAME KIND`) with a committed list whose first line is the number of cases that pass;
/// `VINFER_UPDATE_REFUSED=1` rewrites the list.
pub(crate) fn check_refused(path: &Path, passed: usize, refused: &BTreeSet<String>) {
    if std::env::var_os("VINFER_UPDATE_REFUSED").is_some() {
        let lines: String = refused.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        std::fs::write(path, format!("{passed} passed\n{lines}")).expect("written");
        return;
    }
    let text = std::fs::read_to_string(path).expect("a list of refusals");
    let (first, rest) = text.split_once('\n').expect("a first line");
    let least: usize = first.split(' ').next().and_then(|n| n.parse().ok()).expect("a count");
    let listed: BTreeSet<String> = rest.lines().map(str::to_owned).collect();
    let new: Vec<_> = refused.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(refused).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "refused but not listed: {new:?}; listed but not refused so: {gone:?}; VINFER_UPDATE_REFUSED=1 rewrites the list"
    );
    assert!(passed >= least, "{passed} pass, {least} did");
}
