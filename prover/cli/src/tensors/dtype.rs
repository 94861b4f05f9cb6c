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
    /// Unsigned 16-bit integer.
    U16,
    /// Signed 16-bit integer.
    I16,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer.
    I64,
    /// Truth value.
    Bool,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 8] =
        [Self::F32, Self::U8, Self::I8, Self::U16, Self::I16, Self::I32, Self::I64, Self::Bool];

    /// Bytes per element.
    pub(crate) const fn size(self) -> u64 {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::I64 => 8,
        }
    }

    /// NumPy type string, little endian.
    pub(crate) const fn descr(self) -> &'static str {
        match self {
            Self::F32 => "<f4",
            Self::U8 => "|u1",
            Self::I8 => "|i1",
            Self::U16 => "<u2",
            Self::I16 => "<i2",
            Self::I32 => "<i4",
            Self::I64 => "<i8",
            Self::Bool => "|b1",
        }
    }

    /// Smallest and largest integer; `None` for floats.
    pub(crate) const fn range(self) -> Option<(i64, i64)> {
        match self {
            Self::F32 => None,
            Self::U8 => Some((0, 255)),
            Self::I8 => Some((-128, 127)),
            Self::U16 => Some((0, 65535)),
            Self::I16 => Some((-32768, 32767)),
            Self::I32 => Some((i32::MIN as i64, i32::MAX as i64)),
            Self::I64 => Some((i64::MIN, i64::MAX)),
            Self::Bool => Some((0, 1)),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "float32",
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::Bool => "bool",
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
    /// Integers or truth values, in the range of their type.
    Integer(Kind, Vec<i64>),
}

impl Data {
    /// The type of the elements.
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::F32(_) => Kind::F32,
            Self::Integer(kind, _) => *kind,
        }
    }

    /// Little-endian bytes as in a `.npy` file.
    pub(crate) fn to_le_bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::Integer(kind, v) => {
                let size = kind.size() as usize;
                v.iter().flat_map(|x| x.to_le_bytes().into_iter().take(size)).collect()
            }
        }
    }

    /// Decodes little-endian bytes; a trailing partial element is dropped.
    pub(crate) fn from_le_bytes(kind: Kind, bytes: &[u8]) -> Self {
        let integers = |v: Vec<i64>| Self::Integer(kind, v);
        match kind {
            Kind::F32 => Self::F32(bytes.as_chunks::<4>().0.iter().map(|c| f32::from_le_bytes(*c)).collect()),
            Kind::U8 => integers(bytes.iter().map(|&b| i64::from(b)).collect()),
            Kind::I8 => integers(bytes.iter().map(|&b| i64::from(i8::from_le_bytes([b]))).collect()),
            Kind::Bool => integers(bytes.iter().map(|&b| i64::from(b != 0)).collect()),
            Kind::U16 => integers(chunks(bytes, |c| i64::from(u16::from_le_bytes(c)))),
            Kind::I16 => integers(chunks(bytes, |c| i64::from(i16::from_le_bytes(c)))),
            Kind::I32 => integers(chunks(bytes, |c| i64::from(i32::from_le_bytes(c)))),
            Kind::I64 => integers(chunks(bytes, i64::from_le_bytes)),
        }
    }

    /// Elements as text.
    pub(crate) fn to_strings(&self) -> Vec<String> {
        match self {
            Self::F32(v) => v.iter().map(ToString::to_string).collect(),
            Self::Integer(Kind::Bool, v) => v.iter().map(|x| (*x != 0).to_string()).collect(),
            Self::Integer(_, v) => v.iter().map(ToString::to_string).collect(),
        }
    }

    /// Position of the first of the largest elements; `None` where there is no choice.
    pub(crate) fn argmax(&self) -> Option<usize> {
        let first = |best: Option<(usize, f64)>, (at, x): (usize, f64)| match best {
            Some((_, most)) if x.total_cmp(&most).is_le() => best,
            _ => Some((at, x)),
        };
        let (len, best) = match self {
            Self::F32(v) => (v.len(), v.iter().map(|&x| f64::from(x)).enumerate().fold(None, first)),
            Self::Integer(_, v) => {
                let best = v.iter().enumerate().max_by_key(|&(at, x)| (x, std::cmp::Reverse(at)));
                (v.len(), best.map(|(at, _)| (at, 0.0)))
            }
        };
        best.filter(|_| len > 1).map(|(at, _)| at)
    }

    /// Position of the first element that differs in value (NaN differs from everything), type included.
    pub(crate) fn first_difference(&self, other: &Self) -> Option<usize> {
        fn position<T: PartialEq>(a: &[T], b: &[T]) -> Option<usize> {
            let common = a.len().min(b.len());
            a.iter().zip(b).position(|(x, y)| x != y).or((a.len() != b.len()).then_some(common))
        }
        match (self, other) {
            (Self::F32(a), Self::F32(b)) => position(a, b),
            (Self::Integer(ka, a), Self::Integer(kb, b)) if ka == kb => position(a, b),
            _ => Some(0),
        }
    }

    fn json_at(&self, index: usize) -> Value {
        match self {
            Self::F32(v) => v.get(index).map(|x| Value::from(*x)),
            Self::Integer(Kind::Bool, v) => v.get(index).map(|x| Value::from(*x != 0)),
            Self::Integer(_, v) => v.get(index).map(|x| Value::from(*x)),
        }
        .unwrap_or(Value::Null)
    }
}

fn chunks<const N: usize>(bytes: &[u8], from: impl Fn([u8; N]) -> i64) -> Vec<i64> {
    bytes.as_chunks::<N>().0.iter().map(|&c| from(c)).collect()
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
