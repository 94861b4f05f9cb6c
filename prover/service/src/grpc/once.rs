//! `idempotency-key` in the metadata: a request that is sent twice under one key is done once, as over HTTP.

use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Response, Status};

use super::refuse::in_time;
use crate::app::App;
use crate::auth::Caller;
use crate::error::ServiceError;
use crate::idempotency::Reply;
use crate::ids::Digest;

/// The key of a request; one that is no text is refused later, not overlooked.
fn key(metadata: &MetadataMap) -> Option<&str> {
    metadata.get("idempotency-key").map(|value| value.to_str().unwrap_or_default())
}

/// Digest of a call: its name and what it is about, each with its length.
pub(super) fn fingerprint(call: &str, parts: &[&[u8]]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for part in [call.as_bytes()].iter().chain(parts) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Digest(*hasher.finalize().as_bytes())
}

/// Does the work of a request, or gives the answer that it had.
pub(super) async fn once<M: Message + Default>(
    app: &App,
    caller: &Caller,
    metadata: &MetadataMap,
    request: Digest,
    work: impl Future<Output = Result<M, ServiceError>> + Send,
) -> Result<Response<M>, Status> {
    let Some(key) = key(metadata) else {
        return in_time(app, work).await.map(Response::new);
    };
    let work = async {
        let body = work.await?.encode_to_vec();
        Ok(Reply { status: 200, headers: Vec::new(), body })
    };
    let reply = in_time(app, app.idempotency.once(caller, Some(key), request, work)).await?;
    let answer = M::decode(reply.body.as_slice());
    answer.map(Response::new).map_err(|error| Status::internal(error.to_string()))
}
