//! Constant tensors: decoding of `TensorProto` with every length checked before anything is allocated.

use super::external::External;
use super::proto::{TensorProto, data_type};
use crate::error::CompileError;

/// Most elements one tensor may hold.
pub(crate) const MAX_ELEMENTS: usize = 1 << 28;

/// Elements of a constant tensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    F32(Vec<f32>),
    U8(Vec<u8>),
    I8(Vec<i8>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    /// Integers of another type of at most 16 bits, with the type's number.
    Small(i32, Vec<i32>),
    /// A data type that no supported operator reads; the number is kept for messages.
    Other(i32),
}

/// A constant tensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    pub dims: Vec<usize>,
    pub data: Data,
}

impl Tensor {
    /// Number of elements according to the shape.
    pub(crate) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// ONNX number of the element type.
    pub(crate) fn data_type(&self) -> i32 {
        match &self.data {
            Data::F32(_) => data_type::FLOAT,
            Data::U8(_) => data_type::UINT8,
            Data::I8(_) => data_type::INT8,
            Data::I32(_) => data_type::INT32,
            Data::I64(_) => data_type::INT64,
            Data::Small(number, _) => *number,
            Data::Other(number) => *number,
        }
    }

    /// The elements as floats, if it is a float tensor.
    pub(crate) fn floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(v) => Some(v),
            _ => None,
        }
    }

    /// The elements as integers, if it is a tensor of integers of at most 64 bits.
    pub(crate) fn integers(&self) -> Option<Vec<i64>> {
        Some(match &self.data {
            Data::U8(v) => v.iter().map(|&x| i64::from(x)).collect(),
            Data::I8(v) => v.iter().map(|&x| i64::from(x)).collect(),
            Data::I32(v) => v.iter().map(|&x| i64::from(x)).collect(),
            Data::I64(v) => v.clone(),
            Data::Small(_, v) => v.iter().map(|&x| i64::from(x)).collect(),
            Data::F32(_) | Data::Other(_) => return None,
        })
    }

    /// Decodes a `TensorProto`. `name` is used in messages.
    pub(crate) fn decode(proto: &TensorProto, name: &str, external: &External) -> Result<Self, CompileError> {
        let bad = |reason: &str| CompileError::BadTensor { tensor: name.to_owned(), reason: reason.to_owned() };
        let mut count = 1usize;
        let mut dims = Vec::with_capacity(proto.dims.len().min(16));
        if proto.dims.len() > 16 {
            return Err(bad("more than 16 axes"));
        }
        for &dim in &proto.dims {
            let dim = usize::try_from(dim).map_err(|_| bad("negative dimension"))?;
            count = count.checked_mul(dim).filter(|&n| n <= MAX_ELEMENTS).ok_or_else(|| bad("too many elements"))?;
            dims.push(dim);
        }
        let kind = proto.data_type.unwrap_or(0);
        let width = match kind {
            data_type::FLOAT | data_type::INT32 => 4,
            data_type::UINT8 | data_type::INT8 => 1,
            data_type::INT64 => 8,
            data_type::UINT16 | data_type::INT16 => 2,
            data_type::BOOL => 1,
            data_type::UINT4 | data_type::INT4 => 0,
            other => return Ok(Self { dims, data: Data::Other(other) }),
        };
        let bytes = if width == 0 { count.div_ceil(2) } else { count * width };
        let fetched;
        let raw = if proto.data_location == Some(1) {
            fetched = external
                .read(&proto.external_data, bytes)
                .map_err(|reason| CompileError::ExternalData { tensor: name.to_owned(), reason })?;
            Some(fetched.as_slice())
        } else {
            proto.raw_data.as_deref()
        };
        let data = match raw {
            Some(raw) => {
                if raw.len() != bytes {
                    return Err(bad("the data length does not match the shape"));
                }
                from_raw(kind, raw, count)
            }
            None => from_typed(kind, proto, count).ok_or_else(|| bad("the data length does not match the shape"))?,
        };
        Ok(Self { dims, data })
    }
}

fn from_raw(kind: i32, raw: &[u8], count: usize) -> Data {
    let small = |v: Vec<i32>| Data::Small(kind, v);
    match kind {
        data_type::UINT16 => small(chunks(raw, |b| i32::from(u16::from_le_bytes(b)))),
        data_type::INT16 => small(chunks(raw, |b| i32::from(i16::from_le_bytes(b)))),
        data_type::BOOL => small(raw.iter().map(|&b| i32::from(b != 0)).collect()),
        data_type::UINT4 | data_type::INT4 => small(nibbles(kind, raw.iter().copied(), count)),
        data_type::FLOAT => Data::F32(chunks(raw, f32::from_le_bytes)),
        data_type::INT32 => Data::I32(chunks(raw, i32::from_le_bytes)),
        data_type::INT64 => Data::I64(chunks(raw, i64::from_le_bytes)),
        data_type::UINT8 => Data::U8(raw.to_vec()),
        _ => Data::I8(raw.iter().map(|&b| b as i8).collect()),
    }
}

/// Elements of four bits, the lower half of each byte first.
fn nibbles(kind: i32, bytes: impl Iterator<Item = u8>, count: usize) -> Vec<i32> {
    let sign = |v: u8| if kind == data_type::INT4 && v > 7 { i32::from(v) - 16 } else { i32::from(v) };
    bytes.flat_map(|b| [sign(b & 15), sign(b >> 4)]).take(count).collect()
}

fn chunks<const N: usize, T>(raw: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks::<N>().0.iter().map(|&c| from(c)).collect()
}

fn small(kind: i32, proto: &TensorProto, fits: impl Fn(i32) -> bool) -> Option<Data> {
    let v = proto.int32_data.clone();
    v.iter().all(|&v| fits(v)).then_some(Data::Small(kind, v))
}

fn from_typed(kind: i32, proto: &TensorProto, count: usize) -> Option<Data> {
    let data = match kind {
        data_type::FLOAT => Data::F32(proto.float_data.clone()),
        data_type::INT64 => Data::I64(proto.int64_data.clone()),
        data_type::INT32 => Data::I32(proto.int32_data.clone()),
        data_type::UINT16 => small(kind, proto, |v| u16::try_from(v).is_ok())?,
        data_type::INT16 => small(kind, proto, |v| i16::try_from(v).is_ok())?,
        data_type::BOOL => small(kind, proto, |v| (0..=1).contains(&v))?,
        data_type::UINT4 | data_type::INT4 => {
            let bytes = proto.int32_data.iter().map(|&v| u8::try_from(v).ok()).collect::<Option<Vec<u8>>>()?;
            if bytes.len() != count.div_ceil(2) {
                return None;
            }
            Data::Small(kind, nibbles(kind, bytes.into_iter(), count))
        }
        data_type::UINT8 => Data::U8(proto.int32_data.iter().map(|&v| u8::try_from(v).ok()).collect::<Option<_>>()?),
        _ => Data::I8(proto.int32_data.iter().map(|&v| i8::try_from(v).ok()).collect::<Option<_>>()?),
    };
    let len = match &data {
        Data::F32(v) => v.len(),
        Data::U8(v) => v.len(),
        Data::I8(v) => v.len(),
        Data::I32(v) => v.len(),
        Data::I64(v) => v.len(),
        Data::Small(_, v) => v.len(),
        Data::Other(_) => count,
    };
    (len == count).then_some(data)
}
