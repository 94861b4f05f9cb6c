//! Broken: measure. More jobs, requests, bytes or memory than allowed are refused with the right status and a time to come
//! back, and nothing of them is kept.

use serde_json::json;

use crate::support::{MODEL, Service};

#[test]
fn a_full_queue_refuses_and_says_when_to_come_back() {
    let service = Service::start(&["--set", "prove=false", "--set", "max_queued=3"]);
    let client = service.with_model("acme");
    let ids: Vec<String> = (0..3).map(|seed| client.order(seed)).collect();
    let refused = client.infer(9, json!({}));
    assert_eq!((refused.status, &refused.json()["code"]), (429, &json!("resource_exhausted")));
    assert!(refused.field("retry-after").and_then(|text| text.parse::<u64>().ok()).is_some_and(|wait| wait > 0));
    // What is proven already, or not to be proven, needs no place.
    assert_eq!(client.order(1), ids[1]);
    assert_eq!(client.infer(9, json!({ "proof": "none" })).status, 200);
    assert_eq!(client.post(&format!("/v1/jobs/{}/cancel", ids[0]), &[]).status, 200);
    crate::support::wait("a place is free", || (client.infer(9, json!({})).status == 200).then_some(()));
}

#[test]
fn one_tenant_does_not_take_the_places_of_another() {
    let service = Service::start(&["--set", "prove=false", "--set", "max_active_per_tenant=2", "--provider", "acme"]);
    let acme = service.with_model("acme");
    let other = service.client(&service.key("other", "infer"));
    let _ = (acme.order(1), acme.order(2));
    assert_eq!(acme.infer(3, json!({})).status, 429);
    let _ = other.order(3);
}

#[test]
fn too_many_requests_are_refused() {
    let service = Service::start(&["--set", "rate=0.5", "--set", "burst=5"]);
    let client = service.client(&service.key("acme", "infer"));
    let statuses: Vec<u16> = (0..8).map(|_| client.get("/v1/models").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 5, "{statuses:?}");
    let refused = client.get("/v1/models");
    assert_eq!(refused.status, 429);
    assert!(refused.field("retry-after").is_some());
}

#[test]
fn long_bodies_are_refused() {
    let service = Service::start(&["--set", "max_body_mib=1", "--set", "max_model_mib=1"]);
    let client = service.client(&service.key("acme", "admin,infer"));
    let long = vec![b' '; (1 << 20) + 1];
    for path in ["/v1/models?name=long", "/v2/models/digits/infer", "/v1/jobs", "/v1/verify"] {
        let refused = client.post(path, &long);
        assert_eq!(refused.status, 413, "{path}");
    }
    assert_eq!(client.get("/v1/models").json()["models"], json!([]));
}

#[test]
fn a_proof_that_does_not_fit_is_refused_with_the_estimate() {
    let service = Service::start(&["--set", "memory_mib=1"]);
    let client = service.with_model("acme");
    let refused = client.infer(1, json!({}));
    assert_eq!((refused.status, &refused.json()["code"]), (422, &json!("does_not_fit")));
    assert!(refused.text().contains("MiB"), "{}", refused.text());
    assert_eq!(client.infer(1, json!({ "proof": "none" })).status, 200);
}

#[test]
fn a_model_beyond_the_limits_of_its_compiler_is_refused_and_the_service_goes_on() {
    let service = Service::start(&["--set", "compile_memory_mib=64", "--threads", "1"]);
    let client = service.client(&service.key("acme", "admin,infer"));
    assert_eq!(client.post("/v1/models?name=small", MODEL).status, 201);
    // Whether the digits model fits in 64 MiB of addresses or not: the service answers either way.
    let state = client.wait_model("small");
    if state["state"] == "failed" {
        assert!(state["failure"].as_str().is_some_and(|why| why.contains("64 MiB")), "{state}");
    }
    assert_eq!(client.get("/healthz").status, 200);
}
