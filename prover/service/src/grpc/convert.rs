//! Between the messages of the Open Inference Protocol and tensors.

use std::collections::HashMap;

use vinfer_circuits::system::PublicPort;

use super::oip::infer_parameter::ParameterChoice;
use super::oip::model_infer_request::InferInputTensor;
use super::oip::model_infer_response::InferOutputTensor;
use super::oip::{InferParameter, InferTensorContents, ModelInferRequest};
use crate::error::ServiceError;
use crate::inference::Wishes;
use crate::tensors::{self, DataType, Elements, Tensor};

/// Input tensors, typed or raw.
pub(super) fn inputs(request: &ModelInferRequest, ports: &[PublicPort]) -> Result<Vec<Tensor>, ServiceError> {
    let raw = &request.raw_input_contents;
    if !raw.is_empty() && raw.len() != request.inputs.len() {
        return Err(ServiceError::invalid(format!(
            "{} raw tensors for {} inputs; all inputs are raw or none is",
            raw.len(),
            request.inputs.len()
        )));
    }
    request.inputs.iter().enumerate().map(|(at, input)| one_input(input, raw.get(at), ports)).collect()
}

fn one_input(input: &InferInputTensor, raw: Option<&Vec<u8>>, ports: &[PublicPort]) -> Result<Tensor, ServiceError> {
    let shape: Result<Vec<u64>, _> = input.shape.iter().map(|&d| u64::try_from(d)).collect();
    let shape = shape.map_err(|_| ServiceError::invalid(format!("input `{}` has a negative size", input.name)))?;
    let port = tensors::input_port(ports, &input.name, &input.datatype, &shape)?;
    let data_type = DataType::of(port);
    let elements = match (raw, &input.contents) {
        (Some(bytes), None) => Elements::from_le_bytes(data_type, bytes)?,
        (None, Some(contents)) => typed(data_type, contents)?,
        (Some(_), Some(contents)) if *contents == InferTensorContents::default() => {
            Elements::from_le_bytes(data_type, raw.map_or(&[], Vec::as_slice))?
        }
        (Some(_), Some(_)) => {
            return Err(ServiceError::invalid(format!("input `{}` is given typed and raw", input.name)));
        }
        (None, None) => return Err(ServiceError::invalid(format!("input `{}` has no contents", input.name))),
    };
    Ok(Tensor { name: input.name.clone(), data_type, shape, elements })
}

fn typed(data_type: DataType, contents: &InferTensorContents) -> Result<Elements, ServiceError> {
    let in_range = |value: i64, lo: i64, hi: i64| {
        let fits = (lo..=hi).contains(&value);
        fits.then_some(value).ok_or_else(|| ServiceError::invalid(format!("{value} is no {}", data_type.name())))
    };
    let small = |lo: i64, hi: i64| -> Result<Vec<i64>, ServiceError> {
        contents.int_contents.iter().map(|&value| in_range(i64::from(value), lo, hi)).collect()
    };
    let unsigned = |hi: i64| -> Result<Vec<i64>, ServiceError> {
        contents.uint_contents.iter().map(|&value| in_range(i64::from(value), 0, hi)).collect()
    };
    let integers = match data_type {
        DataType::Fp32 => return Ok(Elements::Floats(contents.fp32_contents.clone())),
        DataType::Bool => contents.bool_contents.iter().map(|&truth| i64::from(truth)).collect(),
        DataType::Int8 => small(-128, 127)?,
        DataType::Int16 => small(-32768, 32767)?,
        DataType::Int32 => contents.int_contents.iter().map(|&value| i64::from(value)).collect(),
        DataType::Int64 => contents.int64_contents.clone(),
        DataType::Uint8 => unsigned(255)?,
        DataType::Uint16 => unsigned(65535)?,
    };
    Ok(Elements::Integers(integers))
}

/// What the request's parameters ask for.
pub(super) fn wishes(parameters: &HashMap<String, InferParameter>) -> Result<Wishes, ServiceError> {
    let mut wishes = Wishes::default();
    for (name, value) in parameters {
        match &value.parameter_choice {
            None => {}
            Some(ParameterChoice::StringParam(text)) => wishes.set(name, text)?,
            Some(ParameterChoice::BoolParam(truth)) => wishes.set(name, &truth.to_string())?,
            Some(ParameterChoice::Int64Param(number)) => wishes.set(name, &number.to_string())?,
            Some(ParameterChoice::Uint64Param(number)) => wishes.set(name, &number.to_string())?,
            Some(ParameterChoice::DoubleParam(number)) => wishes.set(name, &number.to_string())?,
        }
    }
    Ok(wishes)
}

/// A text as a parameter.
pub(super) fn text_parameter(text: &str) -> InferParameter {
    InferParameter { parameter_choice: Some(ParameterChoice::StringParam(text.to_owned())) }
}

/// A shape as the messages have it.
pub(super) fn shape(shape: &[u64]) -> Vec<i64> {
    shape.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect()
}

/// An output tensor without its elements.
pub(super) fn output(tensor: &Tensor) -> InferOutputTensor {
    InferOutputTensor {
        name: tensor.name.clone(),
        datatype: tensor.data_type.name().to_owned(),
        shape: shape(&tensor.shape),
        parameters: HashMap::new(),
        contents: None,
    }
}

/// The elements of an output, typed.
pub(super) fn contents(tensor: &Tensor) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    match &tensor.elements {
        Elements::Floats(values) => contents.fp32_contents.clone_from(values),
        Elements::Integers(values) => {
            // In range: the elements are of the type.
            let small = || values.iter().map(|&value| value as i32).collect();
            match tensor.data_type {
                DataType::Int64 => contents.int64_contents.clone_from(values),
                DataType::Bool => contents.bool_contents = values.iter().map(|&value| value != 0).collect(),
                DataType::Uint8 | DataType::Uint16 => {
                    contents.uint_contents = values.iter().map(|&value| value as u32).collect();
                }
                DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Fp32 => contents.int_contents = small(),
            }
        }
    }
    contents
}
