//! Identifiers, digests and the clock.

use std::time::{SystemTime, UNIX_EPOCH};

pub use vinfer_protocol::Digest;

use crate::error::ServiceError;

/// Milliseconds since 1970 by the wall clock. For people and deadlines only: leases do not depend on it.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Random bytes of the operating system.
///
/// # Errors
/// The operating system has none.
pub fn random<const N: usize>() -> Result<[u8; N], ServiceError> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).map_err(|error| ServiceError::internal(format!("no randomness: {error}")))?;
    Ok(bytes)
}

/// A new identifier: 12 hexadecimal digits of time, 20 of randomness; later ones sort later.
///
/// # Errors
/// The operating system has no randomness.
pub fn new_id() -> Result<String, ServiceError> {
    let tail: [u8; 10] = random()?;
    Ok(format!("{:012x}{}", now_ms() & 0xffff_ffff_ffff, hex::encode(tail)))
}

/// Whether a text has the form of [`new_id`].
pub fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A name of a tenant or model: letters, digits, `_`, `-`, `.`, at most 64, not starting with a sign.
///
/// # Errors
/// The text is no such name.
pub fn check_name(what: &str, text: &str) -> Result<(), ServiceError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if starts_well && text.len() <= 64 && text.bytes().all(plain) {
        return Ok(());
    }
    Err(ServiceError::invalid(format!(
        "{what} must be 1 to 64 letters, digits, `_`, `-` or `.`, starting with a letter or digit"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_recognised_and_sort_by_time() {
        let id = new_id().unwrap();
        assert!(is_id(&id));
        assert!(!is_id(&id[1..]) && !is_id(&id.to_uppercase().replace(|c: char| c.is_ascii_digit(), "A")));
    }

    #[test]
    fn names_are_plain() {
        for good in ["a", "Digits_CNN-1.2", "0"] {
            assert!(check_name("name", good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a/b", "a b", "ä", &"a".repeat(65)] {
            assert!(check_name("name", bad).is_err(), "{bad}");
        }
    }
}
