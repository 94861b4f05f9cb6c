//! Nothing is broken: key, model, inference, job, events, proof, verification, as a client of the service sees them.

use serde_json::json;

use crate::support::{MODEL, Service};

#[test]
fn a_model_is_uploaded_run_and_proven() {
    let service = Service::start(&[]);
    let client = service.client(&service.key("acme", "admin,infer"));

    let uploaded = client.post("/v1/models?name=digits", MODEL);
    assert_eq!(uploaded.status, 201, "{}", uploaded.text());
    let uploaded = uploaded.json();
    assert_eq!(uploaded["name"], "digits");
    client.wait_ready("digits");
    assert_eq!(client.get("/v1/models/digits").json()["digest"], uploaded["digest"]);
    let listed = client.get("/v1/models").json();
    assert_eq!(listed["models"].as_array().map(Vec::len), Some(1));

    let answer = client.infer(1, json!({}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["outputs"][0]["name"], "y");
    assert_eq!(answer["outputs"][0]["shape"], json!([1, 10]));
    assert_eq!(answer["parameters"]["model_digest"], uploaded["digest"]);
    let (id, statement) = (&answer["parameters"]["proof_job_id"], &answer["parameters"]["statement"]);
    let (id, statement) = (id.as_str().expect("a job"), statement.as_str().expect("a statement"));

    let job = client.wait_job(id);
    assert_eq!((&job["state"], &job["statement"]), (&json!("done"), &json!(statement)), "{job}");
    let verified = client.check_proof(statement);
    assert!(verified.security_bits >= 100.0);

    let by_job = client.get(&format!("/v1/jobs/{id}/proof"));
    let by_statement = client.get(&format!("/v1/proofs/{statement}"));
    assert_eq!(by_job.body, by_statement.body);
    assert_eq!(client.get("/v1/usage").json()["done"], 1);
}

#[test]
fn the_command_line_accepts_the_downloaded_proof_and_its_output() {
    let service = Service::start(&[]);
    let client = service.with_model("acme");
    let answer = client.infer(5, json!({ "proof": "wait" })).json();
    let statement = answer["parameters"]["statement"].as_str().expect("a statement");
    let vk = service.file("vk.test", &client.get("/v1/models/digits/vk").body);
    let proof = service.file("proof.test", &client.get(&format!("/v1/proofs/{statement}")).body);
    let outputs = json!({ "y": [answer["outputs"][0]["data"]] });
    let output = service.file("output.json", outputs.to_string().as_bytes());
    let verify = |output: &std::path::Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vinfer"));
        command.arg("verify").arg("--vk").arg(&vk).arg("--proof").arg(&proof).arg("--output").arg(output);
        command.output().expect("verify").status.code()
    };
    assert_eq!(verify(&output), Some(0));
    let mut forged = outputs.clone();
    forged["y"][0][0] = json!(123.0);
    assert_eq!(verify(&service.file("forged.json", forged.to_string().as_bytes())), Some(1));
}

#[test]
fn proofs_are_made_when_asked_for() {
    let service = Service::start(&[]);
    let client = service.with_model("acme");
    let none = client.infer(1, json!({ "proof": "none" })).json();
    assert!(none["parameters"].get("proof_job_id").is_none());
    assert_eq!(client.get(&format!("/v1/proofs/{}", none["parameters"]["statement"].as_str().unwrap())).status, 404);
    let waited = client.infer(2, json!({ "proof": "wait" })).json();
    assert_eq!(waited["parameters"]["proof_state"], "done", "{waited}");
    client.check_proof(waited["parameters"]["statement"].as_str().unwrap());
    let context = "ab".repeat(32);
    let bound = client.infer(2, json!({ "proof": "wait", "context": context })).json();
    let statement = bound["parameters"]["statement"].as_str().unwrap();
    assert_ne!(bound["parameters"]["statement"], waited["parameters"]["statement"]);
    assert_eq!(hex::encode(client.check_proof(statement).context), context);
}

#[test]
fn the_same_statement_is_proven_once() {
    let service = Service::start(&[]);
    let client = service.with_model("acme");
    let ids: Vec<String> = (0..5).map(|_| client.order(9)).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(client.wait_job(&ids[0])["attempts"], 1);
    assert_eq!(client.get("/v1/usage").json()["done"], 1);
}

#[test]
fn events_are_numbered_and_can_be_resumed() {
    let service = Service::start(&[]);
    let client = service.with_model("acme");
    let id = client.order(1);
    let path = format!("/v1/jobs/{id}/events");
    let events = client.get(&path);
    assert_eq!(events.field("content-type"), Some("text/event-stream"));
    let ids =
        |text: &str| -> Vec<u64> { text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect() };
    let text = events.text();
    assert_eq!(ids(&text), [1, 2, 3], "{text}");
    assert!(text.contains("event: done"), "{text}");
    let rest = client.send("GET", &path, &[("last-event-id", "2")], &[]).expect("an answer").text();
    assert_eq!(ids(&rest), [3], "{rest}");
}

#[test]
fn jobs_are_submitted_listed_and_cancelled() {
    let service = Service::start(&["--set", "prove=false"]);
    let client = service.with_model("acme");
    let mut body = crate::support::request(1, json!({ "priority": 9 }));
    body["model"] = json!("digits");
    let job = client.post("/v1/jobs", body.to_string().as_bytes());
    assert_eq!(job.status, 201, "{}", job.text());
    let id = job.json()["id"].as_str().unwrap().to_owned();
    let second = client.order(2);
    let page = client.get("/v1/jobs?limit=1").json();
    assert_eq!(page["jobs"][0]["id"], json!(second));
    let page = client.get(&format!("/v1/jobs?limit=1&before={}", page["next"].as_str().unwrap())).json();
    assert_eq!(page["jobs"][0]["id"], json!(id));

    let cancelled = client.post(&format!("/v1/jobs/{id}/cancel"), &[]).json();
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(client.get(&format!("/v1/jobs/{id}/proof")).status, 409);
    // Wanted again, it is a new job.
    assert_ne!(client.order(1), id);
}

#[test]
fn an_expected_deadline_fails_the_job_by_name() {
    let service = Service::start(&["--set", "prove=false"]);
    let client = service.with_model("acme");
    let answer = client.infer(1, json!({ "deadline_ms": 200 })).json();
    let job = client.wait_job(answer["parameters"]["proof_job_id"].as_str().unwrap());
    assert_eq!((&job["state"], &job["failure"]["cause"]), (&json!("failed"), &json!("deadline")));
}

#[test]
fn anybody_asks_for_health_and_a_key_verifies() {
    use base64_text as encode;
    let service = Service::start(&[]);
    for path in ["/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/v2"] {
        assert_eq!(service.stranger().get(path).status, 200, "{path}");
    }
    let client = service.with_model("acme");
    let answer = client.infer(3, json!({ "proof": "wait" })).json();
    let statement = answer["parameters"]["statement"].as_str().unwrap();
    let vk = client.get("/v1/models/digits/vk").body;
    let mut proof = client.get(&format!("/v1/proofs/{statement}")).body;
    let verdict = |proof: &[u8]| {
        let body = json!({ "vk": encode(&vk), "proof": encode(proof) });
        client.post("/v1/verify", body.to_string().as_bytes()).json()
    };
    assert_eq!(verdict(&proof)["valid"], true);
    let last = proof.len() - 1;
    proof[last] ^= 1;
    let refused = verdict(&proof);
    assert_eq!(refused["valid"], false, "{refused}");
}

fn base64_text(bytes: &[u8]) -> String {
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
