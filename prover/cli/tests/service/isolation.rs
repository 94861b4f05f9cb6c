//! Broken: the caller. No key, a wrong key, a revoked key, a key without the scope, the key of another tenant. Nothing of
//! a tenant may be seen, changed or found to exist by another.

use serde_json::json;

use crate::support::{MODEL, Service, wait};

#[test]
fn without_a_valid_key_nothing_is_told() {
    let service = Service::start(&[]);
    let client = service.with_model("acme");
    let key = service.key("acme", "infer");
    let mut forged = key.clone();
    forged.replace_range(key.len() - 1.., if key.ends_with('0') { "1" } else { "0" });
    for stranger in [service.stranger(), service.client("nonsense"), service.client(&forged)] {
        for path in ["/v1/models", "/v1/models/digits", "/v1/jobs", "/v1/usage", "/v2/models/digits"] {
            let answer = stranger.get(path);
            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(answer.field("www-authenticate"), Some("Bearer"));
        }
        assert_eq!(stranger.post("/v2/models/digits/infer", b"{}").status, 401);
    }
    assert_eq!(client.get("/v1/models/digits").status, 200);
}

#[test]
fn scopes_are_demanded() {
    let service = Service::start(&[]);
    let _ = service.with_model("acme");
    let (infer, admin) = (service.client(&service.key("acme", "infer")), service.client(&service.key("acme", "admin")));
    assert_eq!(infer.post("/v1/models?name=other", MODEL).status, 403);
    assert_eq!(infer.post("/v1/models/digits/disable", &[]).status, 403);
    assert_eq!(admin.infer(1, json!({})).status, 403);
    assert_eq!(infer.infer(1, json!({})).status, 200);
}

#[test]
fn a_revoked_key_stops_working() {
    let service = Service::start(&[]);
    let key = service.key("acme", "infer");
    let client = service.client(&key);
    assert_eq!(client.get("/v1/models").status, 200);
    let id = key.split('_').nth(1).expect("the public part").to_owned();
    let listed = service.keys("list", &[]);
    assert!(listed.contains(&id) && !listed.contains(key.rsplit('_').next().unwrap()));
    service.keys("revoke", &[&id]);
    wait("the key is refused", || (client.get("/v1/models").status == 401).then_some(()));
}

#[test]
fn tenants_do_not_see_each_other() {
    let service = Service::start(&[]);
    let acme = service.with_model("acme");
    let answer = acme.infer(1, json!({ "proof": "wait" })).json();
    let id = answer["parameters"]["proof_job_id"].as_str().unwrap();
    let statement = answer["parameters"]["statement"].as_str().unwrap();
    let other = service.client(&service.key("other", "admin,infer"));
    for path in [
        "/v1/models/digits".to_owned(),
        "/v1/models/digits/vk".to_owned(),
        "/v1/models/digits/report".to_owned(),
        "/v2/models/digits".to_owned(),
        "/v2/models/digits/ready".to_owned(),
        format!("/v1/jobs/{id}"),
        format!("/v1/jobs/{id}/proof"),
        format!("/v1/jobs/{id}/events"),
        format!("/v1/proofs/{statement}"),
    ] {
        assert_eq!(other.get(&path).status, 404, "{path}");
    }
    assert_eq!(other.infer(1, json!({})).status, 404);
    assert_eq!(other.post(&format!("/v1/jobs/{id}/cancel"), &[]).status, 404);
    assert_eq!(other.post("/v1/models/digits/disable", &[]).status, 404);
    assert_eq!(other.get("/v1/jobs").json()["jobs"], json!([]));
    assert_eq!(other.get("/v1/models").json()["models"], json!([]));
    assert_eq!(other.get("/v1/usage").json()["done"], 0);
    // The same name is free for another tenant, with a model of its own.
    assert_eq!(other.post("/v1/models?name=digits", MODEL).status, 201);
    assert_eq!(acme.get(&format!("/v1/jobs/{id}")).json()["state"], "done");
}

#[test]
fn the_providers_models_are_for_everyone_and_its_jobs_are_not() {
    let service = Service::start(&["--provider", "acme"]);
    let acme = service.with_model("acme");
    let other = service.client(&service.key("other", "admin,infer"));
    let answer = other.infer(1, json!({ "proof": "wait" })).json();
    let (id, statement) = (&answer["parameters"]["proof_job_id"], &answer["parameters"]["statement"]);
    other.check_proof(statement.as_str().unwrap());
    assert_eq!(acme.get(&format!("/v1/jobs/{}", id.as_str().unwrap())).status, 404);
    assert_eq!(acme.get(&format!("/v1/proofs/{}", statement.as_str().unwrap())).status, 404);
    assert_eq!(other.post("/v1/models/digits/disable", &[]).status, 404);
}
