//! Running a model: the Open Inference Protocol with binary tensors, so that every float arrives with its bits.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use vinfer_protocol::Digest;
use vinfer_protocol::tensors::{DataType, Elements, Tensor};

use crate::error::ClientError;
use crate::transport::{Answer, Call, Client, escaped};

/// Length of the JSON part of a body with binary tensors behind it.
const HEADER_LENGTH: &str = "inference-header-content-length";

/// When a proof is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProofMode {
    /// Never.
    #[default]
    None,
    /// After the answer.
    Async,
    /// Before the answer, if it does not take too long.
    Wait,
}

impl ProofMode {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Async => "async",
            Self::Wait => "wait",
        }
    }
}

/// What a request asks for beside its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wishes {
    /// When a proof is made.
    pub proof: ProofMode,
    /// 32 bytes that the statement carries.
    pub context: Digest,
    /// Larger is sooner, 0 to 9.
    pub priority: u8,
    /// The proof is of no use after so long.
    pub deadline: Option<Duration>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self { proof: ProofMode::None, context: Digest([0; 32]), priority: 5, deadline: None }
    }
}

/// What the server says came out; nothing of it is shown yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Inferred {
    /// Outputs.
    pub outputs: Vec<Tensor>,
    /// Digest of the statement that these inputs give these outputs.
    pub statement: Digest,
    /// The job that proves it.
    pub job: Option<String>,
}

#[derive(Deserialize)]
struct OutputTensor {
    name: String,
    shape: Vec<u64>,
    datatype: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    data: Option<Value>,
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    parameters: Map<String, Value>,
    outputs: Vec<OutputTensor>,
}

impl Client {
    /// Runs a model on one sample.
    ///
    /// # Errors
    /// The server refuses, or its answer is not one of the protocol.
    pub async fn infer(&self, model: &str, inputs: &[Tensor], wishes: &Wishes) -> Result<Inferred, ClientError> {
        let mut call = Call::post(format!("/v2/models/{}/infer", escaped(model)), "")?;
        let (body, header) = request(inputs, wishes);
        call.body = body.into();
        call.headers =
            vec![("content-type", "application/octet-stream".to_owned()), (HEADER_LENGTH, header.to_string())];
        response(&self.send(&call).await?)
    }
}

/// Body, and length of its JSON.
fn request(inputs: &[Tensor], wishes: &Wishes) -> (Vec<u8>, usize) {
    let mut tail = Vec::new();
    let inputs = inputs.iter().map(|tensor| {
        let bytes = tensor.elements.to_le_bytes(tensor.data_type);
        let (size, Tensor { name, shape, .. }) = (bytes.len(), tensor);
        tail.extend(bytes);
        let parameters = json!({ "binary_data_size": size });
        json!({ "name": name, "shape": shape, "datatype": tensor.data_type.name(), "parameters": parameters })
    });
    let inputs: Vec<Value> = inputs.collect();
    let mut parameters = json!({
        "binary_data_output": true,
        "proof": wishes.proof.name(),
        "context": wishes.context,
        "priority": wishes.priority,
    });
    if let (Some(deadline), Some(parameters)) = (wishes.deadline, parameters.as_object_mut()) {
        parameters.insert("deadline_ms".to_owned(), json!(deadline.as_millis() as u64));
    }
    let mut body = json!({ "inputs": inputs, "parameters": parameters }).to_string().into_bytes();
    let header = body.len();
    body.extend(tail);
    (body, header)
}

fn response(answer: &Answer) -> Result<Inferred, ClientError> {
    let length = match answer.headers.get(HEADER_LENGTH) {
        None => answer.body.len(),
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|text| text.parse::<usize>().ok())
            .filter(|length| *length <= answer.body.len())
            .ok_or_else(|| answer.wrong("the length of its JSON is beyond the body"))?,
    };
    let (header, mut tail) = answer.body.split_at(length);
    let header: Header = serde_json::from_slice(header).map_err(|error| answer.wrong(error.to_string()))?;
    let mut outputs = Vec::with_capacity(header.outputs.len().min(64));
    for output in header.outputs {
        outputs.push(tensor(answer, output, &mut tail)?);
    }
    let text = |name: &str| header.parameters.get(name).and_then(Value::as_str);
    let statement = text("statement").and_then(|text| text.parse().ok());
    let statement = statement.ok_or_else(|| answer.wrong("it names no statement"))?;
    Ok(Inferred { outputs, statement, job: text("proof_job_id").map(str::to_owned) })
}

fn tensor(answer: &Answer, output: OutputTensor, tail: &mut &[u8]) -> Result<Tensor, ClientError> {
    let OutputTensor { name, shape, datatype, parameters, data } = output;
    let data_type = DataType::from_name(&datatype).ok_or_else(|| answer.wrong("an output has an unknown type"))?;
    let elements = match (parameters.get("binary_data_size").and_then(Value::as_u64), data) {
        (Some(size), None) => {
            let size = usize::try_from(size).ok().filter(|size| *size <= tail.len());
            let (bytes, rest) = tail.split_at(size.ok_or_else(|| answer.wrong("an output is beyond the body"))?);
            *tail = rest;
            Elements::from_le_bytes(data_type, bytes)?
        }
        (None, Some(data)) => Elements::from_json(data_type, &data, answer.body.len())?,
        _ => return Err(answer.wrong("an output has no data")),
    };
    let count = shape.iter().try_fold(1u64, |count, &d| count.checked_mul(d));
    if count != Some(elements.len() as u64) {
        return Err(answer.wrong(format!("output `{}` does not have the elements of its shape", shown(&name))));
    }
    Ok(Tensor { name, data_type, shape, elements })
}

fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}
