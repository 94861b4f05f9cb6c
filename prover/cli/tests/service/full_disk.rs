//! Broken: the disk is full. New work is refused by name, nothing acknowledged is lost, and with space again all goes on.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::support::{Service, wait};

/// A small file system on a directory, if this machine lets us.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(&at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at));
        }
        eprintln!("skipped: this machine does not let us mount a small file system");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_is_told_and_survived() {
    let mut service = Service::stopped(&[]);
    let Some(_disk) = SmallDisk::mount(service.data().to_owned()) else { return };
    service.run();
    let client = service.with_model("acme");
    let kept: Vec<String> = (0..5).map(|seed| client.order(seed)).collect();
    kept.iter().for_each(|id| assert_eq!(client.wait_job(id)["state"], "done"));

    let filler = service.data().join("filler");
    let mut file = std::fs::File::create(&filler).expect("create");
    let block = vec![7u8; 1 << 16];
    while std::io::Write::write_all(&mut file, &block).is_ok() {}
    drop(file);
    let mut refused = 0;
    let mut accepted = Vec::new();
    for seed in 10..60 {
        let answer = client.infer(seed, json!({}));
        match answer.status {
            200 => {
                let id = answer.json()["parameters"]["proof_job_id"].as_str().expect("a job").to_owned();
                accepted.push(id);
            }
            503 | 507 => refused += 1,
            status => panic!("{status}: {}", answer.text()),
        }
    }
    assert!(refused > 0, "a full disk was not noticed");
    assert_eq!(client.infer(99, json!({ "proof": "none" })).status, 200);

    std::fs::remove_file(&filler).expect("remove");
    wait("work is taken again", || (client.infer(70, json!({})).status == 200).then_some(()));
    for id in kept.iter().chain(&accepted) {
        let job = client.wait_job(id);
        let typed = job["state"] == "done" || job["failure"]["cause"] == "storage";
        assert!(typed, "{job}");
    }
    assert_eq!(client.wait_job(&client.order(71))["state"], "done");
}
