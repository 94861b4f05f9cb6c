//! Broken: who asks for a verdict, how much and how often. Anybody may, within limits that keep the service for its tenants; what
//! is hostile ends with its own process.

use serde_json::{Value, json};

use crate::support::{Client, Service, request};

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let at = (word >> (18 - 6 * digit) & 63) as usize;
            text.push(if digit > three.len() { '=' } else { char::from(DIGITS[at]) });
        }
    }
    text
}

/// A key and a proof, as the body of a request.
fn proven(client: &Client, seed: u64) -> Value {
    let answer = client.infer(seed, json!({ "proof": "wait" })).json();
    let statement = answer["parameters"]["statement"].as_str().expect("a statement");
    let vk = client.get("/v1/models/digits/vk").body;
    let proof = client.get(&format!("/v1/proofs/{statement}")).body;
    json!({ "vk": base64(&vk), "proof": base64(&proof) })
}

fn ask(client: &Client, body: &Value) -> Value {
    let answer = client.post("/v1/verify", body.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn anybody_gets_the_verdict_of_the_verifier() {
    let service = Service::start(&[]);
    let client = service.with_model("acme");
    let body = proven(&client, 3);
    let stranger = service.stranger();
    let verdict = ask(&stranger, &body);
    assert_eq!((&verdict["valid"], &verdict["compared"]), (&json!(true), &json!([])), "{verdict}");
    assert!(verdict["security_bits"].as_f64() >= Some(100.0) && verdict["outputs"][0]["name"] == "y", "{verdict}");
    assert_eq!(verdict["key_digest"], client.get("/v1/models/digits").json()["vk_digest"]);
    let report = client.get("/v1/models/digits/report").json();
    assert_eq!(verdict["program_digest"], report["program_digest"]);

    let with_input = |seed: u64| {
        let mut body = body.clone();
        body["input"] = json!(base64(request(seed, json!({})).to_string().as_bytes()));
        ask(&stranger, &body)
    };
    assert_eq!((&with_input(3)["valid"], &with_input(3)["compared"]), (&json!(true), &json!(["input"])));
    let other = with_input(4);
    assert_eq!(
        (&other["valid"], &other["code"], &other["rejected"]),
        (&json!(false), &json!("other_input"), &json!(true))
    );

    for (name, code) in [("vk", "key"), ("proof", "proof")] {
        let mut broken = body.clone();
        broken[name] = json!(base64(b"something else"));
        let verdict = ask(&stranger, &broken);
        assert_eq!(
            (&verdict["valid"], &verdict["code"], &verdict["rejected"]),
            (&json!(false), &json!(code), &json!(false))
        );
    }
    let mut broken = body.clone();
    broken["input"] = json!(base64(b"{}"));
    let verdict = ask(&stranger, &broken);
    assert_eq!((&verdict["valid"], &verdict["code"]), (&json!(false), &json!("input")), "{verdict}");
    assert_eq!(stranger.post("/v1/verify", b"{}").status, 400);
    // A key that is not good is not the same as none.
    assert_eq!(service.client("nonsense").post("/v1/verify", body.to_string().as_bytes()).status, 401);
    // Nothing is left of it.
    let left = std::fs::read_dir(service.data().join("incoming")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

#[test]
fn strangers_are_kept_within_limits_and_tenants_are_not_hindered() {
    let service = Service::start(&[]);
    let client = service.with_model("acme");
    let body = proven(&client, 3);
    let stranger = service.stranger();
    let long = vec![b' '; (8 << 20) + 1];
    assert_eq!(stranger.post("/v1/verify", &long).status, 413);
    let statuses: Vec<u16> = (0..60).map(|_| stranger.post("/v1/verify", body.to_string().as_bytes()).status).collect();
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    let refused = stranger.post("/v1/verify", body.to_string().as_bytes());
    if refused.status == 429 {
        assert!(refused.field("retry-after").is_some());
    }
    for _ in 0..10 {
        assert_eq!(ask(&client, &body)["valid"], true);
    }
}

#[test]
fn slow_strangers_do_not_keep_tenants_waiting() {
    use std::io::Write;
    let service = Service::start(&[]);
    let client = service.with_model("acme");
    let body = proven(&client, 3);
    let head = "POST /v1/verify HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
    let slow: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(service.http()).expect("connect");
            stream.write_all(head.as_bytes()).expect("write");
            stream
        })
        .collect();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let start = std::time::Instant::now();
    assert_eq!(ask(&client, &body)["valid"], true);
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
    drop(slow);
}

#[test]
fn the_door_can_be_shut() {
    let service = Service::start(&["--set", "open_verify=false"]);
    let client = service.with_model("acme");
    let body = proven(&client, 3);
    let refused = service.stranger().post("/v1/verify", body.to_string().as_bytes());
    assert_eq!((refused.status, &refused.json()["code"]), (401, &json!("unauthenticated")));
    assert_eq!(ask(&client, &body)["valid"], true);
}

#[test]
fn what_takes_too_much_ends_with_its_own_process() {
    let service = Service::start(&["--set", "verify_memory_mib=16"]);
    let client = service.with_model("acme");
    let body = proven(&client, 3);
    let verdict = ask(&client, &body);
    assert_eq!(
        (&verdict["valid"], &verdict["code"], &verdict["rejected"]),
        (&json!(false), &json!("limits"), &json!(false))
    );
    assert!(verdict["error"].as_str().is_some_and(|text| text.contains("16 MiB")), "{verdict}");
    assert_eq!(client.get("/healthz").status, 200);
}
