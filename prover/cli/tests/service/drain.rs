//! Broken: nothing; the service is asked to end. Running requests and proofs are finished, new ones refused, what waits is
//! proven after the next start.

use serde_json::json;

use crate::support::Service;

#[test]
fn what_runs_is_finished_and_what_waits_is_kept() {
    let mut service = Service::start(&["--set", "workers=1"]);
    let key = service.key("acme", "admin,infer");
    let client = service.client(&key);
    assert_eq!(client.post("/v1/models?name=digits", crate::support::MODEL).status, 201);
    client.wait_ready("digits");
    let ids: Vec<String> = (0..30).map(|seed| client.order(seed)).collect();
    let waiting = {
        let client = client.clone();
        std::thread::spawn(move || client.infer(0, json!({ "proof": "wait" })))
    };
    std::thread::sleep(std::time::Duration::from_millis(30));
    service.terminate();
    assert!(service.wait(), "it ends well");
    let answer = waiting.join().expect("no panic");
    assert_eq!(answer.status, 200);
    service.run();
    let client = service.client(&key);
    for id in &ids {
        let job = client.wait_job(id);
        assert_eq!(job["state"], "done", "{job}");
        // Nothing was cut off: every job needed one attempt.
        assert_eq!(job["attempts"], 1, "{job}");
    }
}
