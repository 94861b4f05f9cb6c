//! `inference.GRPCInferenceService`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prost::Message;
use tonic::{Request, Response, Status};

use super::convert;
use super::oip;
use super::once::{fingerprint, once};
use super::refuse::caller;
use crate::app::App;
use crate::auth::{Caller, Scope};
use crate::error::ServiceError;
use crate::http::{VERSION, check_version, parameters};
use crate::models::{ModelState, PortInfo, Shelf};

/// The service.
pub(super) struct Inference(pub(super) Arc<App>);

impl Inference {
    async fn infer(
        &self,
        caller: &Caller,
        request: &oip::ModelInferRequest,
    ) -> Result<oip::ModelInferResponse, ServiceError> {
        check_version(&request.model_version)?;
        let (model, runner) = self.0.inference.model(caller, &request.model_name).await?;
        let inputs = convert::inputs(request, runner.inputs())?;
        let unknown = |name: &str| ServiceError::invalid(format!("the model has no output `{name}`"));
        for output in &request.outputs {
            if runner.outputs().iter().all(|port| port.name != output.name) {
                return Err(unknown(&output.name));
            }
        }
        let wishes = convert::wishes(&request.parameters)?;
        let answer = self.0.inference.infer(caller, model, runner, inputs, wishes).await?;
        let wanted =
            |name: &str| request.outputs.is_empty() || request.outputs.iter().any(|output| output.name == name);
        // Clients that send raw tensors read raw tensors.
        let raw = !request.raw_input_contents.is_empty();
        let (mut outputs, mut raw_output_contents) = (Vec::new(), Vec::new());
        for tensor in answer.outputs.iter().filter(|tensor| wanted(&tensor.name)) {
            let mut output = convert::output(tensor);
            if raw {
                raw_output_contents.push(tensor.elements.to_le_bytes(tensor.data_type));
            } else {
                output.contents = Some(convert::contents(tensor));
            }
            outputs.push(output);
        }
        let parameters = parameters(&answer).into_iter().map(|(name, value)| {
            let value = convert::text_parameter(value.as_str().unwrap_or_default());
            (name, value)
        });
        Ok(oip::ModelInferResponse {
            model_name: answer.model.name.clone(),
            model_version: VERSION.to_owned(),
            id: request.id.clone(),
            parameters: parameters.collect::<HashMap<_, _>>(),
            outputs,
            raw_output_contents,
        })
    }
}

fn tensor_metadata(port: &PortInfo) -> oip::model_metadata_response::TensorMetadata {
    oip::model_metadata_response::TensorMetadata {
        name: port.name.clone(),
        datatype: port.datatype.clone(),
        shape: convert::shape(&port.shape),
    }
}

#[tonic::async_trait]
impl oip::grpc_inference_service_server::GrpcInferenceService for Inference {
    async fn server_live(
        &self,
        _: Request<oip::ServerLiveRequest>,
    ) -> Result<Response<oip::ServerLiveResponse>, Status> {
        Ok(Response::new(oip::ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<oip::ServerReadyRequest>,
    ) -> Result<Response<oip::ServerReadyResponse>, Status> {
        let ready = !self.0.draining.load(Ordering::SeqCst) && self.0.desk.store().records.get("health").await.is_ok();
        Ok(Response::new(oip::ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<oip::ModelReadyRequest>,
    ) -> Result<Response<oip::ModelReadyResponse>, Status> {
        let caller = caller(&self.0, &request).await?;
        check_version(&request.get_ref().version)?;
        let model = self.0.shelf.find(&caller.tenant, &request.get_ref().name).await?;
        Ok(Response::new(oip::ModelReadyResponse { ready: model.state == ModelState::Ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<oip::ServerMetadataRequest>,
    ) -> Result<Response<oip::ServerMetadataResponse>, Status> {
        Ok(Response::new(oip::ServerMetadataResponse {
            name: "vinfer".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: Vec::new(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<oip::ModelMetadataRequest>,
    ) -> Result<Response<oip::ModelMetadataResponse>, Status> {
        let caller = caller(&self.0, &request).await?;
        check_version(&request.get_ref().version)?;
        let model = self.0.shelf.find(&caller.tenant, &request.get_ref().name).await?;
        let ready = Shelf::ready(&model)?;
        Ok(Response::new(oip::ModelMetadataResponse {
            name: model.name.clone(),
            versions: vec![VERSION.to_owned()],
            platform: "vinfer".to_owned(),
            inputs: ready.inputs.iter().map(tensor_metadata).collect(),
            outputs: ready.outputs.iter().map(tensor_metadata).collect(),
        }))
    }

    async fn model_infer(
        &self,
        request: Request<oip::ModelInferRequest>,
    ) -> Result<Response<oip::ModelInferResponse>, Status> {
        let caller = caller(&self.0, &request).await?;
        caller.demand(Scope::Infer)?;
        let (metadata, _, message) = request.into_parts();
        // Maps have no order in protobuf, so the parameters are hashed in one.
        let mut parameters: Vec<_> = message.parameters.iter().collect();
        parameters.sort_by_key(|(name, _)| name.as_str());
        let plain = oip::ModelInferRequest { parameters: HashMap::new(), ..message.clone() };
        let parts = [plain.encode_to_vec(), format!("{parameters:?}").into_bytes()];
        let digest = fingerprint("ModelInfer", &[&parts[0], &parts[1]]);
        once(&self.0, &caller, &metadata, digest, self.infer(&caller, &message)).await
    }
}
