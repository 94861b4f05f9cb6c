//! Nothing is broken: a model is run from the page, its proof is followed live until it is done, and the job says what was
//! proven.

use serde_json::json;

use super::Browser;
use crate::support::{Service, request};

#[test]
fn an_inference_is_proven_and_checked() {
    let service = Service::start(&[]);
    let Some(mut browser) = Browser::open(&service) else { return };
    let client = service.with_model("acme");
    let key = service.key("acme", "admin,infer");
    browser.sign_in(&key);
    browser.visit("#/models/digits");
    browser.click("Run and prove");
    browser.sees("This is no JSON");
    let file = service.file("request.json", request(7, json!({})).to_string().as_bytes());
    browser.drop_files(".drop", &[&file]);
    browser.wait("document.getElementById('request').value.includes('FP32')");
    browser.click("Run and prove");
    browser.sees("Answer");
    browser.click("Follow the proof");
    browser.wait("document.querySelector('.row .state.done')");
    browser.sees("Proven, and accepted by the verifier");
    assert_eq!(
        browser.run("[...document.querySelectorAll('.history li')].map((li) => li.dataset.event)"),
        json!(["1", "2", "3"])
    );

    let id = browser.run("location.hash.split('/').pop()");
    let id = id.as_str().expect("an identifier");
    let job = client.wait_job(id);
    let statement = job["statement"].as_str().expect("a statement");
    assert_eq!(
        browser.run("[...document.querySelectorAll('.digest code')].map((code) => code.title)[1]"),
        json!(statement)
    );
    browser.screenshot("job");

    browser.click("Check it and show what it says");
    assert_eq!(browser.text(".verdict h2"), "Valid");
    for text in ["FP32 1 × 10", "of your model", "Nothing is hidden", "103.4"] {
        browser.sees(text);
    }
    browser.screenshot("job-checked");
    browser.click("Download the proof");
    assert_eq!(browser.saved(&format!("{id}.proof")), client.get(&format!("/v1/proofs/{statement}")).body);
    browser.is_quiet();
}
