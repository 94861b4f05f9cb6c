//! Broken: files of a deployment that speak of flags, settings, ports or paths that the program has not got.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use crate::clients::python_with;
use crate::support::{Service, vinfer};

/// A command that a file under `deploy/` runs.
#[derive(Debug, Deserialize)]
struct Deployed {
    file: String,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    ports: BTreeMap<String, u16>,
    probes: BTreeMap<String, (String, u16)>,
    mounts: Vec<String>,
}

fn deployed() -> Option<Vec<Deployed>> {
    let python = python_with("kubernetes_validate, yaml", "kubernetes-validate")?;
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/service/deploy_files.py"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy"))
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

fn port(checked: &Value, name: &str) -> u16 {
    let address = checked[name].as_str().expect("an address");
    address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
}

#[test]
fn what_is_deployed_is_what_the_program_takes() {
    let Some(all) = deployed() else { return };
    let service = Service::start(&[]);
    let settings = vinfer().args(["serve", "--check", "--data", "unused"]).output().expect("serve --check");
    let settings = String::from_utf8(settings.stdout).expect("text");
    let mut seen = BTreeMap::<&str, u32>::new();
    for Deployed { file, args, env, ports, probes, mounts } in &all {
        for name in env.keys() {
            let setting = name.strip_prefix("VINFER_").map(str::to_lowercase);
            let known = setting.is_some_and(|setting| settings.contains(&format!("\n  {setting} ")));
            assert!(known, "{file}: {name} is no setting");
        }
        for (name, (path, number)) in probes {
            assert!(ports.values().any(|port| port == number), "{file}: {name}");
            assert_eq!(service.stranger().get(path).status, 200, "{file}: {name} {path}");
        }
        *seen.entry(args[0].as_str()).or_default() += 1;
        match args[0].as_str() {
            "serve" | "worker" => {
                let output = vinfer().args(["--json"]).args(args).arg("--check").envs(env).output().expect("vinfer");
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(output.status.success(), "{file}: {args:?}: {text}");
                let data = args.iter().position(|arg| arg == "--data").and_then(|at| args.get(at + 1)).expect("--data");
                assert!(mounts.contains(data), "{file}: {data} is no volume");
                let checked: Value = serde_json::from_slice(&output.stdout).expect("JSON");
                let listening =
                    if args[0] == "serve" { vec![port(&checked, "http"), port(&checked, "grpc")] } else { vec![] };
                assert!(ports.values().all(|port| listening.contains(port)), "{file}: {ports:?} {listening:?}");
                if let Some(key) = env.get("VINFER_LOG_KEY") {
                    assert!(mounts.iter().any(|mount| key.starts_with(&format!("{mount}/"))), "{file}: {key}");
                }
            }
            // The health check of the image: 0 where the service is ready, 1 where there is none.
            "remote" => {
                let url = args.iter().position(|arg| arg == "--url").and_then(|at| args.get(at + 1)).expect("--url");
                assert!(ports.values().any(|port| url.ends_with(&format!(":{port}"))), "{file}: {url}");
                let code = |url: &str| {
                    let args = args.iter().map(|arg| if arg.starts_with("http://") { url } else { arg.as_str() });
                    vinfer().args(args).output().expect("vinfer").status.code()
                };
                assert_eq!(code(&format!("http://{}", service.http())), Some(0), "{file}");
                assert_eq!(code("http://127.0.0.1:9"), Some(1), "{file}");
            }
            other => panic!("{file}: {other}"),
        }
    }
    assert!(seen["serve"] >= 4 && seen["worker"] >= 4 && seen["remote"] == 1, "{seen:?}");
}
