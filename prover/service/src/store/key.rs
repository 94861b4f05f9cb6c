//! Keys of records: tokens of letters, digits, `_`, `-` and `=`, joined by dots, as every backend takes them.

use std::fmt::Write;

/// A key that no backend takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no key: keys are tokens of letters, digits, `_`, `-` and `=` joined by dots")]
pub struct KeyError(pub String);

/// Any text as one token of a key, reversibly unique.
pub fn token(text: &str) -> String {
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
            token.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(token, "={byte:02x}");
        }
    }
    token
}

/// Checks the form of a key.
///
/// # Errors
/// It is none.
pub fn check_key(key: &str) -> Result<(), KeyError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'=');
    let sound = |token: &str| !token.is_empty() && token.bytes().all(plain);
    if key.len() <= 512 && key.split('.').all(sound) { Ok(()) } else { Err(KeyError(key.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_plain_and_distinct() {
        assert_eq!(token("digits_cnn-1"), "digits_cnn-1");
        assert_eq!(token("a.b"), "a=2eb");
        assert_ne!(token("a=2eb"), token("a.b"));
        assert!(check_key(&format!("model.{}", token("ä b.c"))).is_ok());
        for bad in ["", "a..b", ".a", "a.", "a b", "a*"] {
            assert!(check_key(bad).is_err(), "{bad}");
        }
    }
}
