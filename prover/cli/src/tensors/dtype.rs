//! Element types, and arrays in memory.

use std::fmt;

use serde_json::Value;

/// The element types that models have at their boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 32-bit float.
    F32,
    /// Unsigned 8-bit integer.
    U8,
    /// Signed 8-bit integer.
    I8,
}

impl Kind {
    /// Bytes per element.
    pub(crate) const fn size(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::U8 | Self::I8 => 1,
        }
    }

    /// NumPy type string, little endian.
    pub(crate) const fn descr(self) -> &'static str {
        match self {
            Self::F32 => "<f4",
            Self::U8 => "|u1",
            Self::I8 => "|i1",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "float32",
            Self::U8 => "uint8",
            Self::I8 => "int8",
        })
    }
}

/// Element type of an array in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Element {
    /// One that models use.
    Known(Kind),
    /// Another one, by its NumPy name.
    Other(String),
    /// A JSON number, which fits any type it can be converted to.
    JsonNumber,
}

impl Element {
    /// Whether elements of this type are accepted where `kind` is declared.
    pub(crate) fn fits(&self, kind: Kind) -> bool {
        match self {
            Self::Known(own) => *own == kind,
            Self::Other(_) => false,
            Self::JsonNumber => true,
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(kind) => kind.fmt(f),
            Self::Other(name) => f.write_str(name),
            Self::JsonNumber => f.write_str("number"),
        }
    }
}

/// Elements in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    /// Floats.
    F32(Vec<f32>),
    /// Unsigned bytes.
    U8(Vec<u8>),
    /// Signed bytes.
    I8(Vec<i8>),
}

impl Data {
    /// The type of the elements.
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::F32(_) => Kind::F32,
            Self::U8(_) => Kind::U8,
            Self::I8(_) => Kind::I8,
        }
    }

    /// Little-endian bytes as in a `.npy` file.
    pub(crate) fn to_le_bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::U8(v) => v.clone(),
            Self::I8(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }

    /// Decodes little-endian bytes; a trailing partial element is dropped.
    pub(crate) fn from_le_bytes(kind: Kind, bytes: &[u8]) -> Self {
        match kind {
            Kind::F32 => Self::F32(bytes.as_chunks::<4>().0.iter().map(|c| f32::from_le_bytes(*c)).collect()),
            Kind::U8 => Self::U8(bytes.to_vec()),
            Kind::I8 => Self::I8(bytes.iter().map(|b| i8::from_le_bytes([*b])).collect()),
        }
    }

    /// Elements as text.
    pub(crate) fn to_strings(&self) -> Vec<String> {
        match self {
            Self::F32(v) => v.iter().map(ToString::to_string).collect(),
            Self::U8(v) => v.iter().map(ToString::to_string).collect(),
            Self::I8(v) => v.iter().map(ToString::to_string).collect(),
        }
    }

    /// Position of the first of the largest elements; `None` where there is no choice.
    pub(crate) fn argmax(&self) -> Option<usize> {
        let values: Vec<f32> = match self {
            Self::F32(v) => v.clone(),
            Self::U8(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Self::I8(v) => v.iter().map(|&x| f32::from(x)).collect(),
        };
        let best = values.iter().enumerate().max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)))?;
        (values.len() > 1).then_some(best.0)
    }

    /// Position of the first element that differs in value (NaN differs from everything), type included.
    pub(crate) fn first_difference(&self, other: &Self) -> Option<usize> {
        fn position<T: PartialEq>(a: &[T], b: &[T]) -> Option<usize> {
            let common = a.len().min(b.len());
            a.iter().zip(b).position(|(x, y)| x != y).or((a.len() != b.len()).then_some(common))
        }
        match (self, other) {
            (Self::F32(a), Self::F32(b)) => position(a, b),
            (Self::U8(a), Self::U8(b)) => position(a, b),
            (Self::I8(a), Self::I8(b)) => position(a, b),
            _ => Some(0),
        }
    }

    fn json_at(&self, index: usize) -> Value {
        match self {
            Self::F32(v) => v.get(index).map(|x| Value::from(*x)),
            Self::U8(v) => v.get(index).map(|x| Value::from(*x)),
            Self::I8(v) => v.get(index).map(|x| Value::from(*x)),
        }
        .unwrap_or(Value::Null)
    }
}

/// A dense row-major array.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    /// Shape.
    pub(crate) shape: Vec<u64>,
    /// Elements.
    pub(crate) data: Data,
}

impl Tensor {
    /// Nested JSON lists.
    pub(crate) fn to_json(&self) -> Value {
        self.nested(0, 0).0
    }

    fn nested(&self, axis: usize, start: usize) -> (Value, usize) {
        let Some(&len) = self.shape.get(axis) else {
            return (self.data.json_at(start), start + 1);
        };
        let mut at = start;
        let items = (0..len)
            .map(|_| {
                let (item, next) = self.nested(axis + 1, at);
                at = next;
                item
            })
            .collect();
        (Value::Array(items), at)
    }
}
