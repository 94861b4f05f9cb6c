//! Requests per second and tenant: a bucket of tokens each.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::ServiceError;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// Buckets of all tenants.
#[derive(Debug)]
pub struct RateLimits {
    rate: f64,
    burst: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

impl RateLimits {
    /// `rate` tokens a second, at most `burst` saved up.
    pub fn new(rate: f64, burst: f64) -> Self {
        Self { rate: rate.max(0.001), burst: burst.max(1.0), buckets: Mutex::default() }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// There is none; says when there will be.
    pub fn take(&self, tenant: &str) -> Result<(), ServiceError> {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = Bucket { tokens: self.burst, filled: now };
        let bucket = buckets.entry(tenant.to_owned()).or_insert(full);
        let gained = now.duration_since(bucket.filled).as_secs_f64() * self.rate;
        *bucket = Bucket { tokens: (bucket.tokens + gained).min(self.burst), filled: now };
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        let wait = Duration::from_secs_f64(((1.0 - bucket.tokens) / self.rate).clamp(0.001, 60.0));
        Err(ServiceError::busy(format!("more than {} requests a second", self.rate), wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_refused_per_tenant() {
        let limits = RateLimits::new(0.1, 3.0);
        assert!((0..3).all(|_| limits.take("a").is_ok()));
        let refused = limits.take("a").unwrap_err();
        assert!(refused.retry_after.is_some_and(|wait| wait > Duration::from_secs(5)));
        assert!(limits.take("b").is_ok());
    }
}
