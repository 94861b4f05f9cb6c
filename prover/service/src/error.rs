//! Everything the service refuses, with a stable code, what to do about it, and when to come back.

use std::time::Duration;

use crate::store::StoreError;

/// What went wrong, in the classes that callers treat differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The request does not parse or breaks a rule of the interface.
    InvalidArgument,
    /// No key, or one that is not accepted.
    Unauthenticated,
    /// The key has not the scope that the operation needs.
    PermissionDenied,
    /// There is no such thing for this tenant.
    NotFound,
    /// The request contradicts what is stored.
    Conflict,
    /// The thing is not in the state that the operation needs.
    FailedPrecondition,
    /// The body or a tensor is larger than allowed.
    TooLarge,
    /// A rate, concurrency or queue limit is reached.
    ResourceExhausted,
    /// The work would need more memory than this service has.
    DoesNotFit,
    /// The request took longer than requests may.
    DeadlineExceeded,
    /// The service is draining or its storage does not answer.
    Unavailable,
    /// The storage is full.
    StorageFull,
    /// A defect, or damaged storage.
    Internal,
}

impl Code {
    /// Name in error bodies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::FailedPrecondition => "failed_precondition",
            Self::TooLarge => "too_large",
            Self::ResourceExhausted => "resource_exhausted",
            Self::DoesNotFit => "does_not_fit",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Unavailable => "unavailable",
            Self::StorageFull => "storage_full",
            Self::Internal => "internal",
        }
    }

    /// HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidArgument => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::Conflict | Self::FailedPrecondition => 409,
            Self::TooLarge => 413,
            Self::DoesNotFit => 422,
            Self::ResourceExhausted => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::DeadlineExceeded => 504,
            Self::StorageFull => 507,
        }
    }
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ServiceError {
    /// Class.
    pub code: Code,
    /// What is wrong and what to do, for people.
    pub message: String,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
}

impl ServiceError {
    /// A refusal of the given class.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// The request is malformed.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// A defect or damage.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, message)
    }

    /// Come back later.
    pub fn busy(message: impl Into<String>, retry_after: Duration) -> Self {
        Self { code: Code::ResourceExhausted, message: message.into(), retry_after: Some(retry_after) }
    }
}

impl From<vinfer_protocol::digest::NoDigest> for ServiceError {
    fn from(error: vinfer_protocol::digest::NoDigest) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<vinfer_protocol::tensors::TensorError> for ServiceError {
    fn from(error: vinfer_protocol::tensors::TensorError) -> Self {
        Self::invalid(error.0)
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::Conflict => Self {
                code: Code::Unavailable,
                message: "another writer was faster several times; try again".to_owned(),
                retry_after: Some(Duration::from_secs(1)),
            },
            StoreError::Full => Self {
                code: Code::StorageFull,
                message: "the storage is full; the operator has to free space".to_owned(),
                retry_after: Some(Duration::from_secs(30)),
            },
            StoreError::TooLarge => Self::new(Code::TooLarge, text),
            StoreError::Unavailable(_) => {
                Self { code: Code::Unavailable, message: text, retry_after: Some(Duration::from_secs(2)) }
            }
            StoreError::Key(_) => Self::not_found("there is no such thing"),
            StoreError::Missing(_) | StoreError::Corrupt { .. } | StoreError::Record { .. } => Self::internal(text),
        }
    }
}
