//! Broken: clients that are slow, silent or many. They are cut off in time and hinder nobody.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::Service;

#[test]
fn a_request_that_does_not_end_is_cut_off() {
    let service = Service::start(&["--set", "request_seconds=1"]);
    let client = service.with_model("acme");
    let key = service.key("acme", "infer");
    let mut slow = TcpStream::connect(service.http()).expect("connect");
    let head = format!(
        "POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 100\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).expect("write");
    slow.set_read_timeout(Some(Duration::from_secs(30))).expect("timeout");
    let start = Instant::now();
    assert_eq!(client.infer(1, json!({ "proof": "none" })).status, 200);
    let mut answer = [0u8; 12];
    slow.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 504");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn silent_connections_hinder_nobody() {
    let service = Service::start(&[]);
    let client = service.with_model("acme");
    let silent: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(service.http()).expect("connect")).collect();
    for seed in 0..20 {
        assert_eq!(client.infer(seed, json!({ "proof": "none" })).status, 200);
    }
    drop(silent);
}

#[test]
fn connections_beyond_the_limit_are_refused_and_those_before_are_served() {
    let service = Service::start(&["--set", "connections=8"]);
    let key = service.key("acme", "infer");
    let client = service.client(&key);
    let mut held: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(service.http()).expect("connect")).collect();
    std::thread::sleep(Duration::from_millis(200));
    assert!(client.send("GET", "/healthz", &[], &[]).is_err());
    let first = held.first_mut().expect("a connection");
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").expect("write");
    let mut answer = [0u8; 12];
    first.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    drop(held);
    crate::support::wait("places are free", || client.send("GET", "/healthz", &[], &[]).ok());
}

#[test]
fn a_slow_head_ends_a_connection_and_silence_between_requests_does_not() {
    let service = Service::start(&[]);
    let connect = || {
        let stream = TcpStream::connect(service.http()).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(40))).expect("timeout");
        stream
    };
    let ask = |stream: &mut TcpStream| {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").expect("write");
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut byte = [0u8];
            stream.read_exact(&mut byte).expect("an answer");
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    };
    let mut idle = connect();
    ask(&mut idle);
    let mut slow: Vec<TcpStream> = (0..3).map(|_| connect()).collect();
    // Nothing at all; a head that stops; a head that trickles, after a good request.
    slow[1].write_all(b"GET /healthz HT").expect("write");
    ask(&mut slow[2]);
    let start = Instant::now();
    let mut trickle = slow[2].try_clone().expect("a second handle");
    let trickling = std::thread::spawn(move || {
        for byte in b"GET /healthz HTTP/1.1\r\nhost: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".iter() {
            if trickle.write_all(&[*byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    for (at, stream) in slow.iter_mut().enumerate() {
        let mut rest = Vec::new();
        // Closed, or reset where bytes were still coming.
        let _ = stream.read_to_end(&mut rest);
        assert!(start.elapsed() < Duration::from_secs(30), "connection {at} was not ended");
    }
    assert!(start.elapsed() > Duration::from_secs(10));
    drop(slow);
    trickling.join().expect("no panic");
    std::thread::sleep(Duration::from_secs(20).saturating_sub(start.elapsed()));
    ask(&mut idle);
}
