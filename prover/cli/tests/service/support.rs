//! A running service, a client of its HTTP, and the digits model.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use vinfer_verifier::{Expected, Verified};

/// The digits CNN.
pub(crate) const MODEL: &[u8] = include_bytes!("../../assets/digits_cnn/model.onnx");
/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test.
pub(crate) fn vinfer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vinfer"));
    command.env("RUST_LOG", "warn");
    command
}

/// A data directory, and a process that serves it.
pub(crate) struct Service {
    directory: TempDir,
    flags: Vec<String>,
    process: Option<Process>,
}

struct Process {
    child: Child,
    http: SocketAddr,
    grpc: SocketAddr,
}

impl Service {
    /// A directory that nothing serves yet.
    pub(crate) fn stopped(flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Self { directory, flags, process: None }
    }

    /// A running service with more flags.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let mut service = Self::stopped(flags);
        service.run();
        service
    }

    pub(crate) fn data(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the process.
    pub(crate) fn run(&mut self) {
        self.run_at("127.0.0.1:0");
    }

    /// Starts the process with other flags, where it listened before.
    pub(crate) fn run_again(&mut self, at: SocketAddr, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        self.run_at(&at.to_string());
    }

    fn run_at(&mut self, http: &str) {
        let mut child = vinfer()
            .args(["--json", "serve", "--http", http, "--grpc", "127.0.0.1:0", "--data"])
            .arg(self.data())
            .args(&self.flags)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the service starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
        let listening: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("it listens: {line:?}"));
        let address = |name: &str| listening[name].as_str().and_then(|text| text.parse().ok()).expect("address");
        self.process = Some(Process { http: address("http"), grpc: address("grpc"), child });
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("the service runs")
    }

    /// Address of HTTP.
    pub(crate) fn http(&self) -> SocketAddr {
        self.process().http
    }

    /// A client that sends what it is told, with no key of its own.
    pub(crate) fn at(address: SocketAddr) -> Client {
        Client { address, key: None }
    }

    /// Address of gRPC.
    pub(crate) fn grpc(&self) -> SocketAddr {
        self.process().grpc
    }

    /// Ends the process as a power failure does.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("the service runs");
        process.child.kill().expect("kill");
        process.child.wait().expect("wait");
    }

    /// Asks the process to end.
    pub(crate) fn terminate(&self) {
        let pid = Pid::from_raw(self.process().child.id().cast_signed());
        kill(pid, Signal::SIGTERM).expect("SIGTERM");
    }

    /// Waits for the process to end by itself; whether it ended well.
    pub(crate) fn wait(&mut self) -> bool {
        self.process.take().expect("the service runs").child.wait().expect("wait").success()
    }

    /// Makes a key.
    pub(crate) fn key(&self, tenant: &str, scope: &str) -> String {
        let output = vinfer()
            .args(["keys", "create", "--tenant", tenant, "--scope", scope, "--data"])
            .arg(self.data())
            .output()
            .expect("keys create");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// Runs a command of `vinfer keys` but `create`.
    pub(crate) fn keys(&self, command: &str, more: &[&str]) -> String {
        let output = vinfer().args(["keys", command, "--data"]).arg(self.data()).args(more).output().expect("keys");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// A client with a key.
    pub(crate) fn client(&self, key: &str) -> Client {
        Client { address: self.process().http, key: Some(key.to_owned()) }
    }

    /// A client without one.
    pub(crate) fn stranger(&self) -> Client {
        Client { address: self.process().http, key: None }
    }

    /// A client of a new tenant with every scope, and the digits model ready.
    pub(crate) fn with_model(&self, tenant: &str) -> Client {
        let client = self.client(&self.key(tenant, "admin,infer"));
        let uploaded = client.post("/v1/models?name=digits", MODEL);
        assert_eq!(uploaded.status, 201, "{}", uploaded.text());
        client.wait_ready("digits");
        client
    }

    /// A file in the data directory.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.data().join(name);
        std::fs::write(&path, bytes).expect("write");
        path
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("JSON: {}", self.text()))
    }

    /// A header field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// An HTTP client with one connection per request.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    key: Option<String>,
}

impl Client {
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], &[]).expect("an answer")
    }

    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.send("POST", path, &[], body).expect("an answer")
    }

    /// One request; an error where the service does not answer.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
        if let Some(key) = &self.key {
            head += &format!("authorization: Bearer {key}\r\n");
        }
        for (name, value) in fields {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes())?;
        // A refused body is answered before it is read.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else {
            read?;
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        };
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a status");
        let raw = answer.split_off(end + 4);
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { unchunk(&raw) } else { raw };
        Ok(Answer { status, head, body })
    }

    pub(crate) fn wait_ready(&self, model: &str) {
        let state = self.wait_model(model);
        assert_eq!(state["state"], "ready", "{state}");
    }

    /// Waits until a model is compiled or refused.
    pub(crate) fn wait_model(&self, model: &str) -> Value {
        wait("the model is compiled", || {
            let state = self.get(&format!("/v1/models/{model}")).json();
            matches!(state["state"].as_str(), Some("ready" | "failed")).then_some(state)
        })
    }

    pub(crate) fn infer(&self, seed: u64, parameters: Value) -> Answer {
        self.post("/v2/models/digits/infer", request(seed, parameters).to_string().as_bytes())
    }

    /// Orders a proof; the job's id.
    pub(crate) fn order(&self, seed: u64) -> String {
        let answer = self.infer(seed, json!({}));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["parameters"]["proof_job_id"].as_str().expect("a job").to_owned()
    }

    /// Waits until a job is final.
    pub(crate) fn wait_job(&self, id: &str) -> Value {
        wait("the job ends", || {
            let job = self.get(&format!("/v1/jobs/{id}")).json();
            matches!(job["state"].as_str(), Some("done" | "failed" | "cancelled")).then_some(job)
        })
    }

    /// Demands a proof of the statement that the model's key accepts.
    pub(crate) fn check_proof(&self, statement: &str) -> Verified {
        let vk = self.get("/v1/models/digits/vk");
        let proof = self.get(&format!("/v1/proofs/{statement}"));
        assert_eq!((vk.status, proof.status), (200, 200), "{}", proof.text());
        let verified = vinfer_verifier::verify(&vk.body, &proof.body, &Expected::default()).expect("accepted");
        assert_eq!(hex::encode(verified.statement), statement);
        verified
    }
}

/// An inference request with pixels that depend on the seed.
pub(crate) fn request(seed: u64, parameters: Value) -> Value {
    let pixels: Vec<f64> = (0..64u64).map(|at| ((seed * 31 + at * 7) % 17) as f64 / 16.0).collect();
    let pixels: Vec<f64> = pixels.iter().enumerate().map(|(at, x)| if at < 16 { bit(seed, at) } else { *x }).collect();
    json!({
        "inputs": [{ "name": "x", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": pixels }],
        "parameters": parameters,
    })
}

/// The seed itself in the first pixels, so that every seed is another input.
fn bit(seed: u64, at: usize) -> f64 {
    if seed >> at & 1 == 1 { 1.0 } else { 0.0 }
}

/// Asks until there is an answer.
pub(crate) fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: waited in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn unchunk(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = raw.windows(2).position(|two| two == b"\r\n") {
        let length = std::str::from_utf8(&raw[..end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(length) = length.filter(|length| *length > 0 && end + 2 + length + 2 <= raw.len()) else { break };
        body.extend_from_slice(&raw[end + 2..end + 2 + length]);
        raw = &raw[end + 2 + length + 2..];
    }
    body
}
