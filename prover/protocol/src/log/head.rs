//! Signed tree heads: the signature of RFC 6962, section 3.5, with ed25519.

use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Why a head is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The public key is no point of the curve.
    #[error("the public key is none")]
    Key,
    /// The signature does not decode.
    #[error("the signature is not 64 bytes in hexadecimal")]
    Malformed,
    /// Somebody else signed it, or it was changed since.
    #[error("the signature is not that of the log's key")]
    Signature,
}

/// The log's public key, 64 hexadecimal digits.
pub type PublicKey = Digest;

/// What the log promises: these leaves, in this order, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Leaves.
    pub size: u64,
    /// Root of the tree.
    pub root: Digest,
    /// When it was signed.
    pub timestamp_ms: u64,
    /// ed25519 signature, hexadecimal.
    pub signature: String,
}

/// `TreeHeadSignature` of RFC 6962: version 1, type tree_hash, time, size, root.
pub fn signed_bytes(size: u64, root: &Digest, timestamp_ms: u64) -> Vec<u8> {
    let mut bytes = vec![0u8, 1];
    bytes.extend(timestamp_ms.to_be_bytes());
    bytes.extend(size.to_be_bytes());
    bytes.extend(root.0);
    bytes
}

impl Head {
    /// Checks the signature.
    ///
    /// # Errors
    /// [`HeadError`].
    pub fn verify(&self, key: &PublicKey) -> Result<(), HeadError> {
        let key = VerifyingKey::from_bytes(&key.0).map_err(|_| HeadError::Key)?;
        let mut signature = [0u8; 64];
        hex::decode_to_slice(&self.signature, &mut signature).map_err(|_| HeadError::Malformed)?;
        let bytes = signed_bytes(self.size, &self.root, self.timestamp_ms);
        key.verify_strict(&bytes, &Signature::from_bytes(&signature)).map_err(|_| HeadError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    #[test]
    fn a_changed_head_is_not_accepted() {
        let (key, other) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
        let public = |key: &SigningKey| Digest(key.verifying_key().to_bytes());
        let (size, root, timestamp_ms) = (3, Digest([1; 32]), 5);
        let signature = hex::encode(key.sign(&signed_bytes(size, &root, timestamp_ms)).to_bytes());
        let head = Head { size, root, timestamp_ms, signature };
        assert_eq!(head.verify(&public(&key)), Ok(()));
        assert_eq!(head.verify(&public(&other)), Err(HeadError::Signature));
        for changed in [
            Head { size: 4, ..head.clone() },
            Head { root: Digest([2; 32]), ..head.clone() },
            Head { timestamp_ms: head.timestamp_ms + 1, ..head.clone() },
        ] {
            assert_eq!(changed.verify(&public(&key)), Err(HeadError::Signature));
        }
        assert_eq!(Head { signature: "00".to_owned(), ..head }.verify(&public(&key)), Err(HeadError::Malformed));
    }
}
