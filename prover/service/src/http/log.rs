//! `/v1/log`: the transparency log.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use serde_json::json;

use super::answer::Refusal;
use crate::app::App;
use crate::auth::Caller;
use crate::error::ServiceError;
use crate::idempotency::Reply;
use crate::ids::Digest;
use crate::log::Evidence;

type Answer = Result<Reply, Refusal>;
type Parameters = Query<HashMap<String, String>>;

fn number(parameters: &HashMap<String, String>, name: &str) -> Result<Option<u64>, ServiceError> {
    let wrong = |_| ServiceError::invalid(format!("{name} must be a number"));
    parameters.get(name).map(|text| text.parse::<u64>().map_err(wrong)).transpose()
}

pub(super) async fn head(State(app): State<Arc<App>>, _: Caller) -> Answer {
    Ok(Reply::json(200, &json!({ "head": app.log.head()?, "public_key": app.log.public()? })))
}

pub(super) async fn consistency(State(app): State<Arc<App>>, _: Caller, Query(parameters): Parameters) -> Answer {
    let first = number(&parameters, "first")?.ok_or_else(|| ServiceError::invalid("the query needs first=SIZE"))?;
    let second = number(&parameters, "second")?.unwrap_or_else(|| app.log.size());
    let proof = app.log.consistency(first, second)?;
    Ok(Reply::json(200, &json!({ "first": first, "second": second, "proof": proof })))
}

pub(super) async fn hashes(State(app): State<Arc<App>>, _: Caller, Query(parameters): Parameters) -> Answer {
    /// Hashes in one answer.
    const PAGE: usize = 1000;
    let start = number(&parameters, "start")?.unwrap_or(0);
    Ok(Reply::json(200, &json!({ "start": start, "hashes": app.log.hashes(start, PAGE) })))
}

pub(super) async fn entry(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(statement): Path<String>,
    Query(parameters): Parameters,
) -> Answer {
    let statement: Digest = statement.parse()?;
    let job = app.desk.of_statement(&caller.tenant, &statement).await?;
    let proved = job.proved.ok_or_else(|| ServiceError::not_found("the statement is not proven yet"))?;
    let (leaf, path, head) = app.log.prove(&caller.tenant, proved.log_index).await?;
    let since = number(&parameters, "since")?;
    let consistency = since.map(|since| app.log.consistency(since, head.size)).transpose()?;
    let evidence = Evidence { leaf, index: proved.log_index, path, head, consistency };
    let evidence = serde_json::to_value(evidence).map_err(|error| ServiceError::internal(error.to_string()))?;
    Ok(Reply::json(200, &evidence))
}
