//! Broken: the connection to the service, while a job is watched. The page goes on by itself where it was.

use serde_json::json;

use super::Browser;
use crate::support::Service;

#[test]
fn a_job_is_followed_through_a_restart_of_the_service() {
    let mut service = Service::start(&["--set", "prove=false"]);
    let Some(mut browser) = Browser::open(&service) else { return };
    let id = service.with_model("acme").order(3);
    browser.sign_in(&service.key("acme", "infer"));
    browser.visit(&format!("#/jobs/{id}"));
    browser.sees("Waits for its turn");
    browser.screenshot("job-waiting");
    let address = service.http();
    service.kill();
    browser.sees("The connection is lost");
    service.run_again(address, &[]);
    browser.sees("Proven, and accepted by the verifier");
    // No event is missing, none is there twice.
    assert_eq!(
        browser.run("[...document.querySelectorAll('.history li')].map((li) => li.dataset.event)"),
        json!(["1", "2", "3"])
    );
    assert_eq!(browser.run("document.querySelector('.lost').hidden"), json!(true));
    browser.wait("document.querySelector('.row .state.done')");
    browser.is_quiet();
}

#[test]
fn a_waiting_job_is_cancelled() {
    let service = Service::start(&["--set", "prove=false"]);
    let Some(mut browser) = Browser::open(&service) else { return };
    let client = service.with_model("acme");
    let id = client.order(3);
    browser.sign_in(&service.key("acme", "infer"));
    browser.visit(&format!("#/jobs/{id}"));
    browser.click("Cancel");
    browser.wait("document.querySelector('.row .state.cancelled')");
    assert_eq!(client.wait_job(&id)["state"], "cancelled");
    browser.is_quiet();
}

#[test]
fn many_jobs_are_turned_over_like_pages() {
    let service = Service::start(&["--set", "prove=false"]);
    let Some(mut browser) = Browser::open(&service) else { return };
    let client = service.with_model("acme");
    let ids: Vec<String> = (0..60).map(|seed| client.order(seed)).collect();
    browser.sign_in(&service.key("acme", "infer"));
    browser.visit("#/jobs");
    let count = "document.querySelectorAll('tbody tr').length";
    browser.wait(&format!("{count} === 50"));
    browser.click("Older →");
    browser.wait(&format!("{count} === 10"));
    browser.wait(&format!("document.querySelector('a[href=\"#/jobs/{}\"]')", ids[0]));
    browser.click("← Newer");
    browser.wait(&format!("{count} === 50"));
    browser.is_quiet();
}
