//! Broken: the request. Whatever arrives is answered with a status of the 400s and a reason, never with 500.

use serde_json::{Value, json};

use crate::support::{MODEL, Service, request};

#[test]
fn malformed_inference_requests_are_refused_with_the_reason() {
    let service = Service::start(&["--set", "prove=false"]);
    let client = service.with_model("acme");
    let base = request(1, json!({}));
    let with = |pointer: &str, value: Value| {
        let mut changed = base.clone();
        *changed.pointer_mut(pointer).expect("a place") = value;
        changed.to_string()
    };
    let mut twice = base.clone();
    let first = twice["inputs"][0].clone();
    twice["inputs"].as_array_mut().unwrap().push(first);
    let mut unknown_output = base.clone();
    unknown_output["outputs"] = json!([{ "name": "z" }]);
    let cases: Vec<(&str, String)> = vec![
        ("no inference request", "{".to_owned()),
        ("no inference request", "[]".to_owned()),
        ("no inference request", "{}".to_owned()),
        ("missing", json!({ "inputs": [] }).to_string()),
        ("no input `z`", with("/inputs/0/name", json!("z"))),
        ("is FP32, not INT64", with("/inputs/0/datatype", json!("INT64"))),
        ("shape", with("/inputs/0/shape", json!([64]))),
        ("no inference request", with("/inputs/0/shape", json!([-1, 1, 8, 8]))),
        ("shape", with("/inputs/0/shape", json!([u64::MAX, u64::MAX]))),
        ("elements", with("/inputs/0/data", json!([1.0]))),
        ("more than 64", with("/inputs/0/data", json!(vec![0.0; 65]))),
        ("is no FP32", with("/inputs/0/data/3", json!("a"))),
        ("not a number", with("/inputs/0/data/3", json!(null)).replace("null", "1e400")),
        ("given twice", twice.to_string()),
        ("no output `z`", unknown_output.to_string()),
        ("none, async or wait", request(1, json!({ "proof": "maybe" })).to_string()),
        ("64 hexadecimal", request(1, json!({ "context": "00" })).to_string()),
        ("0 to 9", request(1, json!({ "priority": 10 })).to_string()),
        ("milliseconds", request(1, json!({ "deadline_ms": 0 })).to_string()),
    ];
    for (reason, body) in cases {
        let answer = client.post("/v2/models/digits/infer", body.as_bytes());
        assert_eq!(answer.status, 400, "{reason}: {}", answer.text());
        let text = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(text.contains(reason) || reason == "not a number", "{reason}: {text}");
    }
    let deep = format!("{{\"inputs\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(client.post("/v2/models/digits/infer", deep.as_bytes()).status, 400);
    let lengths = [("inference-header-content-length", "999999")];
    let answer = client.send("POST", "/v2/models/digits/infer", &lengths, base.to_string().as_bytes());
    assert_eq!(answer.expect("an answer").status, 400);
}

#[test]
fn what_does_not_exist_is_not_found() {
    let service = Service::start(&[]);
    let client = service.client(&service.key("acme", "admin,infer"));
    let id = "0".repeat(32);
    for path in [
        "/v1/models/none".to_owned(),
        "/v1/models/none/vk".to_owned(),
        "/v1/models/%2e%2e".to_owned(),
        "/v1/jobs/none".to_owned(),
        format!("/v1/jobs/{id}"),
        format!("/v1/jobs/{id}/events"),
        format!("/v1/proofs/{}", "0".repeat(64)),
        "/v2/models/none".to_owned(),
        "/v1/uploads/none".to_owned(),
        "/nothing".to_owned(),
    ] {
        assert_eq!(client.get(&path).status, 404, "{path}");
    }
    for name in [String::new(), "x".repeat(2000), "a b".to_owned(), "\u{fe}".to_owned()] {
        let mut body = request(1, json!({}));
        body["model"] = json!(name);
        assert_eq!(client.post("/v1/jobs", body.to_string().as_bytes()).status, 404, "{name}");
    }
    assert_eq!(client.get(&format!("/v1/models/{}", "x".repeat(2000))).status, 404);
    assert_eq!(client.post(&format!("/v1/models/{}/disable", "x".repeat(2000)), &[]).status, 404);
    assert_eq!(client.get("/v1/proofs/xyz").status, 400);
    assert_eq!(client.get("/v1/jobs?limit=0").status, 400);
    assert_eq!(client.get("/v1/jobs?before=x").status, 400);
}

#[test]
fn models_that_are_none_are_refused_by_the_compiler() {
    let service = Service::start(&[]);
    let client = service.client(&service.key("acme", "admin,infer"));
    assert_eq!(client.post("/v1/models", MODEL).status, 400);
    assert_eq!(client.post("/v1/models?name=a/b", MODEL).status, 400);
    assert_eq!(client.post("/v1/models?name=empty", &[]).status, 400);
    assert_eq!(client.post("/v1/models?name=noise", &[0xff; 1000]).status, 201);
    let state = client.wait_model("noise");
    assert_eq!(state["state"], "failed");
    assert!(state["failure"].as_str().is_some_and(|why| !why.is_empty()), "{state}");
    let refused = client.post("/v2/models/noise/infer", request(1, json!({})).to_string().as_bytes());
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert_eq!(client.post("/v1/models?name=digits", MODEL).status, 201);
    client.wait_ready("digits");
    assert_eq!(client.post("/v1/models?name=digits", &[1, 2, 3]).status, 409);
    assert_eq!(client.post("/v1/models/digits/disable", &[]).json()["state"], "disabled");
    assert_eq!(client.infer(1, json!({})).status, 409);
    assert_eq!(client.get("/v1/models/digits/vk").status, 200);
}
