//! Broken: the process, by `kill -9` at any moment under load. Every accepted job ends exactly once with a proof that
//! verifies; nothing acknowledged is lost.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::support::{MODEL, Service, request, wait};

#[test]
fn killed_under_load_it_loses_nothing() {
    kill_loop(5);
}

/// Many kills: `cargo test --release -p vinfer --test service -- --ignored kill`, with `VINFER_KILLS=1000`.
#[test]
#[ignore = "takes about a second per kill"]
fn kill_many_times() {
    kill_loop(std::env::var("VINFER_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(100));
}

fn kill_loop(kills: u64) {
    let mut service = Service::start(&["--set", "rate=100000", "--set", "burst=100000"]);
    let key = service.key("acme", "admin,infer");
    let client = service.client(&key);
    assert_eq!(client.post("/v1/models?name=digits", MODEL).status, 201);
    client.wait_ready("digits");
    // Statement to job id, of everything that was acknowledged.
    let accepted: Mutex<BTreeMap<String, String>> = Mutex::default();
    let mut seed = 0u64;
    let mut noise = 0x9e37_79b9_u64;
    for _ in 0..kills {
        let (running, client) = (AtomicBool::new(true), service.client(&key));
        std::thread::scope(|scope| {
            let (running, accepted, client) = (&running, &accepted, &client);
            let first = seed;
            let threads: Vec<_> = (0..2u64)
                .map(|thread| {
                    scope.spawn(move || {
                        let mut seed = first + thread;
                        while running.load(Ordering::SeqCst) {
                            let body = request(seed, json!({})).to_string();
                            let answer = client.send("POST", "/v2/models/digits/infer", &[], body.as_bytes());
                            if let Ok(answer) = answer
                                && answer.status == 200
                                && let Ok(answer) = serde_json::from_slice::<serde_json::Value>(&answer.body)
                            {
                                let told = |name: &str| answer["parameters"][name].as_str().expect("text").to_owned();
                                let (statement, id) = (told("statement"), told("proof_job_id"));
                                let before = accepted.lock().expect("no panic").insert(statement, id.clone());
                                assert!(before.is_none_or(|before| before == id), "one job per statement");
                            }
                            seed += 2;
                        }
                        seed
                    })
                })
                .collect();
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            std::thread::sleep(Duration::from_millis(150 + (noise >> 33) % 400));
            service.kill();
            running.store(false, Ordering::SeqCst);
            // Inputs are distinct for 2^16 seeds.
            seed = threads.into_iter().map(|thread| thread.join().expect("no panic")).max().unwrap_or(0) % 60_000;
        });
        service.run();
    }
    let client = service.client(&key);
    let accepted = accepted.into_inner().expect("no panic");
    assert!(accepted.len() as u64 > kills / 2, "there was load: {}", accepted.len());
    wait("everything is proven", || {
        let usage = client.get("/v1/usage").json();
        (usage["queued"] == 0 && usage["proving"] == 0).then_some(())
    });
    for (at, (statement, id)) in accepted.iter().enumerate() {
        let job = client.wait_job(id);
        assert_eq!((&job["state"], &job["statement"]), (&json!("done"), &json!(statement)), "{job}");
        // Downloading and verifying all of them would be the longest part.
        if at % 8 == 0 {
            client.check_proof(statement);
        }
    }
    eprintln!("{kills} kills, {} acknowledged jobs, all proven", accepted.len());
}
