//! The `.npy` format (NumPy enhancement proposal 1; versions 1.0 to 3.0): header, then raw elements.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

use super::error::Damage;
use super::{Data, Element, Header, Kind, MAX_ELEMENTS, Tensor, TensorError};

/// First bytes of an `.npy` file.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// Longest header read; NumPy's own headers of plain arrays take 128 bytes.
const MAX_HEADER: u32 = 1 << 16;

/// Most axes an array may have (NumPy's own limit is 64).
const MAX_AXES: usize = 64;

/// Reads magic, version and header; leaves `reader` at the first element.
///
/// # Errors
/// The header is damaged, or describes a layout that is not read.
pub(crate) fn read_header(reader: &mut impl Read, array: &str) -> Result<Header, TensorError> {
    let damaged = |what| TensorError::Damaged { array: array.to_owned(), what };
    let text = read_header_text(reader).map_err(damaged)?;
    let fields = Dictionary::parse(&text).ok_or_else(|| damaged(Damage::Header))?;
    let element = element_of(&fields.descr, array)?;
    // With one axis (or none) both orders are the same.
    if fields.fortran_order && fields.shape.len() > 1 {
        return Err(TensorError::FortranOrder { array: array.to_owned() });
    }
    let count = fields.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
    if count.is_none_or(|n| n > MAX_ELEMENTS) {
        return Err(TensorError::TooLarge { array: array.to_owned() });
    }
    Ok(Header { element, shape: fields.shape })
}

fn read_header_text(reader: &mut impl Read) -> Result<String, Damage> {
    let mut start = [0u8; 8];
    reader.read_exact(&mut start).map_err(|_| Damage::Magic)?;
    if !start.starts_with(MAGIC) {
        return Err(Damage::Magic);
    }
    let len = match start[6] {
        1 => {
            let mut len = [0u8; 2];
            reader.read_exact(&mut len).map_err(|_| Damage::Header)?;
            u32::from(u16::from_le_bytes(len))
        }
        2 | 3 => {
            let mut len = [0u8; 4];
            reader.read_exact(&mut len).map_err(|_| Damage::Header)?;
            u32::from_le_bytes(len)
        }
        _ => return Err(Damage::Version),
    };
    if len > MAX_HEADER {
        return Err(Damage::Header);
    }
    let mut text = vec![0u8; len as usize];
    reader.read_exact(&mut text).map_err(|_| Damage::Header)?;
    String::from_utf8(text).map_err(|_| Damage::Header)
}

fn element_of(descr: &str, array: &str) -> Result<Element, TensorError> {
    let (order, code) = descr.split_at_checked(1).unwrap_or(("", ""));
    if order == ">" {
        return big_endian(descr, array);
    }
    if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.descr().ends_with(code) && code.len() == 2) {
        return Ok(Element::Known(kind));
    }
    let name = match code {
        "f2" => "float16",
        "f8" => "float64",
        "u4" => "uint32",
        "u8" => "uint64",
        _ => return Err(TensorError::NotNumeric { array: array.to_owned(), descr: descr.to_owned() }),
    };
    Ok(Element::Other(name.to_owned()))
}

fn big_endian(descr: &str, array: &str) -> Result<Element, TensorError> {
    Err(TensorError::BigEndian { array: array.to_owned(), descr: descr.to_owned() })
}

/// Reads elements `range` of the array whose header was just read, and the rest of it to check that all is there.
///
/// # Errors
/// The data is shorter or longer than the header says, or corrupt.
pub(crate) fn read_elements(
    reader: &mut impl Read,
    header: &Header,
    array: &str,
    kind: Kind,
    range: Range<u64>,
) -> Result<Data, TensorError> {
    let damaged = |what| TensorError::Damaged { array: array.to_owned(), what };
    let read_error = |error: io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => damaged(Damage::Short),
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other => damaged(Damage::Corrupt),
        _ => TensorError::Io(error),
    };
    let total = header.shape.iter().product::<u64>() * kind.size();
    let (start, end) = (range.start * kind.size(), range.end * kind.size());
    let skip = |reader: &mut dyn Read, bytes: u64| -> Result<(), TensorError> {
        let skipped = io::copy(&mut reader.take(bytes), &mut io::sink()).map_err(read_error)?;
        if skipped == bytes { Ok(()) } else { Err(damaged(Damage::Short)) }
    };
    skip(reader, start)?;
    let mut bytes = Vec::new();
    reader.take(end - start).read_to_end(&mut bytes).map_err(read_error)?;
    if bytes.len() as u64 != end - start {
        return Err(damaged(Damage::Short));
    }
    skip(reader, total - end)?;
    // Reaching the end also makes a zip member check its checksum.
    match reader.read(&mut [0u8; 1]).map_err(read_error)? {
        0 => Ok(Data::from_le_bytes(kind, &bytes)),
        _ => Err(damaged(Damage::Long)),
    }
}

/// Encodes an array as an `.npy` file, byte for byte as NumPy does.
pub(crate) fn encode(tensor: &Tensor) -> Vec<u8> {
    let mut shape: String = tensor.shape.iter().map(|d| format!("{d}, ")).collect();
    if tensor.shape.len() == 1 {
        shape.truncate(shape.len() - 1);
    } else {
        shape.truncate(shape.len().saturating_sub(2));
    }
    let mut text =
        format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({shape}), }}", tensor.data.kind().descr());
    let unpadded = MAGIC.len() + 4 + text.len() + 1;
    text.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    text.push('\n');
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&[1, 0]);
    // At most 64 axes of 20 digits: always below 2^16.
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(&tensor.data.to_le_bytes());
    out
}

/// The header's Python dictionary.
struct Dictionary {
    descr: String,
    fortran_order: bool,
    shape: Vec<u64>,
}

impl Dictionary {
    fn parse(text: &str) -> Option<Self> {
        let mut cursor = Cursor { rest: text };
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        cursor.expect('{')?;
        while !cursor.accept('}') {
            let key = cursor.string()?;
            cursor.expect(':')?;
            match key {
                "descr" => descr = Some(cursor.type_string()?.to_owned()),
                "fortran_order" => fortran_order = Some(cursor.boolean()?),
                "shape" => shape = Some(cursor.tuple()?),
                _ => return None,
            }
            if !cursor.accept(',') {
                cursor.expect('}')?;
                break;
            }
        }
        let ends = cursor.rest.trim().is_empty();
        ends.then_some(())?;
        Some(Self { descr: descr?, fortran_order: fortran_order?, shape: shape? })
    }
}

/// A position in the header text.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn accept(&mut self, c: char) -> bool {
        self.rest = self.rest.trim_start();
        let stripped = self.rest.strip_prefix(c);
        self.rest = stripped.unwrap_or(self.rest);
        stripped.is_some()
    }

    fn expect(&mut self, c: char) -> Option<()> {
        self.accept(c).then_some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        let quote = if self.accept('\'') {
            '\''
        } else {
            self.expect('"')?;
            '"'
        };
        let (inside, rest) = self.rest.split_once(quote)?;
        self.rest = rest;
        Some(inside)
    }

    /// A type string, or a structured type as it is written (which no caller accepts).
    fn type_string(&mut self) -> Option<&'a str> {
        self.rest = self.rest.trim_start();
        if self.rest.starts_with('[') {
            let end = self.rest.rfind(']')? + 1;
            let (inside, rest) = self.rest.split_at_checked(end)?;
            self.rest = rest;
            return Some(inside);
        }
        self.string()
    }

    fn boolean(&mut self) -> Option<bool> {
        self.rest = self.rest.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Some(value);
            }
        }
        None
    }

    fn tuple(&mut self) -> Option<Vec<u64>> {
        self.expect('(')?;
        let mut items = Vec::new();
        while !self.accept(')') {
            let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = self.rest.split_at_checked(digits)?;
            self.rest = rest;
            items.push(number.parse().ok()?);
            if items.len() > MAX_AXES {
                return None;
            }
            if !self.accept(',') {
                self.expect(')')?;
                break;
            }
        }
        Some(items)
    }
}
