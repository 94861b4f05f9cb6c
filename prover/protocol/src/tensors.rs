//! Between tensors of the Open Inference Protocol and the centred integers of a model's ports.

use serde_json::Value;
use vinfer_circuits::boundary;
use vinfer_circuits::program::{IntType, PortType};
use vinfer_circuits::system::PublicPort;

/// Centred integers of every port.
pub type Centred = Vec<Vec<i32>>;

/// Tensors that are not what the protocol or a port demands; says what to send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TensorError(pub String);

/// Element types of the protocol that models have at their boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataType {
    /// 32-bit float.
    Fp32,
    /// Unsigned 8-bit integer.
    Uint8,
    /// Signed 8-bit integer.
    Int8,
    /// Unsigned 16-bit integer.
    Uint16,
    /// Signed 16-bit integer.
    Int16,
    /// Signed 32-bit integer.
    Int32,
    /// Signed 64-bit integer.
    Int64,
    /// Truth value.
    Bool,
}

impl DataType {
    /// What a port declares.
    pub const fn of(port: &PublicPort) -> Self {
        match (port.port_type, port.quantisation.int_type) {
            (PortType::Float32, _) => Self::Fp32,
            (PortType::Integer, IntType::U8) => Self::Uint8,
            (PortType::Integer, IntType::I8) => Self::Int8,
            (PortType::Integer, IntType::U16) => Self::Uint16,
            (PortType::Integer, IntType::I16) => Self::Int16,
            (PortType::Integer, IntType::Bool) => Self::Bool,
            (PortType::Integer, IntType::I32 | IntType::F32) => Self::Int32,
            (PortType::Integer, IntType::Range { .. }) | (PortType::Int64, _) => Self::Int64,
        }
    }

    /// By its name in the protocol.
    pub fn from_name(name: &str) -> Option<Self> {
        const ALL: [DataType; 8] = [
            DataType::Fp32,
            DataType::Uint8,
            DataType::Int8,
            DataType::Uint16,
            DataType::Int16,
            DataType::Int32,
            DataType::Int64,
            DataType::Bool,
        ];
        ALL.into_iter().find(|data_type| data_type.name() == name)
    }

    /// Name in the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "FP32",
            Self::Uint8 => "UINT8",
            Self::Int8 => "INT8",
            Self::Uint16 => "UINT16",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Bool => "BOOL",
        }
    }

    /// Bytes per element.
    pub const fn size(self) -> usize {
        match self {
            Self::Uint8 | Self::Int8 | Self::Bool => 1,
            Self::Uint16 | Self::Int16 => 2,
            Self::Fp32 | Self::Int32 => 4,
            Self::Int64 => 8,
        }
    }
}

/// Elements in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub enum Elements {
    /// Floats.
    Floats(Vec<f32>),
    /// Integers and truth values.
    Integers(Vec<i64>),
}

impl Elements {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Integers(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Decodes little-endian bytes.
    ///
    /// # Errors
    /// Bytes are left over.
    pub fn from_le_bytes(data_type: DataType, bytes: &[u8]) -> Result<Self, TensorError> {
        if !bytes.len().is_multiple_of(data_type.size()) {
            return Err(TensorError(format!(
                "{} bytes are no whole number of {} elements",
                bytes.len(),
                data_type.name()
            )));
        }
        let integers = match data_type {
            DataType::Fp32 => {
                return Ok(Self::Floats(bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()));
            }
            DataType::Uint8 => bytes.iter().map(|&b| i64::from(b)).collect(),
            DataType::Bool => bytes.iter().map(|&b| i64::from(b != 0)).collect(),
            DataType::Int8 => bytes.iter().map(|&b| i64::from(b.cast_signed())).collect(),
            DataType::Uint16 => words(bytes, |b| i64::from(u16::from_le_bytes(b))),
            DataType::Int16 => words(bytes, |b| i64::from(i16::from_le_bytes(b))),
            DataType::Int32 => words(bytes, |b| i64::from(i32::from_le_bytes(b))),
            DataType::Int64 => words(bytes, i64::from_le_bytes),
        };
        Ok(Self::Integers(integers))
    }

    /// Little-endian bytes.
    pub fn to_le_bytes(&self, data_type: DataType) -> Vec<u8> {
        match self {
            Self::Floats(values) => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::Integers(values) => {
                values.iter().flat_map(|x| x.to_le_bytes().into_iter().take(data_type.size())).collect()
            }
        }
    }

    /// Reads a JSON list, nested or flat.
    ///
    /// # Errors
    /// An element is not of the type.
    pub fn from_json(data_type: DataType, value: &Value, limit: usize) -> Result<Self, TensorError> {
        let mut elements =
            if data_type == DataType::Fp32 { Self::Floats(Vec::new()) } else { Self::Integers(Vec::new()) };
        elements.push_json(data_type, value, limit, 0)?;
        Ok(elements)
    }

    fn push_json(&mut self, data_type: DataType, value: &Value, limit: usize, depth: usize) -> Result<(), TensorError> {
        /// Nesting beyond any shape.
        const DEEPEST: usize = 16;
        if let Value::Array(values) = value {
            if depth >= DEEPEST {
                return Err(TensorError("tensor data is nested too deeply".to_owned()));
            }
            return values.iter().try_for_each(|value| self.push_json(data_type, value, limit, depth + 1));
        }
        if self.len() >= limit {
            return Err(TensorError(format!("tensor data holds more than {limit} elements")));
        }
        let wrong = || {
            let shown: String = value.to_string().chars().take(40).collect();
            TensorError(format!("{shown} is no {}", data_type.name()))
        };
        match self {
            // As a client that converts its own doubles: to the nearest float.
            Self::Floats(values) => values.push(value.as_f64().ok_or_else(wrong)? as f32),
            Self::Integers(values) => values.push(match (data_type, value) {
                (DataType::Bool, Value::Bool(truth)) => i64::from(*truth),
                _ => value.as_i64().or_else(|| whole(value.as_f64()?)).ok_or_else(wrong)?,
            }),
        }
        Ok(())
    }

    /// A flat JSON list.
    pub fn to_json(&self, data_type: DataType) -> Value {
        match self {
            Self::Floats(values) => values.iter().map(|&x| Value::from(x)).collect(),
            Self::Integers(values) if data_type == DataType::Bool => {
                values.iter().map(|&x| Value::from(x != 0)).collect()
            }
            Self::Integers(values) => values.iter().map(|&x| Value::from(x)).collect(),
        }
    }
}

/// An integer that JSON holds as `1.0`.
fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64)
}

fn words<const N: usize>(bytes: &[u8], from: impl Fn([u8; N]) -> i64) -> Vec<i64> {
    bytes.as_chunks::<N>().0.iter().map(|&word| from(word)).collect()
}

/// A named tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Name of the port.
    pub name: String,
    /// Element type.
    pub data_type: DataType,
    /// Shape.
    pub shape: Vec<u64>,
    /// Elements.
    pub elements: Elements,
}

/// Shape of a port, as the protocol has it.
pub fn port_shape(port: &PublicPort) -> Vec<u64> {
    port.shape.iter().map(|&d| u64::from(d)).collect()
}

/// The port that a request's tensor is for, with type and shape checked.
///
/// # Errors
/// There is none, or the type or shape is another.
pub fn input_port<'a>(
    ports: &'a [PublicPort],
    name: &str,
    data_type: &str,
    shape: &[u64],
) -> Result<&'a PublicPort, TensorError> {
    let shown: String = name.chars().take(64).collect();
    let port = ports.iter().find(|port| port.name == name).ok_or_else(|| {
        let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
        TensorError(format!("the model has no input `{shown}`; its inputs are {}", names.join(", ")))
    })?;
    let declared = DataType::of(port);
    if declared.name() != data_type {
        let given: String = data_type.chars().take(16).collect();
        return Err(TensorError(format!("input `{shown}` is {}, not {given}", declared.name())));
    }
    if port_shape(port) != shape {
        let given: Vec<u64> = shape.iter().take(16).copied().collect();
        return Err(TensorError(format!(
            "input `{shown}` has shape {:?}, not {given:?}; one sample per request",
            port_shape(port)
        )));
    }
    Ok(port)
}

/// Centred integers of all ports from a request's tensors.
///
/// # Errors
/// A tensor is missing, there twice, of another length, or holds what the model has no place for.
pub fn centre(ports: &[PublicPort], tensors: &[Tensor]) -> Result<Centred, TensorError> {
    for (at, tensor) in tensors.iter().enumerate() {
        if tensors.iter().take(at).any(|other| other.name == tensor.name) {
            return Err(TensorError(format!("input `{}` is given twice", tensor.name)));
        }
    }
    ports
        .iter()
        .map(|port| {
            let tensor = tensors
                .iter()
                .find(|tensor| tensor.name == port.name)
                .ok_or_else(|| TensorError(format!("input `{}` is missing", port.name)))?;
            if tensor.elements.len() as u64 != port.len() {
                return Err(TensorError(format!(
                    "input `{}` has {} elements, its shape {:?} needs {}",
                    port.name,
                    tensor.elements.len(),
                    port_shape(port),
                    port.len()
                )));
            }
            centre_one(port, &tensor.elements)
        })
        .collect()
}

fn centre_one(port: &PublicPort, elements: &Elements) -> Result<Vec<i32>, TensorError> {
    let q = &port.quantisation;
    match elements {
        Elements::Floats(values) => values
            .iter()
            .enumerate()
            .map(|(at, &x)| {
                boundary::quantise(x, q)
                    .ok_or_else(|| TensorError(format!("input `{}` element {at} is not a number", port.name)))
            })
            .collect(),
        Elements::Integers(values) => values
            .iter()
            .enumerate()
            .map(|(at, &raw)| {
                let centred = raw.saturating_sub(i64::from(q.zero_point));
                let inside = (i64::from(q.lo())..=i64::from(q.hi())).contains(&centred);
                i32::try_from(centred).ok().filter(|_| inside).ok_or_else(|| {
                    TensorError(format!(
                        "input `{}` element {at} is {raw}, outside {}..={}",
                        port.name,
                        q.int_type.min(),
                        q.int_type.max()
                    ))
                })
            })
            .collect(),
    }
}

/// Tensors in their declared types; a graph output that stands for several ports is given once.
pub fn declare(ports: &[PublicPort], tensors: &[Vec<i32>]) -> Vec<Tensor> {
    let mut declared: Vec<Tensor> = Vec::with_capacity(ports.len());
    for (port, centred) in ports.iter().zip(tensors) {
        if declared.iter().any(|tensor| tensor.name == port.name) {
            continue;
        }
        let q = &port.quantisation;
        let data_type = DataType::of(port);
        let elements = match data_type {
            DataType::Fp32 => Elements::Floats(centred.iter().map(|&c| boundary::dequantise(c, q)).collect()),
            _ => Elements::Integers(centred.iter().map(|&c| i64::from(c) + i64::from(q.zero_point)).collect()),
        };
        declared.push(Tensor { name: port.name.clone(), data_type, shape: port_shape(port), elements });
    }
    declared
}
