//! Calibration data: arrays of an `.npz` file, one per graph input.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use crate::error::QuantiseError;
use crate::tensor::{Data, Tensor, count};

/// Longest header that is read.
const MAX_HEADER: usize = 1 << 16;

/// Reads the arrays of an `.npz` file: floats and integers of 32 or 64 bits.
///
/// # Errors
/// The file is damaged, or holds something else.
pub fn read_npz(bytes: &[u8]) -> Result<Vec<(String, Tensor)>, QuantiseError> {
    let bad = |reason: String| QuantiseError::Data { reason };
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| bad(format!("not an .npz file ({e})")))?;
    (0..archive.len())
        .map(|index| {
            let mut member = archive.by_index(index).map_err(|e| bad(format!("damaged .npz file ({e})")))?;
            let file = member.name().map_err(|e| bad(format!("damaged .npz file ({e})")))?.into_owned();
            let name = file.strip_suffix(".npy").unwrap_or(&file).to_owned();
            let damaged = |what: &str| bad(format!("array `{name}`: {what}"));
            let (dims, kind) =
                header(&mut member).ok_or_else(|| damaged("not a plain little-endian .npy array in C order"))?;
            let elements = count(&dims).ok_or_else(|| damaged("too many elements"))?;
            let width = if matches!(kind, Kind::F64 | Kind::I64) { 8 } else { 4 };
            let size = elements as u64 * width;
            let mut raw = Vec::new();
            member.take(size + 1).read_to_end(&mut raw).map_err(|e| damaged(&e.to_string()))?;
            if raw.len() as u64 != size {
                return Err(damaged("the data length does not match the shape"));
            }
            Ok((name, Tensor { dims, data: kind.decode(&raw) }))
        })
        .collect()
}

/// Element types that are read.
#[derive(Clone, Copy)]
enum Kind {
    F32,
    F64,
    I32,
    I64,
}

impl Kind {
    fn decode(self, raw: &[u8]) -> Data {
        match self {
            Self::F32 => Data::F32(raw.as_chunks().0.iter().map(|&c| f32::from_le_bytes(c)).collect()),
            Self::F64 => Data::F32(raw.as_chunks().0.iter().map(|&c| f64::from_le_bytes(c) as f32).collect()),
            Self::I32 => Data::I64(raw.as_chunks().0.iter().map(|&c| i64::from(i32::from_le_bytes(c))).collect()),
            Self::I64 => Data::I64(raw.as_chunks().0.iter().map(|&c| i64::from_le_bytes(c)).collect()),
        }
    }
}

/// Shape and element type of an `.npy` member.
fn header(member: &mut dyn Read) -> Option<(Vec<usize>, Kind)> {
    let mut start = [0u8; 10];
    member.read_exact(&mut start).ok()?;
    if !start.starts_with(b"\x93NUMPY") {
        return None;
    }
    let mut length = usize::from(u16::from_le_bytes([start[8], start[9]]));
    if start[6] > 1 {
        let mut high = [0u8; 2];
        member.read_exact(&mut high).ok()?;
        length += usize::from(u16::from_le_bytes(high)) << 16;
    }
    if length > MAX_HEADER {
        return None;
    }
    let mut text = vec![0u8; length];
    member.read_exact(&mut text).ok()?;
    let text = String::from_utf8(text).ok()?;
    let kind = match value(&text, "descr")?.trim_matches(['\'', '"']) {
        "<f4" => Kind::F32,
        "<f8" => Kind::F64,
        "<i4" => Kind::I32,
        "<i8" => Kind::I64,
        _ => return None,
    };
    if !value(&text, "fortran_order")?.starts_with("False") {
        return None;
    }
    let shape = value(&text, "shape")?.strip_prefix('(')?.split_once(')')?.0;
    let dims =
        shape.split(',').map(str::trim).filter(|d| !d.is_empty()).map(|d| d.parse().ok()).collect::<Option<_>>()?;
    Some((dims, kind))
}

/// What follows `'key':` in a header, up to the next comma outside of parentheses or beyond.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let rest = text.split_once(&format!("'{key}'"))?.1.trim_start().strip_prefix(':')?.trim_start();
    Some(if rest.starts_with('(') { rest } else { rest.split_once(',')?.0.trim() })
}

/// A graph input.
pub(crate) struct Input {
    pub name: String,
    /// Whether it holds floats; otherwise integers.
    pub float: bool,
    /// Declared dimensions, `None` where symbolic; absent if no shape is declared.
    pub dims: Option<Vec<Option<usize>>>,
}

/// Splits the arrays into samples that fit the inputs' shapes: the first axis counts samples, which are run one at a
/// time or in the batch that the model declares. Symbolic dimensions take their size from the data, the batch 1.
///
/// # Errors
/// An array is missing, or does not fit its input.
pub(crate) fn samples(inputs: &[Input], arrays: &[(String, Tensor)]) -> Result<Vec<Vec<Tensor>>, QuantiseError> {
    let bad = |reason: String| QuantiseError::Data { reason };
    let mut samples: Vec<Vec<Tensor>> = Vec::new();
    for (position, Input { name, float, dims: declared }) in inputs.iter().enumerate() {
        let array = arrays.iter().find(|(n, _)| n == name).map(|(_, t)| t);
        let array = array.ok_or_else(|| {
            let names: Vec<&str> = arrays.iter().map(|(n, _)| n.as_str()).collect();
            bad(format!("there is no array `{name}` (found: {})", names.join(", ")))
        })?;
        if *float != array.as_floats().is_some() {
            return Err(bad(format!("array `{name}` must hold {}", if *float { "floats" } else { "integers" })));
        }
        crate::tensor::check_finite(name, array)?;
        let dims = sample_dims(declared.as_deref(), &array.dims).ok_or_else(|| {
            bad(format!("array `{name}` has shape {:?}, which does not fit the input's {declared:?}", array.dims))
        })?;
        let size: usize = dims.iter().product();
        let available = array.len().checked_div(size).filter(|&n| n > 0);
        let available = available.ok_or_else(|| bad(format!("array `{name}` holds no sample")))?;
        if position == 0 {
            samples.resize(available, Vec::new());
        } else if samples.len() != available {
            return Err(bad(format!("array `{name}` has {available} samples, the first array {}", samples.len())));
        }
        for (index, sample) in samples.iter_mut().enumerate() {
            let range = index * size..(index + 1) * size;
            let data = match &array.data {
                Data::F32(v) => Data::F32(v[range].to_vec()),
                Data::I64(v) => Data::I64(v[range].to_vec()),
                other => other.clone(),
            };
            sample.push(Tensor { dims: dims.clone(), data });
        }
    }
    Ok(samples)
}

/// The shape of one run, from the declared shape and that of the whole array.
fn sample_dims(declared: Option<&[Option<usize>]>, array: &[usize]) -> Option<Vec<usize>> {
    let rest = array.get(1..)?;
    let Some(declared) = declared else {
        return Some([&[1], rest].concat());
    };
    let fits = |declared: &[Option<usize>], given: &[usize]| {
        declared.len() == given.len() && declared.iter().zip(given).all(|(d, &g)| d.is_none_or(|d| d == g))
    };
    let batch = declared.first().copied().flatten().unwrap_or(1);
    if !declared.is_empty() && fits(&declared[1..], rest) && array[0] >= batch {
        return Some([&[batch], rest].concat());
    }
    fits(declared, rest).then(|| rest.to_vec())
}
