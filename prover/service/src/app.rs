//! What the requests of every protocol work with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use crate::auth::{Caller, Keyring, RateLimits};
use crate::config::Config;
use crate::error::ServiceError;
use crate::idempotency::Idempotency;
use crate::inference::Inference;
use crate::jobs::Desk;
use crate::log::LogBook;
use crate::metrics::Metrics;
use crate::models::Shelf;
use crate::uploads::Uploads;
use crate::verification::Verifications;

/// The service behind its protocols.
#[derive(Debug)]
pub struct App {
    /// Settings.
    pub config: Config,
    /// Jobs.
    pub desk: Desk,
    /// Models.
    pub shelf: Shelf,
    /// API keys.
    pub keyring: Keyring,
    /// Requests per second.
    pub rates: RateLimits,
    /// Running models.
    pub inference: Inference,
    /// Repeated requests.
    pub idempotency: Idempotency,
    /// Uploads in pieces.
    pub uploads: Uploads,
    /// Checking proofs that somebody brings.
    pub verifications: Verifications,
    /// Transparency log.
    pub log: LogBook,
    /// Numbers.
    pub metrics: Metrics,
    /// Memory set aside for proofs here.
    pub proof_memory: Arc<AtomicU64>,
    /// Set when the service ends.
    pub draining: AtomicBool,
    /// When it began.
    pub started: Instant,
}

impl App {
    /// Whose request this is, by the value of its `authorization` field.
    ///
    /// # Errors
    /// Nobody's, or the tenant sends too many.
    pub async fn caller(&self, authorization: Option<&str>) -> Result<Caller, ServiceError> {
        let text = authorization.unwrap_or_default();
        let (scheme, key) = text.split_once(' ').unwrap_or((text, ""));
        let key = if scheme.eq_ignore_ascii_case("bearer") { key.trim() } else { "" };
        let caller = self.keyring.authenticate(key).await?;
        self.rates.take(&caller.tenant)?;
        Ok(caller)
    }
}
