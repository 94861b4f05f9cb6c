//! The log's signing key.

use ed25519_dalek::{Signer as _, SigningKey};

use super::tree::Hash;
use super::{Head, PublicKey};
use crate::ids::{Digest, now_ms};

/// The log's signing key.
pub struct Signer(SigningKey);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Signer").field(&self.public()).finish()
    }
}

impl Signer {
    /// From its secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        Digest(self.0.verifying_key().to_bytes())
    }

    /// Signs a head of now.
    pub fn sign(&self, size: u64, root: Hash) -> Head {
        let (root, timestamp_ms) = (Digest(root), now_ms());
        let signature = self.0.sign(&vinfer_protocol::log::signed_bytes(size, &root, timestamp_ms));
        Head { size, root, timestamp_ms, signature: hex::encode(signature.to_bytes()) }
    }
}
