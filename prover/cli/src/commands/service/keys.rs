//! `vinfer keys`: API keys of the proving service.

use std::path::Path;

use serde_json::json;
use vinfer_service::auth::{KeyRecord, Scope, create_key, list_keys, revoke_key};

use super::wait_for;
use crate::args::{Keys, KeysCommand};
use crate::error::CliError;
use crate::report::Outcome;

/// Runs the command.
pub(crate) fn run(args: &Keys) -> Result<Outcome, CliError> {
    match &args.command {
        KeysCommand::Create { place, tenant, scope } => create(&place.data, tenant, scope),
        KeysCommand::List { place } => list(&place.data),
        KeysCommand::Revoke { place, id } => revoke(&place.data, id),
    }
}

fn create(data: &Path, tenant: &str, scopes: &[Scope]) -> Result<Outcome, CliError> {
    let key = wait_for(create_key(data, None, tenant, scopes))?;
    let json = json!({ "key": key.text, "id": key.record.id, "tenant": tenant, "scopes": scope_names(&key.record) });
    Ok(Outcome { text: key.text, json })
}

fn list(data: &Path) -> Result<Outcome, CliError> {
    let keys = wait_for(list_keys(data, None))?;
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

fn revoke(data: &Path, id: &str) -> Result<Outcome, CliError> {
    let key = wait_for(revoke_key(data, None, id))?;
    Ok(Outcome {
        text: format!("revoked {} of {}", key.id, key.tenant),
        json: json!({ "id": key.id, "revoked": true }),
    })
}

fn scope_names(key: &KeyRecord) -> Vec<&'static str> {
    key.scopes.iter().map(|scope| scope.name()).collect()
}
