//! Nothing is broken, then jobs fail: the overview says how many, why, and what to do where there is nothing yet.

use serde_json::json;

use super::Browser;
use crate::support::Service;

#[test]
fn the_overview_follows_what_happens() {
    let service = Service::start(&[]);
    let Some(mut browser) = Browser::open(&service) else { return };
    browser.sign_in(&service.key("acme", "admin,infer"));
    browser.sees("No model yet");
    browser.screenshot("overview-empty");
    let client = service.with_model("acme");
    browser.sees("No job yet");
    // No loading again: it is told while the page is open.
    let done: Vec<String> = (0..6).map(|seed| client.order(seed)).collect();
    done.iter().for_each(|id| assert_eq!(client.wait_job(id)["state"], "done"));
    let late = client.infer(9, json!({ "deadline_ms": 1 })).json();
    let late = late["parameters"]["proof_job_id"].as_str().expect("a job").to_owned();
    let ended = client.wait_job(&late)["state"].as_str().expect("a state").to_owned();
    let tile = |at: usize| format!("document.querySelectorAll('.tile')[{at}].querySelector('dd').innerText");
    let proofs = if ended == "done" { "7" } else { "6" };
    browser.wait(&format!("{} === '{proofs}'", tile(0)));
    browser.wait("document.querySelector('.bars rect.done')");
    if ended == "failed" {
        browser.wait(&format!("{} === '1'", tile(2)));
        browser.sees("The deadline passed first");
        browser.wait("document.querySelector('.bars rect.failed')");
    }
    browser.wait(&format!("document.querySelector('tbody a[href=\"#/jobs/{late}\"]')"));
    browser.screenshot("overview");
    // Numbers of all tenants are not for this key.
    assert_eq!(browser.run("document.querySelector('.choice')"), json!(null));
    browser.is_quiet();
}

#[test]
fn an_operator_sees_the_whole_service() {
    let service = Service::start(&[]);
    let Some(mut browser) = Browser::open(&service) else { return };
    let client = service.with_model("acme");
    client.wait_job(&client.order(1));
    browser.sign_in(&service.key("house", "operator"));
    browser.sees("This process");
    assert_eq!(browser.run("document.querySelector('.tile dd').innerText"), json!("1"));
    assert_eq!(browser.run("document.body.innerText.includes('acme')"), json!(false));
    browser.click("This tenant");
    browser.wait("document.querySelector('.tile dd').innerText === '0'");
    browser.screenshot("overview-operator");
    browser.is_quiet();
}
