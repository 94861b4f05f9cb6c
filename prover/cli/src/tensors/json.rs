//! Arrays as JSON: `{"name": nested lists}`, or one nested list for a model with a single input.

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;

use serde_json::{Map, Value};

use super::{Data, Element, Header, Kind, TensorError};

/// Longest text read: its numbers take several times as much memory.
const MAX_BYTES: u64 = 256 << 20;

/// A parsed file.
pub(crate) enum JsonFile {
    /// An object of arrays.
    Named(Map<String, Value>),
    /// One array.
    Single(Value),
}

impl JsonFile {
    /// Parses the whole file.
    ///
    /// # Errors
    /// It is too long or not JSON.
    pub(crate) fn open(file: BufReader<File>) -> Result<Self, TensorError> {
        let mut text = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(TensorError::JsonTooLarge { limit: MAX_BYTES });
        }
        Ok(match serde_json::from_slice(&text)? {
            Value::Object(arrays) => Self::Named(arrays),
            other => Self::Single(other),
        })
    }

    /// Names of the arrays, or `None` for a single unnamed one.
    pub(crate) fn names(&self) -> Option<Vec<String>> {
        match self {
            Self::Named(arrays) => Some(arrays.keys().cloned().collect()),
            Self::Single(_) => None,
        }
    }

    /// Shape of an array, as its first elements have it.
    ///
    /// # Errors
    /// The array is absent.
    pub(crate) fn header(&self, array: &str) -> Result<Header, TensorError> {
        let mut shape = Vec::new();
        let mut at = self.array(array)?;
        while let Value::Array(items) = at {
            shape.push(items.len() as u64);
            match items.first() {
                Some(first) => at = first,
                None => break,
            }
        }
        Ok(Header { element: Element::JsonNumber, shape })
    }

    /// Elements `range` of an array, which is checked as a whole.
    ///
    /// # Errors
    /// The lists are ragged, or an element is not a number of `kind`.
    pub(crate) fn read(&self, array: &str, kind: Kind, range: Range<u64>) -> Result<Data, TensorError> {
        let shape = self.header(array)?.shape;
        let mut numbers = Vec::new();
        flatten(self.array(array)?, &shape, &mut numbers)
            .ok_or_else(|| TensorError::JsonRagged { array: array.to_owned() })?;
        let (mut floats, mut integers) = (Vec::new(), Vec::new());
        for (index, value) in (0u64..).zip(numbers) {
            let truth = value.as_bool().filter(|_| kind == Kind::Bool).map(i64::from);
            let integer = match kind.range() {
                None => None,
                Some((lo, hi)) => truth.or(value.as_i64()).filter(|n| (lo..=hi).contains(n)),
            };
            let float = value.as_f64().filter(|_| kind == Kind::F32);
            if integer.is_none() && float.is_none() {
                let mut got = value.to_string();
                got.truncate(got.floor_char_boundary(40));
                return Err(TensorError::JsonElement { array: array.to_owned(), index, got, kind });
            }
            if range.contains(&index) {
                floats.extend(float.map(|x| x as f32));
                integers.extend(integer);
            }
        }
        Ok(if kind == Kind::F32 { Data::F32(floats) } else { Data::Integer(kind, integers) })
    }

    fn array(&self, name: &str) -> Result<&Value, TensorError> {
        match self {
            Self::Named(arrays) => arrays.get(name).ok_or_else(|| TensorError::Absent { array: name.to_owned() }),
            Self::Single(array) => Ok(array),
        }
    }
}

/// Collects the leaves of `value`, which must have exactly `shape`.
fn flatten<'a>(value: &'a Value, shape: &[u64], out: &mut Vec<&'a Value>) -> Option<()> {
    match (value, shape.split_first()) {
        (Value::Array(items), Some((&len, rest))) if items.len() as u64 == len => {
            items.iter().try_for_each(|item| flatten(item, rest, out))
        }
        (Value::Array(_), _) | (_, Some(_)) => None,
        (leaf, None) => {
            out.push(leaf);
            Some(())
        }
    }
}
