//! `vinfer keys`: API keys of the proving service.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use vinfer_service::ServiceError;
use vinfer_service::auth::{KeyRecord, Scope, create_key, list_keys, revoke_key};
use vinfer_service::store::{Records, nats};

use super::wait_for;
use crate::args::{KeyPlace, Keys, KeysCommand};
use crate::error::CliError;
use crate::report::Outcome;

/// Runs the command.
pub(crate) fn run(args: &Keys) -> Result<Outcome, CliError> {
    match &args.command {
        KeysCommand::Create { place, tenant, scope } => create(place, tenant, scope),
        KeysCommand::List { place } => list(place),
        KeysCommand::Revoke { place, id } => revoke(place, id),
    }
}

/// The records of a NATS server, where keys are to be there.
async fn records(place: &KeyPlace) -> Result<Option<Arc<dyn Records>>, ServiceError> {
    match &place.nats {
        Some(url) => Ok(Some(nats::records(url).await?)),
        None => Ok(None),
    }
}

fn data(place: &KeyPlace) -> &Path {
    place.data.as_deref().unwrap_or(Path::new("."))
}

fn create(place: &KeyPlace, tenant: &str, scopes: &[Scope]) -> Result<Outcome, CliError> {
    let key = wait_for(async {
        let records = records(place).await?;
        create_key(data(place), records.as_deref(), tenant, scopes).await
    })?;
    let json = json!({ "key": key.text, "id": key.record.id, "tenant": tenant, "scopes": scope_names(&key.record) });
    Ok(Outcome { text: key.text, json })
}

fn list(place: &KeyPlace) -> Result<Outcome, CliError> {
    let keys = wait_for(async {
        let records = records(place).await?;
        list_keys(place.data.as_deref(), records.as_deref()).await
    })?;
    let line = |key: &KeyRecord| {
        let state = if key.revoked { "revoked" } else { "valid" };
        format!("{}  {state:7}  {}  {}", key.id, key.tenant, scope_names(key).join(","))
    };
    let json = keys.iter().map(|key| {
        json!({
            "id": key.id,
            "tenant": key.tenant,
            "scopes": scope_names(key),
            "created_ms": key.created_ms,
            "revoked": key.revoked,
        })
    });
    let json = json!({ "keys": json.collect::<Vec<_>>() });
    let text = if keys.is_empty() {
        "no keys; `vinfer keys create` makes one".to_owned()
    } else {
        keys.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    Ok(Outcome { text, json })
}

fn revoke(place: &KeyPlace, id: &str) -> Result<Outcome, CliError> {
    let key = wait_for(async {
        let records = records(place).await?;
        revoke_key(data(place), records.as_deref(), id).await
    })?;
    let json = json!({ "id": key.id, "revoked": true });
    Ok(Outcome { text: format!("revoked {} of {}", key.id, key.tenant), json })
}

fn scope_names(key: &KeyRecord) -> Vec<&'static str> {
    key.scopes.iter().map(|scope| scope.name()).collect()
}
