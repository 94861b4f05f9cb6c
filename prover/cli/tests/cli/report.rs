//! `vinfer inspect --html`: the page's structure, its escaping, that it needs nothing but itself, and a real browser.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::onnx;
use crate::support::Lab;

fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/digits_cnn").join(name)
}

/// A model of the compiler's tests.
fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compiler/tests/models").join(name).join("model.onnx")
}

fn report(lab: &Lab, model: &Path, more: &[&str]) -> String {
    let model = model.to_str().expect("a path in UTF-8");
    lab.vinfer(&[&["inspect", model, "--html", "report.html"], more].concat()).exits(0);
    std::fs::read_to_string(lab.path("report.html")).expect("a page in UTF-8")
}

/// Values of an attribute, wherever it stands in a tag.
fn attributes<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    let marker = format!(" {name}=\"");
    page.split(marker.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[track_caller]
fn needs_nothing_but_itself(page: &str) {
    for forbidden in ["http://", "https://", "<link", "<img", "<iframe", "@import", "url(//", "import(", "fetch("] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(attributes(page, "src").is_empty());
    assert!(attributes(page, "href").iter().all(|href| href.starts_with('#')));
    assert!(page.contains("default-src 'none'"));
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script").count(), 1);
}

#[test]
fn the_page_tells_of_every_operation() {
    let lab = Lab::new();
    let page = report(&lab, &asset("model.onnx"), &["--measure"]);
    needs_nothing_but_itself(&page);
    let json = lab.vinfer(&["inspect", asset("model.onnx").to_str().expect("UTF-8"), "--json"]).exits(0).json();
    let operations = json["operations"].as_array().expect("operations");
    for (at, operation) in operations.iter().enumerate() {
        assert!(page.contains(&format!("<tr id=\"r{at}\"")), "row {at}");
        assert!(page.contains(operation["node"].as_str().expect("a name")));
    }
    assert_eq!(page.matches("<tr id=\"r").count(), operations.len());
    // Every operation and both ports are drawn; every edge joins nodes that are.
    assert_eq!(page.matches("class=\"node").count(), operations.len() + 2);
    assert!(page.matches("class=\"edge").count() > operations.len());
    for node in attributes(&page, "data-a").into_iter().chain(attributes(&page, "data-b")) {
        assert!(page.contains(&format!("id=\"n{node}\"")), "node {node}");
    }
    for part in ["Compiles and can be proven", "Padding", "predicted", "measured", "Scaled", "23.7 k", "LINE"] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn nothing_is_called_measured_that_was_not() {
    let lab = Lab::new();
    let page = report(&lab, &asset("model.onnx"), &[]);
    assert!(!page.contains(">measured<") && !page.contains(">Scaled<"));
    assert!(page.contains("Nothing here is measured"));
    let given = report(&lab, &asset("model.onnx"), &["--input", asset("inputs.npz").to_str().expect("UTF-8")]);
    assert!(given.contains(">measured<") && given.contains("sample 0 of the given file"));
}

/// Names that would break out of every context of a page.
const HOSTILE: &str = "</script><img onerror=alert(1) src=x>\"'&<svg/onload=alert(2)></style><!--";

#[test]
fn names_are_text_wherever_they_stand() {
    let lab = Lab::new();
    lab.write("hostile.onnx", &onnx::unsupported(HOSTILE));
    let page = report(&lab, &lab.path("hostile.onnx"), &[]);
    needs_nothing_but_itself(&page);
    assert!(!page.contains("<svg/") && !page.contains("<!--"));
    assert_eq!(page.matches("</style").count(), 1);
    assert!(page.contains("&lt;/script&gt;&lt;img onerror=alert(1)"));
    // The refused nodes are shown as such, with reason and remedy.
    assert!(page.contains("Does not compile") && page.contains("What to do"));
    assert!(page.contains("class=\"node bad\"") && page.contains("<tr class=\"bad\""));
}

#[test]
fn names_of_a_model_that_compiles_are_text_too() {
    let lab = Lab::new();
    let mut bytes = std::fs::read(asset("model.onnx")).expect("model");
    for (name, hostile) in [("MaxPool_8", "<img/src>"), ("Conv_4", "\"<b>'&")] {
        let at: Vec<usize> =
            bytes.windows(name.len()).enumerate().filter(|(_, w)| *w == name.as_bytes()).map(|(at, _)| at).collect();
        assert!(!at.is_empty() && name.len() == hostile.len(), "{name}");
        at.into_iter().for_each(|at| bytes[at..at + name.len()].copy_from_slice(hostile.as_bytes()));
    }
    lab.write("hostile.onnx", &bytes);
    let page = report(&lab, &lab.path("hostile.onnx"), &[]);
    needs_nothing_but_itself(&page);
    assert!(page.contains("&lt;img/src&gt;") && page.contains("&quot;&lt;b&gt;'&amp;") && !page.contains("<b>'"));
}

#[test]
fn an_old_report_survives_a_failure() {
    let lab = Lab::new();
    lab.write("report.html", b"old");
    lab.write("broken.onnx", b"no model");
    lab.vinfer(&["inspect", "broken.onnx", "--html", "report.html"]).refuses("broken.onnx");
    assert_eq!(std::fs::read(lab.path("report.html")).expect("read"), b"old");
    let good = asset("model.onnx");
    lab.vinfer(&["inspect", good.to_str().expect("UTF-8"), "--html", "no/such/report.html"]).refuses("report.html");
    assert_eq!(lab.files(), ["broken.onnx", "report.html"]);
}

/// A headless browser with a profile of its own, if there is one.
fn browser(lab: &Lab, arguments: &[&str]) -> Option<std::process::Output> {
    let profile = format!("--user-data-dir={}", lab.path("profile").display());
    let page = format!("file://{}", lab.path("report.html").display());
    let output = ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(|program| {
        let mut command = Command::new(program);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]);
        command.args(["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"]);
        command.arg(&profile).args(arguments).arg(&page).output().ok()
    });
    if output.is_none() {
        eprintln!("skipped: no chromium on this machine; install the package `chromium` to run this test");
    }
    output
}

#[test]
fn a_browser_runs_the_page() {
    let lab = Lab::new();
    lab.write("hostile.onnx", &onnx::unsupported(HOSTILE));
    for (path, rows) in [(model("cnn62k_int8"), 8), (lab.path("hostile.onnx"), 2)] {
        report(&lab, &path, &[]);
        let Some(output) = browser(&lab, &["--dump-dom"]) else { return };
        let dom = String::from_utf8_lossy(&output.stdout);
        let head = dom.split("<head>").next().unwrap_or_default();
        assert!(head.contains("class=\"ready\""), "{head}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(head.contains("data-errors=\"0\"") && head.contains(&format!("data-rows=\"{rows}\"")), "{head}");
        assert!(!dom.contains("<img"), "a name became an element");
        let shot = format!("--screenshot={}", lab.path("report.png").display());
        let taken = browser(&lab, &["--window-size=1280,2000", &shot]);
        let png = std::fs::read(lab.path("report.png")).unwrap_or_default();
        assert!(png.starts_with(b"\x89PNG") && png.len() > 20_000, "{} bytes, {taken:?}", png.len());
        std::fs::remove_file(lab.path("report.png")).expect("remove");
    }
}
