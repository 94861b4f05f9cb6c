//! Nothing is broken: how the page is handed out, without a browser.

use crate::support::Service;

#[test]
fn the_page_is_part_of_the_program_and_runs_nothing_else() {
    let service = Service::start(&[]);
    let stranger = service.stranger();
    let page = stranger.get("/");
    assert_eq!((page.status, page.field("content-type")), (200, Some("text/html; charset=utf-8")));
    for own in ["style.css", "main.js", "icon.svg"] {
        let file = stranger.get(&format!("/page/{own}"));
        assert_eq!(file.status, 200, "{own}");
        assert!(page.text().contains(&format!("/page/{own}")), "{own}");
        for answer in [&page, &file] {
            let policy = answer.field("content-security-policy").expect("a policy");
            for rule in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
                assert!(policy.contains(rule), "{policy}");
            }
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
            assert_eq!(answer.field("referrer-policy"), Some("no-referrer"));
            assert_eq!(answer.field("x-frame-options"), Some("DENY"));
        }
    }
    // Only addresses of its own.
    for part in page.text().split(['"', '\'', ' ']) {
        assert!(!part.starts_with("http") && !part.starts_with("//"), "{part}");
    }
    assert_eq!(stranger.get("/page/absent.js").status, 404);
    assert_eq!(stranger.get("/page/..%2F..%2Fkeys").status, 404);
}

#[test]
fn what_a_browser_has_is_not_sent_again() {
    let service = Service::start(&[]);
    let stranger = service.stranger();
    let script = stranger.get("/page/main.js");
    let tag = script.field("etag").expect("a tag").to_owned();
    let again = stranger.send("GET", "/page/main.js", &[("if-none-match", &tag)], &[]).expect("an answer");
    assert_eq!((again.status, again.body.len()), (304, 0));
    let other = stranger.send("GET", "/page/main.js", &[("if-none-match", "\"old\"")], &[]).expect("an answer");
    assert_eq!((other.status, other.body), (200, script.body));
}

#[test]
fn no_script_makes_markup_of_data() {
    let service = Service::start(&[]);
    let stranger = service.stranger();
    let mut left = vec!["main.js".to_owned()];
    let mut seen = Vec::new();
    while let Some(name) = left.pop() {
        let script = stranger.get(&format!("/page/{name}"));
        assert_eq!(script.status, 200, "{name}");
        let text = script.text();
        for forbidden in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "localStorage"]
        {
            assert!(!text.contains(forbidden), "{name}: {forbidden}");
        }
        seen.push(name);
        for import in text.split("from \"/page/").skip(1) {
            let import = import.split('"').next().expect("a name").to_owned();
            if !seen.contains(&import) && !left.contains(&import) {
                left.push(import);
            }
        }
    }
    assert!(seen.len() >= 15, "{seen:?}");
}
