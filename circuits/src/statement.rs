//! Verification key, statement and proof file: what a verifier is given, and how it is hashed.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::codec::{DecodeError, Reader, SealError, Writer, seal, unseal};
use crate::hash::Digest;
use crate::program::IntType;
use crate::program::batch::{self, MAX_BATCH};
use crate::schedule::Profile;
use crate::system::{PublicPort, System, SystemError};

/// Version of protocol and formats.
pub const PROTOCOL_VERSION: u32 = 2;

const KEY_MAGIC: &[u8; 8] = b"VINFERV2";
const BATCH_KEY_MAGIC: &[u8; 8] = b"VINFERB2";
const PROOF_MAGIC: &[u8; 8] = b"VINFERZ2";

/// Everything a verifier needs to know about a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyingKey {
    /// Parameter set.
    pub profile: Profile,
    /// Digest of the program of one inference (graph, shapes, quantisation constants, tables, weights).
    pub program_digest: Digest,
    /// Merkle root of the constants commitment.
    pub constants_root: Digest,
    /// The constraint system: that of the program with a sample axis, if `batch` is more than one.
    pub system: System,
    /// Inferences in one proof; written in front of the rest, and only if it is more than one.
    #[serde(skip, default = "single")]
    pub batch: u32,
}

const fn single() -> u32 {
    1
}

/// Why bytes are not a verification key.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// Foreign file or version.
    #[error("not a vinfer verification key of version {PROTOCOL_VERSION}")]
    Magic,
    /// Truncated or damaged.
    #[error("verification key is truncated or damaged (checksum mismatch)")]
    Checksum,
    /// The body does not decode canonically.
    #[error("verification key does not decode")]
    Malformed,
    /// The constraint system is invalid.
    #[error("verification key holds an invalid system: {0}")]
    System(#[from] SystemError),
    /// A batch that its public tensors do not have.
    #[error("verification key names a batch of {batch}, which is not the outermost axis of every public tensor")]
    Batch {
        /// Inferences that the key names.
        batch: u32,
    },
    /// The parameters do not reach the profile's provable bits.
    #[error(
        "verification key reaches {bits:.2} provable bits, profile {profile} requires {required:.0}; a smaller model or batch has more"
    )]
    Security {
        /// Bits reached.
        bits: f64,
        /// Profile name.
        profile: &'static str,
        /// Bits required.
        required: f64,
    },
}

impl VerifyingKey {
    /// Key file bytes: magic, checksum, body.
    pub fn to_bytes(&self) -> Vec<u8> {
        seal(if self.batch == 1 { KEY_MAGIC } else { BATCH_KEY_MAGIC }, &self.body().unwrap_or_default())
    }

    fn body(&self) -> Option<Vec<u8>> {
        if self.batch == 1 { postcard::to_allocvec(self) } else { postcard::to_allocvec(&(self.batch, self)) }.ok()
    }

    /// Decodes a key file. Whoever uses the key validates its system (`PreparedKey::new` in the verifier does).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let checksum = |e| match e {
            SealError::Magic => KeyError::Magic,
            SealError::Checksum => KeyError::Checksum,
        };
        let malformed = |_| KeyError::Malformed;
        let (key, body) = if bytes.starts_with(BATCH_KEY_MAGIC) {
            let body = unseal(BATCH_KEY_MAGIC, bytes).map_err(checksum)?;
            let (batch, key): (u32, Self) = postcard::from_bytes(body).map_err(malformed)?;
            (Self { batch, ..key }, body)
        } else {
            let body = unseal(KEY_MAGIC, bytes).map_err(checksum)?;
            (postcard::from_bytes::<Self>(body).map_err(malformed)?, body)
        };
        // Canonical: the only bytes that decode to this key are its own encoding.
        if key.to_bytes() != bytes || key.body().as_deref() != Some(body) {
            return Err(KeyError::Malformed);
        }
        Ok(key)
    }

    /// The batch is a number of inferences, and the outermost axis of every public tensor.
    ///
    /// # Errors
    /// [`KeyError::Batch`].
    pub fn check_batch(&self) -> Result<(), KeyError> {
        let batch = self.batch;
        let samples = |port: &PublicPort| port.shape.first() == Some(&batch);
        let fits = batch == 1 || self.system.inputs.iter().chain(&self.system.outputs).all(samples);
        if fits && (1..=MAX_BATCH).contains(&batch) { Ok(()) } else { Err(KeyError::Batch { batch }) }
    }

    /// Digest that proofs are bound to: of the whole key file.
    pub fn digest(&self) -> Digest {
        *blake3::hash(&self.to_bytes()).as_bytes()
    }
}

/// What a proof speaks of: public tensors as *raw* integers (as the ONNX graph holds them), and the caller's context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Digest of the verification key.
    pub key_digest: Digest,
    /// 32 opaque bytes chosen by the caller (request id, payee, chain, ..).
    pub context: [u8; 32],
    /// Raw bytes of each input tensor, row-major.
    pub inputs: Vec<Vec<u8>>,
    /// Raw bytes of each output tensor, row-major.
    pub outputs: Vec<Vec<u8>>,
}

impl Statement {
    /// Digest of the statement, under the key that it names. Lengths are fixed by the key, and hashed anyway.
    pub fn digest(&self, key: &VerifyingKey) -> Digest {
        let mut hasher = self.hasher(b"vinfer statement v1             ", key);
        if key.batch == 1 {
            absorb_tensors(&mut hasher, self.inputs.iter().map(Vec::as_slice));
            absorb_tensors(&mut hasher, self.outputs.iter().map(Vec::as_slice));
        } else {
            self.inferences(key).iter().for_each(|digest| {
                hasher.update(digest);
            });
        }
        *hasher.finalize().as_bytes()
    }

    /// Digest of each inference of a batch; the statement digest is a hash of them. A single inference has the digest of
    /// its statement.
    pub fn inferences(&self, key: &VerifyingKey) -> Vec<Digest> {
        if key.batch == 1 {
            return alloc::vec![self.digest(key)];
        }
        let digest = |index: u32| {
            let mut hasher = self.hasher(b"vinfer inference v1             ", key);
            hasher.update(&u64::from(index).to_le_bytes());
            for tensors in [&self.inputs, &self.outputs] {
                absorb_tensors(&mut hasher, tensors.iter().map(|t| batch::slice(t, index, key.batch)));
            }
            *hasher.finalize().as_bytes()
        };
        (0..key.batch).map(digest).collect()
    }

    /// A hash of everything that all inferences share.
    fn hasher(&self, domain: &[u8; 32], key: &VerifyingKey) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_keyed(domain);
        let profile = key.profile.name();
        hasher.update(&PROTOCOL_VERSION.to_le_bytes());
        hasher.update(&(profile.len() as u64).to_le_bytes());
        hasher.update(profile.as_bytes());
        hasher.update(&self.key_digest);
        hasher.update(&self.context);
        hasher.update(&u64::from(key.batch).to_le_bytes());
        hasher
    }

    /// Writes the head of a proof file.
    pub fn encode(&self, w: &mut Writer) {
        let Self { key_digest, context, inputs, outputs } = self;
        w.bytes(PROOF_MAGIC);
        w.bytes(key_digest);
        w.bytes(context);
        for t in inputs.iter().chain(outputs) {
            w.bytes(t);
        }
    }

    /// Reads the head of a proof file made for `system`.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(r: &mut Reader<'_>, system: &System) -> Result<Self, DecodeError> {
        if r.bytes(PROOF_MAGIC.len())? != PROOF_MAGIC {
            return Err(DecodeError::Magic);
        }
        let key_digest = r.digest()?;
        let context = r.digest()?;
        let mut read = |ports: &[PublicPort]| {
            ports
                .iter()
                .map(|p| {
                    let n = usize::try_from(p.raw_len()).map_err(|_| DecodeError::Truncated)?;
                    Ok(r.bytes(n)?.to_vec())
                })
                .collect::<Result<Vec<_>, DecodeError>>()
        };
        let inputs = read(&system.inputs)?;
        let outputs = read(&system.outputs)?;
        Ok(Self { key_digest, context, inputs, outputs })
    }

    /// Key digest in the head of a proof file, to tell a wrong key from a damaged file.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn peek_key_digest(bytes: &[u8]) -> Result<Digest, DecodeError> {
        let mut r = Reader::new(bytes);
        if r.bytes(PROOF_MAGIC.len())? != PROOF_MAGIC {
            return Err(DecodeError::Magic);
        }
        r.digest()
    }
}

fn absorb_tensors<'a>(hasher: &mut blake3::Hasher, tensors: impl ExactSizeIterator<Item = &'a [u8]>) {
    hasher.update(&(tensors.len() as u64).to_le_bytes());
    for t in tensors {
        hasher.update(&(t.len() as u64).to_le_bytes());
        hasher.update(t);
    }
}

/// Appends the raw little-endian bytes of a centred value; `None` outside the type.
pub fn push_raw(centred: i32, port: &PublicPort, raw: &mut Vec<u8>) -> Option<()> {
    let q = &port.quantisation;
    if q.int_type == IntType::F32 && !plain_float(centred.cast_unsigned()) {
        return None;
    }
    let value = if q.int_type == IntType::F32 { centred } else { centred.checked_add(q.zero_point)? };
    if !(q.int_type.min()..=q.int_type.max()).contains(&value) {
        return None;
    }
    raw.extend(value.to_le_bytes().into_iter().take(q.int_type.width()));
    Some(())
}

/// Raw bytes of a tensor of centred values; `None` outside the type.
pub fn raw_tensor(centred: &[i32], port: &PublicPort) -> Option<Vec<u8>> {
    let mut raw = Vec::with_capacity(centred.len().saturating_mul(port.quantisation.int_type.width()));
    centred.iter().try_for_each(|&v| push_raw(v, port, &mut raw))?;
    Some(raw)
}

/// Whether a float may stand in a statement: positive zero or a normal number below `2^127`, as results are.
const fn plain_float(bits: u32) -> bool {
    bits == 0 || !matches!((bits >> 23) & 0xff, 0 | 254 | 255)
}

/// Centred values of a raw tensor (bits of floats); `None` if an element is outside the type or bytes are left over.
pub fn centred_tensor(raw: &[u8], port: &PublicPort) -> Option<Vec<i32>> {
    let q = &port.quantisation;
    let elements = raw.chunks_exact(q.int_type.width());
    if !elements.remainder().is_empty() {
        return None;
    }
    elements
        .map(|bytes| {
            let value = match (q.int_type, bytes) {
                (IntType::I8, [b]) => i32::from(b.cast_signed()),
                (IntType::I16, [a, b]) => i32::from(i16::from_le_bytes([*a, *b])),
                (_, [b]) => i32::from(*b),
                (_, [a, b]) => i32::from(u16::from_le_bytes([*a, *b])),
                (_, [a, b, c, d]) => i32::from_le_bytes([*a, *b, *c, *d]),
                _ => return None,
            };
            if q.int_type == IntType::F32 {
                return plain_float(value.cast_unsigned()).then_some(value);
            }
            let inside = (q.int_type.min()..=q.int_type.max()).contains(&value);
            inside.then(|| value.saturating_sub(q.zero_point))
        })
        .collect()
}
