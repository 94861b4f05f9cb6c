//! API keys: who calls, and what the caller may do.

mod key;
mod keyring;
mod rate;

pub use key::{KeyRecord, NewKey, Scope};
pub(crate) use keyring::create_private;
pub use keyring::{Caller, Keyring, create_key, list_keys, revoke_key};
pub use rate::RateLimits;
