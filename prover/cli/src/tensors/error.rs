//! Why a file of arrays cannot be read.

use std::io;

use super::{Kind, MAX_ELEMENTS};

/// What is wrong with a file of arrays.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TensorError {
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The first bytes belong to none of the formats.
    #[error("not an .npz, .npy or .json file")]
    UnknownFormat,
    /// The zip structure is broken.
    #[error("damaged .npz archive ({0})")]
    Zip(#[from] zip::result::ZipError),
    /// Two members of the archive have the same name.
    #[error("the .npz archive holds two arrays of the same name")]
    DuplicateNames,
    /// A member of the archive is no array.
    #[error("the .npz archive holds `{member}`, which is not an .npy array")]
    ForeignMember {
        /// Name of the member.
        member: String,
    },
    /// The array is not in the file.
    #[error("array `{array}` is not in the file")]
    Absent {
        /// Name of the array.
        array: String,
    },
    /// The array's header or data do not decode.
    #[error("array `{array}` is damaged: {what}")]
    Damaged {
        /// Name of the array.
        array: String,
        /// What was found.
        what: Damage,
    },
    /// Big-endian elements.
    #[error("array `{array}` is big-endian ({descr}); save it with `a.astype(a.dtype.newbyteorder('<'))`")]
    BigEndian {
        /// Name of the array.
        array: String,
        /// NumPy type string.
        descr: String,
    },
    /// Column-major elements.
    #[error("array `{array}` is in Fortran (column-major) order; save it with `numpy.ascontiguousarray(a)`")]
    FortranOrder {
        /// Name of the array.
        array: String,
    },
    /// A structured or object type.
    #[error("array `{array}` has element type {descr}, which is not a plain number")]
    NotNumeric {
        /// Name of the array.
        array: String,
        /// NumPy type string.
        descr: String,
    },
    /// The header claims more than any input needs.
    #[error("array `{array}` claims to hold more than {MAX_ELEMENTS} elements")]
    TooLarge {
        /// Name of the array.
        array: String,
    },
    /// Not JSON, or cut off.
    #[error("not valid JSON: {0}")]
    JsonSyntax(#[from] serde_json::Error),
    /// The JSON text is too long to hold in memory.
    #[error("the JSON file is larger than {} MiB; use .npz", limit >> 20)]
    JsonTooLarge {
        /// Largest size read, in bytes.
        limit: u64,
    },
    /// Lists of unequal length side by side, or lists beside numbers.
    #[error("array `{array}` is ragged: its nested lists do not all have the same length")]
    JsonRagged {
        /// Name of the array.
        array: String,
    },
    /// A JSON element that is no number of the declared type.
    #[error("array `{array}` element {index} is {got}, not a number of type {kind}")]
    JsonElement {
        /// Name of the array.
        array: String,
        /// Flat index of the element.
        index: u64,
        /// The element, as written.
        got: String,
        /// Declared type.
        kind: Kind,
    },
}

/// Ways in which an `.npy` array can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    /// No `.npy` magic.
    #[error("it does not start like an .npy array")]
    Magic,
    /// A format version that does not exist.
    #[error("unknown .npy format version")]
    Version,
    /// The header is cut off, too long or not the expected dictionary.
    #[error("its header does not parse")]
    Header,
    /// Fewer elements than the header says.
    #[error("it ends before the last element")]
    Short,
    /// More bytes than the header says.
    #[error("it has bytes after the last element")]
    Long,
    /// The compressed data or its checksum is wrong.
    #[error("its compressed data is corrupt")]
    Corrupt,
}
