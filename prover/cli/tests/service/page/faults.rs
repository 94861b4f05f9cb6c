//! Broken: the service under an open page, and addresses that lead nowhere. The page says so and goes on by itself.

use serde_json::json;

use super::Browser;
use crate::support::Service;

#[test]
fn a_service_that_went_away_is_told_and_found_again() {
    let mut service = Service::start(&[]);
    let Some(mut browser) = Browser::open(&service) else { return };
    browser.sign_in(&service.key("acme", "admin,infer"));
    browser.sees("No model yet");
    let address = service.http();
    service.kill();
    browser.sees("The service does not answer; trying again.");
    service.run_again(address, &[]);
    browser.wait("!document.querySelector('.lost')");
    browser.sees("No model yet");
    browser.is_quiet();
}

#[test]
fn wrong_addresses_say_what_is_wrong() {
    let service = Service::start(&[]);
    let Some(mut browser) = Browser::open(&service) else { return };
    browser.sign_in(&service.key("acme", "infer"));
    for (hash, text) in [
        ("#/nowhere", "There is nothing here"),
        ("#/jobs/00", "you have no job"),
        ("#/models/%3Cb%3E", "there is no model"),
        ("#/models/a%2Fb", "There is nothing here"),
        ("#/%", "There is nothing here"),
    ] {
        browser.visit(hash);
        browser.sees(text);
    }
    // What a name holds is text.
    assert_eq!(browser.run("document.querySelector('main b')"), json!(null));
    browser.is_quiet();
}
