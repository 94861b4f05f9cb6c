//! Models: uploading in pieces that go on where they stopped, waiting until one is ready.

use std::path::Path;
use std::time::{Duration, Instant};

use http::Method;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use vinfer_protocol::Digest;

use crate::error::ClientError;
use crate::transport::{Call, Client, Repeat, escaped};

/// Longest piece sent, whatever the server would take.
const PIECE: u64 = 8 << 20;

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Name in the graph.
    pub name: String,
    /// Element type in the Open Inference Protocol.
    pub datatype: String,
    /// Shape.
    pub shape: Vec<u64>,
}

/// A model as the server tells of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Digest of its file.
    pub digest: Digest,
    /// Bytes of its file.
    pub bytes: u64,
    /// `uploaded`, `compiling`, `ready`, `failed` or `disabled`.
    pub state: String,
    /// Why it cannot be compiled.
    pub failure: Option<String>,
    /// Digest of its verifying key, once it is ready.
    pub vk_digest: Option<Digest>,
    /// Inputs, once it is ready.
    pub inputs: Option<Vec<Port>>,
    /// Outputs, once it is ready.
    pub outputs: Option<Vec<Port>>,
}

#[derive(Deserialize)]
struct List {
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Upload {
    id: String,
    offset: u64,
    max_piece_bytes: u64,
}

impl Client {
    /// The caller's models.
    ///
    /// # Errors
    /// The server refuses or does not answer.
    pub async fn models(&self) -> Result<Vec<Model>, ClientError> {
        Ok(self.send(&Call::get("/v1/models")).await?.json::<List>()?.models)
    }

    /// One model.
    ///
    /// # Errors
    /// There is none.
    pub async fn model(&self, name: &str) -> Result<Model, ClientError> {
        self.send(&Call::get(format!("/v1/models/{}", escaped(name)))).await?.json()
    }

    /// Uploads a file in pieces. A piece that got lost is sent again from where the server is.
    ///
    /// # Errors
    /// The file cannot be read, or the server refuses.
    pub async fn upload(&self, name: &str, path: &Path) -> Result<Model, ClientError> {
        let failed = |source| ClientError::File { path: path.to_owned(), source };
        let mut file = tokio::fs::File::open(path).await.map_err(failed)?;
        let length = file.metadata().await.map_err(failed)?.len();
        let mut upload: Upload = self.send(&Call::post("/v1/uploads", "")?).await?.json()?;
        let mut failures = 0;
        while upload.offset < length {
            let most = upload.max_piece_bytes.clamp(1, PIECE).min(length - upload.offset);
            let mut piece = Vec::new();
            file.seek(std::io::SeekFrom::Start(upload.offset)).await.map_err(failed)?;
            (&mut file).take(most).read_to_end(&mut piece).await.map_err(failed)?;
            if piece.len() as u64 != most {
                return Err(failed(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "it became shorter")));
            }
            let call = Call {
                method: Method::PATCH,
                path: format!("/v1/uploads/{}?offset={}", escaped(&upload.id), upload.offset),
                headers: Vec::new(),
                body: piece.into(),
                repeat: Repeat::Never,
            };
            match self.send(&call).await {
                Ok(answer) => {
                    let next: Upload = answer.json()?;
                    if next.offset <= upload.offset || next.offset > length {
                        return Err(answer.wrong(format!("it is at offset {}", next.offset)));
                    }
                    (upload, failures) = (next, 0);
                }
                Err(error) => {
                    let passes = match &error {
                        ClientError::Unreachable { .. } | ClientError::Silent { .. } => true,
                        // Another offset than ours: an answer was lost.
                        ClientError::Refused(refusal) => matches!(refusal.status, 409 | 502..=504),
                        _ => false,
                    };
                    failures += 1;
                    if !passes || failures > 5 {
                        return Err(error);
                    }
                    tokio::time::sleep(self.pause(failures, None)).await;
                    upload = self.send(&Call::get(format!("/v1/uploads/{}", escaped(&upload.id)))).await?.json()?;
                }
            }
        }
        let path = format!("/v1/uploads/{}/complete?name={}", escaped(&upload.id), escaped(name));
        self.send(&Call::post(path, "")?).await?.json()
    }

    /// Waits until a model can be run.
    ///
    /// # Errors
    /// It cannot be compiled, or that takes longer than `patience`.
    pub async fn wait_ready(&self, name: &str, patience: Duration) -> Result<Model, ClientError> {
        let (start, mut pause) = (Instant::now(), Duration::from_millis(50));
        loop {
            let model = self.model(name).await?;
            match model.state.as_str() {
                "ready" => return Ok(model),
                "failed" => {
                    let reason = model.failure.unwrap_or_default();
                    return Err(ClientError::Model { name: name.to_owned(), reason });
                }
                "disabled" => {
                    let reason = "it was taken out of service".to_owned();
                    return Err(ClientError::Model { name: name.to_owned(), reason });
                }
                _ if start.elapsed() >= patience => {
                    return Err(ClientError::Unfinished { what: format!("the model `{name}`"), after: patience });
                }
                _ => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// A model's verifying key as the server gives it. It shows something only where its digest is known from elsewhere.
    ///
    /// # Errors
    /// The model is not ready.
    pub async fn verifying_key(&self, name: &str) -> Result<Vec<u8>, ClientError> {
        Ok(self.send(&Call::get(format!("/v1/models/{}/vk", escaped(name)))).await?.body.to_vec())
    }
}
