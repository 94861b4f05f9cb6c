//! Canonical byte codec of proofs: fixed little-endian words, field elements below p, no trailing bytes.

use alloc::vec::Vec;

use crate::field::{F, K, MODULUS, coordinates, from_coordinates};
use p3_field::{PrimeCharacteristicRing, PrimeField64};

/// Why bytes do not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ends early.
    #[error("truncated")]
    Truncated,
    /// Bytes are left over.
    #[error("trailing bytes")]
    Trailing,
    /// A field element is not below the modulus.
    #[error("non-canonical field element")]
    NonCanonical,
    /// A count differs from what the verification key fixes, or exceeds its bound.
    #[error("count {got} out of bounds (at most {max})")]
    Count {
        /// The count read.
        got: u64,
        /// Largest allowed.
        max: u64,
    },
    /// Magic or version differ.
    #[error("wrong magic or version")]
    Magic,
}

/// Why bytes are not a sealed file; see [`seal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealError {
    /// They start with another magic.
    Magic,
    /// The checksum does not match.
    Checksum,
}

/// A file of magic, BLAKE3 checksum of the body, body.
pub fn seal(magic: &[u8; 8], body: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.bytes(magic);
    w.bytes(blake3::hash(body).as_bytes());
    w.bytes(body);
    w.finish()
}

/// The body of a sealed file.
///
/// # Errors
/// [`SealError`].
pub fn unseal<'a>(magic: &[u8; 8], bytes: &'a [u8]) -> Result<&'a [u8], SealError> {
    let rest = bytes.strip_prefix(magic.as_slice()).ok_or(SealError::Magic)?;
    let (checksum, body) = rest.split_at_checked(32).ok_or(SealError::Checksum)?;
    if blake3::hash(body).as_bytes() == checksum { Ok(body) } else { Err(SealError::Checksum) }
}

/// Reads from a byte slice.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes `n` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(DecodeError::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    /// Takes a 32-byte digest.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn digest(&mut self) -> Result<[u8; 32], DecodeError> {
        let (head, tail) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = tail;
        Ok(*head)
    }

    /// Takes a `u64`.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        let (head, tail) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = tail;
        Ok(u64::from_le_bytes(*head))
    }

    /// Takes a count of at most `max`.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] or [`DecodeError::Count`].
    pub fn count(&mut self, max: u64) -> Result<usize, DecodeError> {
        let (head, tail) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = tail;
        let got = u64::from(u32::from_le_bytes(*head));
        if got > max {
            return Err(DecodeError::Count { got, max });
        }
        usize::try_from(got).map_err(|_| DecodeError::Count { got, max })
    }

    /// Takes a canonical base-field element.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] or [`DecodeError::NonCanonical`].
    pub fn base(&mut self) -> Result<F, DecodeError> {
        let v = self.u64()?;
        if v >= MODULUS {
            return Err(DecodeError::NonCanonical);
        }
        Ok(F::from_u64(v))
    }

    /// Takes a canonical extension element.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] or [`DecodeError::NonCanonical`].
    pub fn ext(&mut self) -> Result<K, DecodeError> {
        let a = self.base()?;
        let b = self.base()?;
        Ok(from_coordinates(a, b))
    }

    /// Takes `n` items.
    ///
    /// # Errors
    /// Those of `item`.
    pub fn many<T>(
        &mut self,
        n: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        // Every item takes at least one byte, so this bounds the allocation by the input's length.
        let mut out = Vec::with_capacity(n.min(self.rest.len()));
        for _ in 0..n {
            out.push(item(self)?);
        }
        Ok(out)
    }

    /// Ends the input.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] when bytes are left.
    pub const fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing) }
    }
}

/// Appends canonical encodings.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Appends raw bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a `u64`.
    pub fn u64(&mut self, v: u64) {
        self.bytes(&v.to_le_bytes());
    }

    /// Appends a count (saturating at `u32::MAX`, which no decoder accepts).
    pub fn count(&mut self, n: usize) {
        self.bytes(&u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
    }

    /// Appends a base-field element.
    pub fn base(&mut self, v: F) {
        self.u64(v.as_canonical_u64());
    }

    /// Appends an extension element.
    pub fn ext(&mut self, v: K) {
        for c in coordinates(v) {
            self.u64(c);
        }
    }

    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
