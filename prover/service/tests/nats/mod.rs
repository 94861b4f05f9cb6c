//! A real NATS server with JetStream, for one test.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running server.
pub(crate) struct NatsServer {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
    binary: &'static str,
    user: Option<(&'static str, &'static str)>,
}

impl NatsServer {
    /// Starts one; `None` where there is no such program.
    pub(crate) fn start() -> Option<Self> {
        Self::start_for(None)
    }

    /// Starts one that knows one user, by name and password.
    pub(crate) fn start_for(user: Option<(&'static str, &'static str)>) -> Option<Self> {
        let found = |path: &&str| match path.contains('/') {
            true => Path::new(path).exists(),
            false => Command::new(path).arg("--version").output().is_ok(),
        };
        let Some(binary) = ["nats-server", "/usr/sbin/nats-server"].into_iter().find(|path| found(path)) else {
            eprintln!("skipped: there is no nats-server; `.ci/run` installs it");
            return None;
        };
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let directory = tempfile::tempdir().expect("temporary directory");
        let child = spawn(binary, free, directory.path(), user);
        let server = Self { child, address: free, directory, binary, user };
        server.wait();
        Some(server)
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        match self.user {
            Some((name, password)) => format!("nats://{name}:{password}@{}", self.address),
            None => format!("nats://{}", self.address),
        }
    }

    /// Kills it and starts it again on the same data.
    #[allow(dead_code, reason = "not every test breaks it")]
    pub(crate) fn restart(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
        self.child = spawn(self.binary, self.address, self.directory.path(), self.user);
        self.wait();
    }

    fn wait(&self) {
        let start = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "nats-server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn spawn(binary: &str, address: SocketAddr, data: &Path, user: Option<(&str, &str)>) -> Child {
    Command::new(binary)
        .args(["-a", &address.ip().to_string(), "-p", &address.port().to_string(), "-js", "-sd"])
        .arg(data)
        .args(user.map(|(name, password)| ["--user", name, "--pass", password]).into_iter().flatten())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server starts")
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
