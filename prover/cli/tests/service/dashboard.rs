//! Broken: the dashboard, when a number it shows is renamed. Every name and label in `deploy/grafana/vinfer.json` must be in a
//! real answer of `/metrics`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::Service;

const DASHBOARD: &str = include_str!("../../../../deploy/grafana/vinfer.json");

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Every `expr` of the panels.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    targets.map(|target| target["expr"].as_str().expect("an expression").to_owned()).collect()
}

#[test]
fn the_dashboard_shows_numbers_that_exist() {
    let service = Service::start(&["--set", "open_metrics=true"]);
    let client = service.with_model("acme");
    client.infer(1, json!({ "proof": "wait" }));
    let told = service.stranger().get("/metrics").text();
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let expressions = expressions(&dashboard);
    assert!(expressions.len() >= 15);
    let mut names = BTreeSet::new();
    for expression in &expressions {
        for (at, _) in expression.match_indices("vinfer_") {
            let name: String = expression[at..].chars().take_while(|character| is_name(*character)).collect();
            let braces = expression[at + name.len()..].strip_prefix('{').expect("labels");
            for label in braces.split('}').next().expect("labels").split(',') {
                let label = label.split(['=', '!']).next().expect("a label").trim();
                // Prometheus itself adds the instance.
                let known = label == "instance"
                    || told.lines().any(|line| line.starts_with(&name) && line.contains(&format!("{label}=\"")));
                assert!(known, "{name} has no label {label}");
            }
            names.insert(name);
        }
    }
    for name in &names {
        let is_there =
            told.lines().any(|line| line.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(['{', ' '])));
        assert!(is_there, "no {name} in {told}");
    }
    // And all that is told is shown.
    for line in told.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let family = line.split(' ').next().expect("a name");
        assert!(names.iter().any(|name| name.starts_with(family)), "{family} is on no panel");
    }
    let ids: BTreeSet<u64> =
        dashboard["panels"].as_array().expect("panels").iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), dashboard["panels"].as_array().expect("panels").len());
}
