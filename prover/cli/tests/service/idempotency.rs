//! Broken: the client sends twice. The same request under one `Idempotency-Key` is done once and answered the same; another
//! request under it is refused.

use serde_json::json;

use crate::support::{MODEL, Service, request};

#[test]
fn a_repeated_request_is_done_once() {
    let service = Service::start(&[]);
    let client = service.client(&service.key("acme", "admin,infer"));
    let upload = |name: &str| {
        let path = format!("/v1/models?name={name}");
        client.send("POST", &path, &[("idempotency-key", "u1")], MODEL).expect("an answer")
    };
    let first = upload("digits");
    assert_eq!(first.status, 201);
    let again = upload("digits");
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!(upload("other").status, 409);
    client.wait_ready("digits");

    let infer = |seed: u64, key: &str| {
        let body = request(seed, json!({})).to_string();
        client.send("POST", "/v2/models/digits/infer", &[("idempotency-key", key)], body.as_bytes()).expect("an answer")
    };
    let first = infer(1, "i1");
    assert_eq!(first.status, 200);
    assert_eq!(infer(1, "i1").body, first.body);
    let conflict = infer(2, "i1");
    assert_eq!((conflict.status, &conflict.json()["code"]), (409, &json!("conflict")));
    assert_eq!(infer(2, "i2").status, 200);
    // Keys are a tenant's own.
    let other = service.client(&service.key("other", "admin,infer"));
    let path = "/v1/models?name=own";
    assert_eq!(other.send("POST", path, &[("idempotency-key", "u1")], MODEL).expect("an answer").status, 201);
}

#[test]
fn answers_outlive_the_process_and_refusals_are_not_kept() {
    let mut service = Service::start(&[]);
    let key = service.key("acme", "admin,infer");
    let client = service.client(&key);
    let body = request(1, json!({})).to_string();
    let fields = [("idempotency-key", "early")];
    let infer = |client: &crate::support::Client| {
        client.send("POST", "/v2/models/digits/infer", &fields, body.as_bytes()).expect("an answer")
    };
    assert_eq!(infer(&client).status, 404);
    assert_eq!(client.post("/v1/models?name=digits", MODEL).status, 201);
    client.wait_ready("digits");
    let first = infer(&client);
    assert_eq!(first.status, 200, "{}", first.text());
    service.kill();
    service.run();
    assert_eq!(infer(&service.client(&key)).body, first.body);
}

#[test]
fn requests_at_the_same_time_are_done_once() {
    let service = Service::start(&[]);
    let client = service.with_model("acme");
    let body = request(7, json!({})).to_string();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let send = || {
            client
                .send("POST", "/v2/models/digits/infer", &[("idempotency-key", "k")], body.as_bytes())
                .expect("an answer")
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(send)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let done: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert!(!done.is_empty());
    assert!(done.iter().all(|answer| answer.body == done[0].body));
    // Whoever came while the first was at it is told to ask again.
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.status, 409);
        assert!(answer.field("retry-after").is_some());
    }
    assert_eq!(client.get("/v1/jobs").json()["jobs"].as_array().map(Vec::len), Some(1));
}
