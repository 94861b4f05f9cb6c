//! Between arrays in files and the centred integers of a program's ports.

mod error;
mod read;

pub(crate) use error::PortError;
pub(crate) use read::{read_expected_outputs, read_inputs, read_sample};

use vinfer_circuits::boundary;
use vinfer_circuits::program::{IntType, Port, PortType, Program, Quantisation};

use crate::tensors::{Data, Kind, Tensor};

/// Centred integers of one sample, one vector per port.
pub(crate) type Sample = Vec<Vec<i32>>;

/// A graph input or output, as a program or a verifying key describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortSpec {
    /// Name in the ONNX graph.
    pub(crate) name: String,
    /// Declared element type.
    pub(crate) kind: Kind,
    /// Shape of one sample in a file, behind the sample axis.
    pub(crate) sample_shape: Vec<u64>,
    /// Quantisation of the tensor behind the port.
    pub(crate) quantisation: Quantisation,
}

impl PortSpec {
    /// Builds the description from its parts; `shape` is the tensor's, batch axis included.
    pub(crate) fn new(
        name: &str,
        port_type: PortType,
        shape: &[u32],
        leading_batch: bool,
        quantisation: Quantisation,
    ) -> Self {
        let kind = match (port_type, quantisation.int_type) {
            (PortType::Float32, _) => Kind::F32,
            (PortType::Integer, IntType::U8) => Kind::U8,
            (PortType::Integer, IntType::I8) => Kind::I8,
            (PortType::Integer, IntType::U16) => Kind::U16,
            (PortType::Integer, IntType::I16) => Kind::I16,
            (PortType::Integer, IntType::Bool) => Kind::Bool,
            (PortType::Integer, IntType::I32 | IntType::F32) => Kind::I32,
            (PortType::Integer, IntType::Range { .. }) | (PortType::Int64, _) => Kind::I64,
        };
        let sample_shape = match shape.split_first() {
            Some((1, rest)) if leading_batch => rest,
            _ => shape,
        };
        let sample_shape = sample_shape.iter().map(|&d| u64::from(d)).collect();
        Self { name: name.to_owned(), kind, sample_shape, quantisation }
    }

    /// The inputs of a program.
    pub(crate) fn inputs(program: &Program) -> Vec<Self> {
        program.inputs.iter().map(|port| Self::of_port(program, port)).collect()
    }

    /// The outputs of a program.
    pub(crate) fn outputs(program: &Program) -> Vec<Self> {
        program.outputs.iter().map(|port| Self::of_port(program, port)).collect()
    }

    fn of_port(program: &Program, port: &Port) -> Self {
        let value = &program.values[port.value as usize];
        Self::new(&port.name, port.port_type, &value.shape, port.leading_batch, value.quantisation)
    }

    /// Elements of one sample.
    pub(crate) fn sample_len(&self) -> u64 {
        self.sample_shape.iter().product()
    }

    /// The shape that a file must have, for messages: `[S, 1, 8, 8]`.
    pub(crate) fn file_shape(&self) -> String {
        self.sample_shape.iter().fold(String::from("[S"), |text, d| format!("{text}, {d}")) + "]"
    }

    /// Centred integers of file elements.
    fn centre(&self, data: &Data) -> Result<Vec<i32>, Misfit> {
        let q = &self.quantisation;
        match data {
            Data::F32(values) => {
                let centred = values.iter().enumerate();
                centred.map(|(at, &x)| boundary::quantise(x, q).ok_or(Misfit::NotANumber(at))).collect()
            }
            Data::Integer(_, values) => {
                let inside = |(at, &raw): (usize, &i64)| {
                    let centred = raw.saturating_sub(i64::from(q.zero_point));
                    let fits = (i64::from(q.lo())..=i64::from(q.hi())).contains(&centred);
                    fits.then_some(centred as i32).ok_or(Misfit::OutOfRange(at, raw))
                };
                values.iter().enumerate().map(inside).collect()
            }
        }
    }

    /// File elements of centred integers, in the declared type.
    pub(crate) fn declare(&self, centred: &[i32]) -> Data {
        let q = &self.quantisation;
        match self.kind {
            Kind::F32 => Data::F32(centred.iter().map(|&c| boundary::dequantise(c, q)).collect()),
            // In range: a program's values lie within their integer type.
            kind => Data::Integer(kind, centred.iter().map(|&c| i64::from(c) + i64::from(q.zero_point)).collect()),
        }
    }
}

/// A file element that has no place in a tensor: its flat index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Misfit {
    NotANumber(usize),
    /// With the element.
    OutOfRange(usize, i64),
}

/// Named arrays of several samples' outputs, sample axis first. A graph output listed twice gives one array.
pub(crate) fn output_arrays(ports: &[PortSpec], samples: &[Sample]) -> Vec<(String, Tensor)> {
    let mut arrays: Vec<(String, Tensor)> = Vec::with_capacity(ports.len());
    for (index, port) in ports.iter().enumerate() {
        if arrays.iter().any(|(name, _)| *name == port.name) {
            continue;
        }
        let centred: Vec<i32> = samples.iter().flat_map(|sample| sample[index].iter().copied()).collect();
        let mut shape = vec![samples.len() as u64];
        shape.extend_from_slice(&port.sample_shape);
        arrays.push((port.name.clone(), Tensor { shape, data: port.declare(&centred) }));
    }
    arrays
}
