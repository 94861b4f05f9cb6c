//! The command line itself.

use crate::support::Lab;

const COMMANDS: [&str; 8] = ["demo", "inspect", "quantize", "compile", "setup", "run", "prove", "verify"];

#[test]
fn every_command_has_help() {
    let lab = Lab::new();
    let help = lab.vinfer(&["--help"]);
    help.exits(0);
    for command in COMMANDS {
        assert!(help.stdout().contains(command), "{command}");
        lab.vinfer(&[command, "--help"]).exits(0);
    }
    lab.vinfer(&["--version"]).exits(0);
}

#[test]
fn bad_usage_is_code_2() {
    let lab = Lab::new();
    for arguments in [
        &[][..],
        &["conjure"],
        &["run"],
        &["demo", "--threads", "0"],
        &["demo", "--threads", "many"],
        &["prove", "--pk", "pk", "--input", "in.npz", "-o", "proof", "--context", "00"],
        &["prove", "--pk", "pk", "--input", "in.npz", "-o", "proof", "--index", "0..2"],
        &["verify", "--vk", "vk", "--proof", "proof", "--index", "0"],
    ] {
        lab.vinfer(arguments).exits(2);
    }
}

#[test]
fn errors_are_json_too() {
    let lab = Lab::new();
    let usage = lab.vinfer(&["--json", "run"]);
    assert_eq!(usage.exits(2).json()["error"]["code"], "usage");
    let read = lab.vinfer(&["verify", "--vk", "vk", "--proof", "proof", "--json"]);
    let json = read.exits(2).json();
    assert_eq!((&json["valid"], &json["error"]["code"]), (&false.into(), &"read".into()));
    let context = lab.vinfer(&["verify", "--vk", "vk", "--proof", "proof", "--context", "zz", "--json"]);
    assert_eq!(context.exits(2).json()["valid"], false);
    let read = lab.vinfer(&["inspect", "absent.onnx", "--json"]);
    let json = read.exits(2).json();
    assert!(json.get("valid").is_none());
    assert!(json["error"]["message"].as_str().is_some_and(|m| m.contains("absent.onnx")));
}
