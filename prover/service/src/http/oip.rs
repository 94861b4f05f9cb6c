//! The Open Inference Protocol, version 2, with its binary tensor extension.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use vinfer_circuits::system::PublicPort;

use super::answer::{Refusal, field, idempotency_key};
use super::body::{self, fingerprint};
use crate::app::App;
use crate::auth::{Caller, Scope};
use crate::error::ServiceError;
use crate::idempotency::Reply;
use crate::inference::{Answer as Inferred, Wishes};
use crate::models::{Model, ModelState, Shelf};
use crate::tensors::{self, Elements, Tensor};

type Answer = Result<Reply, Refusal>;

/// Length of the JSON part of a body with binary tensors behind it.
const HEADER_LENGTH: &str = "inference-header-content-length";
/// The one version that a model has.
pub(crate) const VERSION: &str = "1";

#[derive(Debug, Deserialize)]
struct InputTensor {
    name: String,
    shape: Vec<u64>,
    datatype: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    data: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct OutputTensor {
    name: String,
    #[serde(default)]
    parameters: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Header {
    id: Option<String>,
    model: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
    inputs: Vec<InputTensor>,
    #[serde(default)]
    outputs: Option<Vec<OutputTensor>>,
}

/// A parsed request.
#[derive(Debug)]
pub(crate) struct Request {
    header: Header,
    binary: Bytes,
}

impl Request {
    /// Parses a body; the first `header_length` bytes are JSON, the rest binary tensors.
    pub(crate) fn parse(body: &Bytes, header_length: Option<&str>) -> Result<Self, ServiceError> {
        let length = match header_length {
            None => body.len(),
            Some(text) => text.parse::<usize>().ok().filter(|length| *length <= body.len()).ok_or_else(|| {
                ServiceError::invalid("Inference-Header-Content-Length must be a number of bytes within the body")
            })?,
        };
        let mut json = body.clone();
        let binary = json.split_off(length);
        let header = serde_json::from_slice(&json)
            .map_err(|error| ServiceError::invalid(format!("the request is no inference request: {error}")))?;
        Ok(Self { header, binary })
    }

    /// The model named in the request itself.
    pub(super) fn model(&self) -> Option<&str> {
        self.header.model.as_deref()
    }

    /// The inputs, checked against the model's ports.
    pub(crate) fn tensors(&self, ports: &[PublicPort]) -> Result<Vec<Tensor>, ServiceError> {
        let mut binary = self.binary.clone();
        let mut tensors = Vec::with_capacity(self.header.inputs.len().min(64));
        for input in &self.header.inputs {
            let port = tensors::input_port(ports, &input.name, &input.datatype, &input.shape)?;
            let data_type = tensors::DataType::of(port);
            let size = input.parameters.get("binary_data_size");
            let elements = match (size, &input.data) {
                (Some(size), None) => {
                    let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
                    let size = size.filter(|size| *size <= binary.len()).ok_or_else(|| {
                        ServiceError::invalid(format!("input `{}`: binary_data_size is beyond the body", input.name))
                    })?;
                    Elements::from_le_bytes(data_type, &binary.split_to(size))?
                }
                (None, Some(data)) => {
                    let limit = usize::try_from(port.len()).unwrap_or(usize::MAX);
                    Elements::from_json(data_type, data, limit)?
                }
                _ => {
                    return Err(ServiceError::invalid(format!(
                        "input `{}` needs either \"data\" or the parameter binary_data_size",
                        input.name
                    )));
                }
            };
            tensors.push(Tensor { name: input.name.clone(), data_type, shape: input.shape.clone(), elements });
        }
        if binary.is_empty() {
            Ok(tensors)
        } else {
            Err(ServiceError::invalid("bytes are left behind the last tensor"))
        }
    }

    /// What the parameters ask for.
    pub(super) fn wishes(&self) -> Result<Wishes, ServiceError> {
        let mut wishes = Wishes::default();
        for (name, value) in &self.header.parameters {
            match value {
                Value::String(text) => wishes.set(name, text)?,
                other => wishes.set(name, &other.to_string())?,
            }
        }
        Ok(wishes)
    }

    /// The answer, with the outputs asked for in the form asked for.
    fn reply(&self, answer: &Inferred) -> Result<Reply, ServiceError> {
        let is_set = |parameters: &Map<String, Value>, name: &str| parameters.get(name) == Some(&Value::Bool(true));
        let all_binary = is_set(&self.header.parameters, "binary_data_output");
        let wanted: Vec<(&Tensor, bool)> = match &self.header.outputs {
            None => answer.outputs.iter().map(|tensor| (tensor, all_binary)).collect(),
            Some(outputs) => outputs
                .iter()
                .map(|output| {
                    let tensor = answer.outputs.iter().find(|tensor| tensor.name == output.name);
                    let binary = match output.parameters.get("binary_data") {
                        Some(value) => *value == Value::Bool(true),
                        None => all_binary,
                    };
                    tensor.map(|tensor| (tensor, binary)).ok_or_else(|| no_output(&output.name, &answer.outputs))
                })
                .collect::<Result<_, _>>()?,
        };
        let (mut outputs, mut tail, mut any_binary) = (Vec::new(), Vec::new(), false);
        for (tensor, binary) in wanted {
            let mut output = json!({ "name": tensor.name, "datatype": tensor.data_type.name(), "shape": tensor.shape });
            if binary {
                let bytes = tensor.elements.to_le_bytes(tensor.data_type);
                output["parameters"] = json!({ "binary_data_size": bytes.len() });
                tail.extend(bytes);
                any_binary = true;
            } else {
                output["data"] = tensor.elements.to_json(tensor.data_type);
            }
            outputs.push(output);
        }
        let mut body = json!({
            "model_name": answer.model.name,
            "model_version": VERSION,
            "parameters": parameters(answer),
            "outputs": outputs,
        });
        if let Some(id) = &self.header.id {
            body["id"] = Value::from(id.as_str());
        }
        let mut reply = Reply::json(200, &body);
        if any_binary {
            reply.headers = vec![
                ("content-type".to_owned(), "application/octet-stream".to_owned()),
                (HEADER_LENGTH.to_owned(), reply.body.len().to_string()),
            ];
            reply.body.extend(tail);
        }
        Ok(reply)
    }
}

fn no_output(name: &str, outputs: &[Tensor]) -> ServiceError {
    let names: Vec<&str> = outputs.iter().map(|tensor| tensor.name.as_str()).collect();
    let shown: String = name.chars().take(64).collect();
    ServiceError::invalid(format!("the model has no output `{shown}`; its outputs are {}", names.join(", ")))
}

/// What is told beside the outputs.
pub(crate) fn parameters(answer: &Inferred) -> Map<String, Value> {
    let mut parameters = Map::new();
    parameters.insert("statement".to_owned(), answer.statement.to_string().into());
    parameters.insert("model_digest".to_owned(), answer.model.digest.to_string().into());
    if let Some(job) = &answer.job {
        parameters.insert("proof_job_id".to_owned(), job.id.as_str().into());
        parameters.insert("proof_state".to_owned(), job.state().name().into());
    }
    parameters
}

/// The path's model and, in some routes, its version.
#[derive(Debug, Deserialize)]
pub(super) struct Target {
    name: String,
    version: Option<String>,
}

impl Target {
    fn check(&self) -> Result<(), ServiceError> {
        check_version(self.version.as_deref().unwrap_or_default())
    }
}

/// Models are immutable: there is one version, and asking for none is asking for it.
pub(crate) fn check_version(version: &str) -> Result<(), ServiceError> {
    if version.is_empty() || version == VERSION {
        return Ok(());
    }
    Err(ServiceError::not_found("models have one version, 1; another model has another name"))
}

pub(super) async fn server() -> Reply {
    let value = json!({
        "name": "vinfer",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data"],
    });
    Reply::json(200, &value)
}

/// The protocol's description of a model.
pub(crate) fn described(model: &Model) -> Result<Value, ServiceError> {
    let ready = Shelf::ready(model)?;
    Ok(json!({
        "name": model.name,
        "versions": [VERSION],
        "platform": "vinfer",
        "inputs": ready.inputs,
        "outputs": ready.outputs,
    }))
}

pub(super) async fn metadata(State(app): State<Arc<App>>, caller: Caller, Path(target): Path<Target>) -> Answer {
    target.check()?;
    let model = app.shelf.find(&caller.tenant, &target.name).await?;
    Ok(Reply::json(200, &described(&model)?))
}

pub(super) async fn model_ready(State(app): State<Arc<App>>, caller: Caller, Path(target): Path<Target>) -> Answer {
    target.check()?;
    let model = app.shelf.find(&caller.tenant, &target.name).await?;
    if model.state == ModelState::Ready {
        return Ok(Reply::json(200, &json!({ "ready": true })));
    }
    Ok(Reply::json(400, &json!({ "ready": false, "error": format!("the model is {}", model.state.name()) })))
}

pub(super) async fn infer(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(target): Path<Target>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    caller.demand(Scope::Infer)?;
    target.check()?;
    let body = body::read(body, app.config.limits.max_body).await?;
    let header_length = field(&headers, HEADER_LENGTH);
    let work = async {
        let request = Request::parse(&body, header_length)?;
        let (model, runner) = app.inference.model(&caller, &target.name).await?;
        let inputs = request.tensors(runner.inputs())?;
        if let Some(missing) = request
            .header
            .outputs
            .iter()
            .flatten()
            .find(|output| runner.outputs().iter().all(|port| port.name != output.name))
        {
            return Err(no_output(&missing.name, &[]));
        }
        let answer = app.inference.infer(&caller, model, runner, inputs, request.wishes()?).await?;
        request.reply(&answer)
    };
    let request = fingerprint(&format!("POST /v2/models/{}/infer {header_length:?}", target.name), &body);
    Ok(app.idempotency.once(&caller, idempotency_key(&headers), request, work).await?)
}
