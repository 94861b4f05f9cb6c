//! Conversions, and functions of functions.

use std::rc::Rc;

use vinfer_circuits::program::IntType;

use super::Lowering;
use super::operands::{self, int_type};
use super::pending::Pending;
use super::state::{Real, State};
use crate::error::CompileError;
use crate::graph::Node;
use crate::onnx::proto::data_type;
use crate::onnx::tensor::{Data, Tensor};

impl Lowering<'_> {
    pub(super) fn cast(&mut self, node: &Node) -> Result<State, CompileError> {
        let to = node.int("to", 0)? as i32;
        let state = match self.state(node, 0)?.clone() {
            State::Pending(pending) if to != data_type::FLOAT => self.as_function(node, &pending)?,
            State::Indices(input) => State::Integer(self.small_integers(node, &input)?),
            other => other,
        };
        let real = match state {
            State::Integer(integer) => {
                let q = self.value_ref(integer.value).quantisation;
                if q.int_type == IntType::I32 && to == data_type::FLOAT && q.zero_point == 0 {
                    return Ok(State::Scaled { value: integer.value, scale: 1.0 });
                }
                if int_type(to) == Some(q.int_type) {
                    return Ok(State::Integer(integer));
                }
                self.raw_real(node, integer)?
            }
            State::Real(real) => real,
            other if to == data_type::FLOAT => return Ok(other),
            _ => return Err(node.stays_float("it converts a float result", "quantise the result first")),
        };
        if to == data_type::FLOAT {
            return Ok(State::Real(real));
        }
        self.check_exact(node, &real)?;
        let whole = if to == data_type::BOOL { real.map(|x| f32::from(x != 0.0)) } else { real.map(f32::trunc) };
        let table = whole.table();
        let (least, most) = table.iter().fold((0f32, 0f32), |(a, b), &x| (a.min(x), b.max(x)));
        let target = match to {
            data_type::INT64 => Some(IntType::Range { min: least as i32, max: most as i32 }),
            _ => operands::int_type(to),
        };
        let target =
            target.filter(|t| least >= t.min() as f32 && most <= t.max() as f32 && !table.iter().any(|x| x.is_nan()));
        let Some(target) = target else {
            return Err(node.unsupported(
                format!("some results do not fit {}", data_type::name(to)),
                "clip the tensor to the range of the type first",
            ));
        };
        self.integers_of(node, State::Real(whole), target)
    }

    /// A function applied to a function of one or two tensors.
    pub(super) fn mapped(
        &mut self,
        node: &Node,
        state: State,
        f: &dyn Fn(f32) -> f32,
        exact: bool,
    ) -> Result<State, CompileError> {
        Ok(match state {
            State::Real(real) => State::Real(Real { exact: exact && real.exact, direct: false, ..real.map(f) }),
            State::Pending(pending) => match &*pending {
                Pending::Pair(parts) if exact => State::Pending(Rc::new(Pending::Pair(parts.map(f)))),
                _ => {
                    let state = self.as_function(node, &pending)?;
                    if let State::Real(_) = state {
                        return self.mapped(node, state, f, exact);
                    }
                    return Err(node.stays_float("its input is a float result", "quantise its input"));
                }
            },
            State::Constant(tensor) if tensor.floats().is_some() => {
                let data = tensor.floats().unwrap_or_default().iter().map(|&x| f(x)).collect();
                let data = Data::F32(data);
                State::Constant(Rc::new(Tensor { dims: tensor.dims.clone(), data }))
            }
            _ => {
                self.dequantised(node, 0)?;
                return Err(node.stays_float("its input is a float result", "quantise its input"));
            }
        })
    }
}
