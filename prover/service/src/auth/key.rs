//! The text of a key, and what is stored of it: a salted argon2id hash, from which the key cannot be had.

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::error::{Code, ServiceError};
use crate::ids::{Digest, now_ms, random};

/// Memory of one hash, in KiB.
const MEMORY: u32 = 19 * 1024;
/// Passes over it.
const PASSES: u32 = 2;
const PREFIX: &str = "vinfer";

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Run models, submit and read jobs and proofs.
    Infer,
    /// Upload and disable models, read usage.
    Admin,
    /// See numbers of the whole service, of all tenants together.
    Operator,
}

impl Scope {
    /// Name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Infer => "infer",
            Self::Admin => "admin",
            Self::Operator => "operator",
        }
    }
}

impl std::str::FromStr for Scope {
    type Err = ServiceError;

    fn from_str(text: &str) -> Result<Self, ServiceError> {
        match text.trim() {
            "infer" => Ok(Self::Infer),
            "admin" => Ok(Self::Admin),
            "operator" => Ok(Self::Operator),
            other => {
                Err(ServiceError::invalid(format!("`{other}` is no scope; the scopes are infer, admin and operator")))
            }
        }
    }
}

/// What is stored of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Public part of the key.
    pub id: String,
    /// Whom it stands for.
    pub tenant: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Salt of the hash, hexadecimal.
    pub salt: String,
    /// argon2id of the secret part.
    pub hash: Digest,
    /// When it was made.
    pub created_ms: u64,
    /// Whether it is revoked.
    pub revoked: bool,
}

/// A key that was just made.
pub struct NewKey {
    /// The whole key; it is nowhere else.
    pub text: String,
    /// What is stored of it.
    pub record: KeyRecord,
}

impl NewKey {
    /// Draws a key.
    ///
    /// # Errors
    /// The tenant has no valid name, there are no scopes, or there is no randomness.
    pub fn draw(tenant: &str, scopes: &[Scope]) -> Result<Self, ServiceError> {
        crate::ids::check_name("the tenant", tenant)?;
        if scopes.is_empty() {
            return Err(ServiceError::invalid("a key needs a scope: infer, admin, operator or several"));
        }
        let id = hex::encode(random::<8>()?);
        let secret = hex::encode(random::<32>()?);
        let salt = hex::encode(random::<16>()?);
        let hash = slow_hash(&secret, &salt)?;
        let record = KeyRecord {
            id: id.clone(),
            tenant: tenant.to_owned(),
            scopes: scopes.to_vec(),
            salt,
            hash,
            created_ms: now_ms(),
            revoked: false,
        };
        Ok(Self { text: format!("{PREFIX}_{id}_{secret}"), record })
    }
}

/// Splits a key into its public and its secret part.
pub(crate) fn split(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.strip_prefix('_')?.split_once('_')?;
    let digits = |text: &str, len: usize| text.len() == len && text.bytes().all(|b| b.is_ascii_hexdigit());
    (digits(id, 16) && digits(secret, 64)).then_some((id, secret))
}

fn slow_hash(secret: &str, salt: &str) -> Result<Digest, ServiceError> {
    let broken = |error: argon2::Error| ServiceError::internal(format!("key hash: {error}"));
    let params = Params::new(MEMORY, PASSES, 1, Some(32)).map_err(broken)?;
    let mut hash = [0u8; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(secret.as_bytes(), salt.as_bytes(), &mut hash)
        .map_err(broken)?;
    Ok(Digest(hash))
}

impl KeyRecord {
    /// Whether the secret is this key's. Slow on purpose.
    ///
    /// # Errors
    /// The hash cannot be computed.
    pub(crate) fn accepts(&self, secret: &str) -> Result<bool, ServiceError> {
        let hash = slow_hash(secret, &self.salt)?;
        Ok(bool::from(hash.0.ct_eq(&self.hash.0)) && !self.revoked)
    }
}

/// The answer to every key that is not accepted, so that it says nothing.
pub(crate) fn refused() -> ServiceError {
    ServiceError::new(
        Code::Unauthenticated,
        "no valid API key; send `Authorization: Bearer KEY` with a key of `vinfer keys create`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_accepted_by_its_record_alone() {
        let key = NewKey::draw("acme", &[Scope::Infer]).unwrap();
        let other = NewKey::draw("acme", &[Scope::Infer]).unwrap();
        let (id, secret) = split(&key.text).unwrap();
        assert_eq!(id, key.record.id);
        assert!(key.record.accepts(secret).unwrap());
        assert!(!other.record.accepts(secret).unwrap());
        let revoked = KeyRecord { revoked: true, ..key.record.clone() };
        assert!(!revoked.accepts(secret).unwrap());
        let stored = serde_json::to_string(&key.record).unwrap();
        assert!(!stored.contains(secret));
    }

    #[test]
    fn only_whole_keys_split() {
        for bad in ["", "vinfer", "vinfer__", "vinfer_00_00", "other_0011223344556677_00"] {
            assert!(split(bad).is_none(), "{bad}");
        }
    }
}
