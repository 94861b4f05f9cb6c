//! Load on `vinfer serve` with the digits CNN: requests per second, latencies, jobs lost, memory.
//!
//! `service-load VINFER none 10` sends inferences without proofs for 10 seconds as fast as 16 connections go;
//! `service-load VINFER async 600 35` orders 35 proofs a second for 10 minutes.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

type Failure = Box<dyn Error + Send + Sync>;

/// Connections at the same time.
const CONNECTIONS: u64 = 16;

/// The service, ended with this program.
struct Service {
    child: Child,
    address: String,
    data: PathBuf,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

impl Service {
    fn start(binary: &str) -> Result<(Self, String), Failure> {
        let data = std::env::temp_dir().join(format!("vinfer-load-{}", std::process::id()));
        let at = data.to_string_lossy().into_owned();
        let key = Command::new(binary)
            .args(["keys", "create", "--tenant", "bench", "--scope", "admin,infer,operator", "--data", &at])
            .output()?;
        let key = String::from_utf8(key.stdout)?.trim().to_owned();
        let mut child = Command::new(binary)
            .args(["--json", "serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data", &at])
            .args(["--set", "rate=1000000", "--set", "burst=1000000", "--set", "max_active_per_tenant=100000"])
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let listening: Value = serde_json::from_str(&line)?;
        let address = listening["http"].as_str().ok_or("no address")?.to_owned();
        Ok((Self { child, address, data }, key))
    }
}

/// One kept connection.
struct Client {
    stream: BufReader<TcpStream>,
    key: String,
}

impl Client {
    fn connect(address: &str, key: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), key: key.to_owned() })
    }

    fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>), Failure> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
            self.key,
            body.len()
        );
        self.stream.get_mut().write_all(&[head.as_bytes(), body].concat())?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some(code) = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)) {
                status = code.parse()?;
            }
            if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = bytes.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        Ok((status, answer))
    }

    fn json(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Value, Failure> {
        let (status, answer) = self.send(method, path, body)?;
        if status >= 300 {
            return Err(format!("{method} {path}: {status} {}", String::from_utf8_lossy(&answer)).into());
        }
        Ok(serde_json::from_slice(&answer)?)
    }
}

/// A request whose pixels spell the number, so that every statement is another one.
fn request(number: u64, proof: &str) -> Vec<u8> {
    let pixel = |at: u64| if at < 32 { (number >> at & 1) as f64 } else { ((at * 7) % 17) as f64 / 16.0 };
    let pixels: Vec<f64> = (0..64).map(pixel).collect();
    let input = json!({ "name": "x", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": pixels });
    json!({ "inputs": [input], "parameters": { "proof": proof } }).to_string().into_bytes()
}

/// On a connection of its own: the service closes connections that are silent for long.
fn resident(address: &str, key: &str) -> Result<f64, Failure> {
    let (_, text) = Client::connect(address, key)?.send("GET", "/metrics", &[])?;
    let text = String::from_utf8(text)?;
    let line = text.lines().find_map(|line| line.strip_prefix("vinfer_process_resident_bytes "));
    Ok(line.ok_or("no memory in the metrics")?.trim().parse::<f64>()? / f64::from(1 << 20))
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [binary, proof, seconds, rest @ ..] = arguments.as_slice() else {
        return Err("usage: service-load VINFER none|async SECONDS [PER_SECOND]".into());
    };
    let duration = Duration::from_secs(seconds.parse()?);
    let pace: Option<f64> = rest.first().map(|text| text.parse()).transpose()?;
    let (service, key) = Service::start(binary)?;
    let model = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../prover/cli/assets/digits_cnn/model.onnx"))?;
    let mut admin = Client::connect(&service.address, &key)?;
    admin.json("POST", "/v1/models?name=digits", &model)?;
    while admin.json("GET", "/v1/models/digits", &[])?["state"] != "ready" {
        std::thread::sleep(Duration::from_millis(20));
    }

    let (latencies, refused) = (Mutex::new(Vec::new()), Mutex::new(0u64));
    let start = Instant::now();
    let mut memory = Vec::new();
    std::thread::scope(|scope| -> Result<(), Failure> {
        for connection in 0..CONNECTIONS {
            let (service, key, latencies, refused) = (&service, &key, &latencies, &refused);
            scope.spawn(move || -> Result<(), Failure> {
                let mut client = Client::connect(&service.address, key)?;
                for number in (connection..).step_by(CONNECTIONS as usize) {
                    if let Some(pace) = pace {
                        let due = Duration::from_secs_f64(number as f64 / pace);
                        std::thread::sleep(due.saturating_sub(start.elapsed()));
                    }
                    if start.elapsed() >= duration {
                        return Ok(());
                    }
                    let sent = Instant::now();
                    let (status, _) = client.send("POST", "/v2/models/digits/infer", &request(number, proof))?;
                    if status == 200 {
                        latencies.lock().map_err(|_| "a thread panicked")?.push(sent.elapsed());
                    } else {
                        *refused.lock().map_err(|_| "a thread panicked")? += 1;
                    }
                }
                Ok(())
            });
        }
        while start.elapsed() < duration {
            std::thread::sleep((duration / 10).min(Duration::from_secs(30)));
            memory.push(resident(&service.address, &key)?);
        }
        Ok(())
    })?;
    let elapsed = start.elapsed().as_secs_f64();
    let mut latencies = latencies.into_inner().map_err(|_| "a thread panicked")?;
    latencies.sort();
    let at = |part: f64| latencies.get((latencies.len() as f64 * part) as usize).map_or(0.0, |l| l.as_secs_f64() * 1e3);
    println!("answered {} in {elapsed:.1} s: {:.0} per second", latencies.len(), latencies.len() as f64 / elapsed);
    println!("latency p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms", at(0.5), at(0.99), at(0.999));
    println!("refused {}", refused.into_inner().map_err(|_| "a thread panicked")?);
    println!("resident MiB over time {memory:.0?}");
    if proof != "none" {
        let mut admin = Client::connect(&service.address, &key)?;
        let usage = loop {
            let usage = admin.json("GET", "/v1/usage", &[])?;
            if usage["queued"] == 0 && usage["proving"] == 0 {
                break usage;
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let (done, elapsed) = (usage["done"].as_u64().unwrap_or(0), start.elapsed().as_secs_f64());
        println!(
            "proven {done} in {elapsed:.1} s: {:.1} per second; failed {}",
            done as f64 / elapsed,
            usage["failed"]
        );
        println!("lost {}", latencies.len() as u64 - done);
    }
    Ok(())
}
