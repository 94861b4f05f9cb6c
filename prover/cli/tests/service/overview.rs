//! Nothing is broken, then a caller asks for numbers of others. `/v1/overview` tells a tenant of itself alone; what all
//! tenants do together takes a key with scope operator, and names nobody.

use serde_json::json;

use crate::support::{MODEL, Service, wait};

#[test]
fn a_tenant_sees_its_own_numbers() {
    let service = Service::start(&["--provider", "acme"]);
    let acme = service.with_model("acme");
    let other = service.client(&service.key("other", "admin,infer"));
    for seed in 0..3 {
        acme.wait_job(&acme.order(seed));
    }
    let failed = acme.infer(9, json!({ "deadline_ms": 1 })).json();
    let failed = acme.wait_job(failed["parameters"]["proof_job_id"].as_str().expect("a job"));
    let now = wait("all is counted", || {
        let now = acme.get("/v1/overview").json();
        let ended = now["hour"]["done"].as_u64()? + now["hour"]["failed"].as_u64()?;
        (ended == 4).then_some(now)
    });
    assert_eq!((&now["tenant"], &now["scopes"]), (&json!("acme"), &json!(["admin", "infer"])));
    assert_eq!((&now["models"], &now["queued"], &now["proving"]), (&json!({ "ready": 1 }), &json!(0), &json!(0)));
    let minutes = now["minutes"]["done"].as_array().expect("minutes");
    let done: u64 = minutes.iter().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!((minutes.len(), &json!(done)), (60, &now["hour"]["done"]));
    assert!(now["proof_after_seconds"]["median"].as_f64().is_some_and(|seconds| seconds > 0.0), "{now}");
    if failed["state"] == "failed" {
        assert_eq!(now["day"]["failures"], json!({ "deadline": 1 }));
        assert_eq!(now["recent_failures"][0]["job"], failed["id"]);
    }

    // The provider's model is theirs too, its jobs are not.
    let theirs = other.get("/v1/overview").json();
    assert_eq!(
        (&theirs["day"]["done"], &theirs["day"]["failed"], &theirs["recent_failures"]),
        (&json!(0), &json!(0), &json!([]))
    );
    assert_eq!(theirs["models"], json!({ "ready": 1 }));
    assert!(!theirs.to_string().contains("acme"), "{theirs}");
    assert_eq!(service.stranger().get("/v1/overview").status, 401);
}

#[test]
fn the_whole_service_is_for_operators_and_without_names() {
    let service = Service::start(&[]);
    let acme = service.with_model("acme-secret");
    acme.wait_job(&acme.order(1));
    for scope in ["infer", "admin", "admin,infer"] {
        let refused = service.client(&service.key("acme-secret", scope)).get("/v1/overview/service");
        assert_eq!(refused.status, 403, "{scope}");
    }
    assert_eq!(service.stranger().get("/v1/overview/service").status, 401);
    let operator = service.client(&service.key("house", "operator"));
    let now = operator.get("/v1/overview/service");
    let text = now.text();
    assert!(!text.contains("acme-secret") && !text.contains("digits"), "{text}");
    let now = now.json();
    assert_eq!((&now["hour"]["done"], &now["models"]), (&json!(1), &json!({ "ready": 1 })));
    assert!(now["process"]["resident_bytes"].as_u64() > Some(0) && now["log_entries"] == 1, "{now}");
    // The scope opens nothing else.
    assert_eq!(operator.post("/v1/models?name=digits", MODEL).status, 403);
    assert_eq!(operator.infer(1, json!({})).status, 403);
    assert_eq!(operator.get("/v1/jobs").json()["jobs"], json!([]));
}

#[test]
fn what_was_done_is_known_after_a_restart() {
    let mut service = Service::start(&[]);
    let acme = service.with_model("acme");
    for seed in 0..3 {
        acme.wait_job(&acme.order(seed));
    }
    let key = service.key("acme", "infer");
    service.kill();
    service.run();
    let now = service.client(&key).get("/v1/overview").json();
    assert_eq!((&now["hour"]["done"], &now["day"]["done"]), (&json!(3), &json!(3)));
}
