//! Why a file's arrays are not what a model takes.

use crate::tensors::{Element, Kind, TensorError};

/// What does not fit between a file of arrays and the ports of a model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortError {
    /// The file itself is not readable.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// An array that the model needs is not there.
    #[error("array `{name}` is missing; the file holds {}", list(found))]
    Missing {
        /// Name of the port.
        name: String,
        /// Names in the file.
        found: Vec<String>,
    },
    /// An array that the model has no use for.
    #[error("array `{name}` belongs to no port of the model, which has {}", list(wanted))]
    Extra {
        /// Name in the file.
        name: String,
        /// Names of the ports.
        wanted: Vec<String>,
    },
    /// One unnamed array for several ports.
    #[error("the file holds one unnamed array, the model has {}; use .npz, or a JSON object", list(wanted))]
    Unnamed {
        /// Names of the ports.
        wanted: Vec<String>,
    },
    /// Another element type than declared.
    #[error("array `{name}` is {got}, the model declares {expected}; convert it with `a.astype(\"{expected}\")`")]
    ElementType {
        /// Name of the port.
        name: String,
        /// Declared type.
        expected: Kind,
        /// Type in the file.
        got: Element,
    },
    /// Another shape than declared.
    #[error("array `{name}` has shape {got:?}, the model takes {expected}, S samples along the first axis")]
    Shape {
        /// Name of the port.
        name: String,
        /// Shape the model takes.
        expected: String,
        /// Shape in the file.
        got: Vec<u64>,
    },
    /// Arrays that disagree on the number of samples.
    #[error("array `{name}` holds {got} samples, array `{first}` holds {expected}")]
    SampleCounts {
        /// Name of the later array.
        name: String,
        /// Its samples.
        got: u64,
        /// Name of the first array.
        first: String,
        /// Its samples.
        expected: u64,
    },
    /// A sample that is not in the file.
    #[error("sample {index} does not exist: the file holds {samples} (counted from 0)")]
    IndexOutOfRange {
        /// Largest sample asked for.
        index: u64,
        /// Samples in the file.
        samples: u64,
    },
    /// A NaN where a number must be quantised.
    #[error("array `{name}` sample {sample} element {element} is NaN, which has no quantised value")]
    NotANumber {
        /// Name of the port.
        name: String,
        /// Sample in the file.
        sample: u64,
        /// Flat index in the sample.
        element: u64,
    },
    /// An integer that the model has no place for, such as an index beyond a table.
    #[error("array `{name}` sample {sample} element {element} is {value}, outside {min}..={max}")]
    OutOfRange {
        /// Name of the port.
        name: String,
        /// Sample in the file.
        sample: u64,
        /// Flat index in the sample.
        element: u64,
        /// The element.
        value: i64,
        /// Smallest that fits.
        min: i32,
        /// Largest that fits.
        max: i32,
    },
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    if names.is_empty() {
        return String::from("none");
    }
    let mut text = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
