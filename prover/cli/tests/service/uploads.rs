//! Broken: the connection during a long upload. The client asks how far it is and goes on.

use crate::support::{MODEL, Service};

#[test]
fn an_upload_goes_on_where_it_was_cut_off() {
    let mut service = Service::start(&[]);
    let key = service.key("acme", "admin,infer");
    let client = service.client(&key);
    let begun = client.post("/v1/uploads", &[]);
    assert_eq!(begun.status, 201);
    let id = begun.json()["id"].as_str().unwrap().to_owned();
    let (first, rest) = MODEL.split_at(1000);
    let piece = |client: &crate::support::Client, offset: usize, bytes: &[u8]| {
        client.send("PATCH", &format!("/v1/uploads/{id}?offset={offset}"), &[], bytes).expect("an answer")
    };
    assert_eq!(piece(&client, 0, first).json()["offset"], 1000);
    assert_eq!(piece(&client, 0, first).status, 409);
    assert_eq!(piece(&client, 2000, rest).status, 409);
    service.kill();
    service.run();
    let client = service.client(&key);
    assert_eq!(client.get(&format!("/v1/uploads/{id}")).json()["offset"], 1000);
    assert_eq!(piece(&client, 1000, rest).status, 200);
    let done = client.post(&format!("/v1/uploads/{id}/complete?name=digits"), &[]);
    assert_eq!(done.status, 201, "{}", done.text());
    client.wait_ready("digits");
    let whole = client.post("/v1/models?name=digits", MODEL);
    assert_eq!(whole.json()["digest"], done.json()["digest"]);
    assert_eq!(client.get(&format!("/v1/uploads/{id}")).status, 404);
}
