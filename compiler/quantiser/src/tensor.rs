//! Arrays in memory.

use crate::error::QuantiseError;

/// Most elements that one tensor may hold.
pub(crate) const MAX_ELEMENTS: usize = 1 << 28;

/// Elements of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit integers (indices, shapes; narrower integers of a float model are widened).
    I64(Vec<i64>),
    /// Quantised weights.
    I8(Vec<i8>),
    /// Quantised activations.
    U8(Vec<u8>),
    /// Zero points of tensors kept at 16 bits.
    U16(Vec<u16>),
    /// Quantised biases.
    I32(Vec<i32>),
}

/// A dense row-major tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Shape.
    pub dims: Vec<usize>,
    /// Elements.
    pub data: Data,
}

impl Tensor {
    /// A float tensor; the caller guarantees that shape and elements agree.
    pub fn floats(dims: Vec<usize>, values: Vec<f32>) -> Self {
        debug_assert_eq!(dims.iter().product::<usize>(), values.len());
        Self { dims, data: Data::F32(values) }
    }

    /// An integer tensor; the caller guarantees that shape and elements agree.
    pub fn integers(dims: Vec<usize>, values: Vec<i64>) -> Self {
        debug_assert_eq!(dims.iter().product::<usize>(), values.len());
        Self { dims, data: Data::I64(values) }
    }

    /// A list of integers.
    pub(crate) fn list(values: Vec<i64>) -> Self {
        Self::integers(vec![values.len()], values)
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// The elements, if they are floats.
    pub fn as_floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(values) => Some(values),
            _ => None,
        }
    }

    /// The elements, if they are 64-bit integers.
    pub fn as_integers(&self) -> Option<&[i64]> {
        match &self.data {
            Data::I64(values) => Some(values),
            _ => None,
        }
    }

    /// The only element of a float tensor.
    pub(crate) fn scalar(&self) -> Option<f32> {
        match self.as_floats() {
            Some(&[value]) => Some(value),
            _ => None,
        }
    }

    /// The same elements in another shape of the same size.
    pub(crate) fn reshaped(&self, dims: Vec<usize>) -> Self {
        debug_assert_eq!(dims.iter().product::<usize>(), self.len());
        Self { dims, data: self.data.clone() }
    }

    /// The tensor with every float replaced.
    pub(crate) fn map(&self, f: impl Fn(f32) -> f32) -> Self {
        let data = match &self.data {
            Data::F32(values) => Data::F32(values.iter().map(|&v| f(v)).collect()),
            other => other.clone(),
        };
        Self { dims: self.dims.clone(), data }
    }
}

/// Product of dimensions, refused beyond [`MAX_ELEMENTS`].
pub(crate) fn count(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= MAX_ELEMENTS)
}

/// Refuses tensors with NaN or infinities, which have no range.
pub(crate) fn check_finite(name: &str, tensor: &Tensor) -> Result<(), QuantiseError> {
    match tensor.as_floats() {
        Some(values) if values.iter().any(|v| !v.is_finite()) => Err(QuantiseError::Tensor {
            tensor: name.to_owned(),
            reason: "it holds NaN or infinite values; remove them from the model or the calibration data".to_owned(),
        }),
        _ => Ok(()),
    }
}
