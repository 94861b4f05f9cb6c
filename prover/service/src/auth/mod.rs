//! API keys: who calls, and what the caller may do.

mod key;
mod keyring;
mod rate;

pub use key::{KeyRecord, NewKey, Scope};
pub use keyring::{Caller, Keyring, create_key, list_keys, revoke_key};
pub(crate) use keyring::{create_private, private_file};
pub use rate::RateLimits;
