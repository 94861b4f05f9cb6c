//! A server that lies: passes requests on to an honest one and changes the answers.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use crate::support::{Answer, Service};

/// What happens to an answer, by its request's path.
pub(crate) type Lie = Box<dyn Fn(&str, &mut Answer) + Send>;
/// Which path is asked for in place of the client's.
pub(crate) type Detour = Box<dyn Fn(&str) -> String + Send>;

struct Mind {
    honest: SocketAddr,
    lie: Lie,
    detour: Detour,
}

/// A running proxy.
pub(crate) struct Liar {
    address: SocketAddr,
    mind: Arc<Mutex<Mind>>,
}

impl Liar {
    /// In front of a service; honest at first.
    pub(crate) fn before(service: &Service) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let mind = Mind { honest: service.http(), lie: Box::new(|_, _| {}), detour: Box::new(str::to_owned) };
        let mind = Arc::new(Mutex::new(mind));
        let shared = Arc::clone(&mind);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mind = Arc::clone(&shared);
                std::thread::spawn(move || pass_on(stream, &mind));
            }
        });
        Self { address, mind }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers that the lie changes, from now on.
    pub(crate) fn tell(&self, lie: impl Fn(&str, &mut Answer) + Send + 'static) {
        let mut mind = self.mind.lock().unwrap_or_else(PoisonError::into_inner);
        mind.lie = Box::new(lie);
        mind.detour = Box::new(str::to_owned);
    }

    /// Asks for something else than the client does, from now on.
    pub(crate) fn take(&self, detour: impl Fn(&str) -> String + Send + 'static) {
        let mut mind = self.mind.lock().unwrap_or_else(PoisonError::into_inner);
        mind.lie = Box::new(|_, _| {});
        mind.detour = Box::new(detour);
    }
}

fn pass_on(mut stream: TcpStream, mind: &Mutex<Mind>) {
    let Some((method, path, fields, body)) = read(&mut stream) else { return };
    let (honest, asked) = {
        let mind = mind.lock().unwrap_or_else(PoisonError::into_inner);
        (mind.honest, (mind.detour)(&path))
    };
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let Ok(mut answer) = Service::at(honest).send(&method, &asked, &fields, &body) else { return };
    (mind.lock().unwrap_or_else(PoisonError::into_inner).lie)(&path, &mut answer);
    let mut head =
        format!("HTTP/1.1 {} Told\r\nconnection: close\r\ncontent-length: {}\r\n", answer.status, answer.body.len());
    for line in answer.head.lines().skip(1) {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if !matches!(name.as_str(), "connection" | "content-length" | "transfer-encoding") {
            head += &format!("{line}\r\n");
        }
    }
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(b"\r\n");
    let _ = stream.write_all(&answer.body);
}

type Request = (String, String, HashMap<String, String>, Vec<u8>);

fn read(stream: &mut TcpStream) -> Option<Request> {
    let (mut bytes, mut chunk) = (Vec::new(), [0u8; 4096]);
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        let n = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&chunk[..n]);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut words = head.lines().next()?.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut fields: HashMap<String, String> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = fields.remove("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    fields.remove("host");
    fields.remove("connection");
    let mut body = bytes.split_off(end);
    while body.len() < length {
        let n = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
        body.extend_from_slice(&chunk[..n]);
    }
    Some((method, path, fields, body))
}
