//! Constants: shape computations, and tensors that hold one number.

use std::rc::Rc;

use super::Lowering;
use super::state::State;
use crate::error::CompileError;
use crate::graph::{Attribute, Node};
use crate::onnx::proto::data_type;
use crate::onnx::tensor::{Data, MAX_ELEMENTS, Tensor};
use crate::shapes;

impl Lowering<'_> {
    /// The result of a node that depends on constants (or shapes) alone.
    pub(super) fn fold(&mut self, node: &Node) -> Result<Option<State>, CompileError> {
        let integers = |values: Vec<i64>, dims: Vec<usize>| {
            Ok(Some(State::Constant(Rc::new(Tensor { dims, data: Data::I64(values) }))))
        };
        match node.op.as_str() {
            "Shape" | "Size" => {
                let shape = self.shape_of(self.state(node, 0)?);
                let shape = shape.ok_or_else(|| node.bad_shape("the input shape is unknown"))?;
                if node.op == "Size" {
                    return integers(vec![shape.iter().map(|&d| i64::from(d)).product()], Vec::new());
                }
                let rank = shape.len() as i64;
                let clip = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank) as usize;
                let (start, end) = (clip(node.int("start", 0)?), clip(node.int("end", rank)?));
                let dims: Vec<i64> = shape.get(start..end).unwrap_or_default().iter().map(|&d| i64::from(d)).collect();
                let len = dims.len();
                integers(dims, vec![len])
            }
            "ConstantOfShape" => {
                let list = self.integer_list(node, 0)?.ok_or_else(|| node.bad_attribute("input", "missing"))?;
                let dims: Option<Vec<usize>> = list.into_iter().map(|d| usize::try_from(d).ok()).collect();
                let count = dims.as_ref().and_then(|d| d.iter().try_fold(1usize, |n, &d| n.checked_mul(d)));
                let (Some(dims), Some(count)) = (dims, count.filter(|&n| n <= MAX_ELEMENTS)) else {
                    return Err(node.bad_shape("the shape is impossible"));
                };
                let data = match node.attributes.get("value") {
                    None => Data::F32(vec![0.0; count]),
                    Some(Attribute::Tensor(t)) if t.len() == 1 => repeated(&t.data, count),
                    Some(_) => return Err(node.bad_attribute("value", "not one number")),
                };
                Ok(Some(State::Constant(Rc::new(Tensor { dims, data }))))
            }
            "Concat" | "Cast" | "Add" | "Sub" | "Mul" | "Div" | "Range" => {
                let mut tensors = Vec::with_capacity(node.inputs.len());
                for index in 0..node.inputs.len() {
                    let State::Constant(t) = self.state(node, index)? else { return Ok(None) };
                    tensors.push(Rc::clone(t));
                }
                let lists: Option<Vec<Vec<i64>>> =
                    tensors.iter().map(|t| t.integers().filter(|_| t.dims.len() <= 1)).collect();
                let Some(lists) = lists else { return self.fold_cast(node, &tensors) };
                match (node.op.as_str(), lists.as_slice()) {
                    ("Concat", _) => {
                        let all: Vec<i64> = lists.into_iter().flatten().collect();
                        let len = all.len();
                        integers(all, vec![len])
                    }
                    ("Cast", _) => self.fold_cast(node, &tensors),
                    ("Range", [start, limit, step]) => {
                        let (&[start], &[limit], &[step]) = (&start[..], &limit[..], &step[..]) else {
                            return Ok(None);
                        };
                        let distance = if step < 0 { start.checked_sub(limit) } else { limit.checked_sub(start) };
                        let count = distance.filter(|_| step != 0).map(|d| d.max(0) as u64);
                        let count = count.map(|d| d.div_ceil(step.unsigned_abs())).filter(|&n| n <= 1 << 20);
                        let count = count.ok_or_else(|| node.bad_attribute("limit", "out of range"))?;
                        let all: Vec<i64> =
                            (0..count as i64).map(|i| start.wrapping_add(i.wrapping_mul(step))).collect();
                        integers(all, vec![count as usize])
                    }
                    (op, [a, b]) => {
                        let f = |x: i64, y: i64| match op {
                            "Add" => x.checked_add(y),
                            "Sub" => x.checked_sub(y),
                            "Mul" => x.checked_mul(y),
                            _ => x.checked_div(y),
                        };
                        let len = if a.len() == 1 { b.len() } else { a.len() };
                        if b.len() != len && b.len() != 1 {
                            return Ok(None);
                        }
                        let pick = |v: &[i64], i: usize| v.get(if v.len() == 1 { 0 } else { i }).copied();
                        let all: Option<Vec<i64>> = (0..len).map(|i| f(pick(a, i)?, pick(b, i)?)).collect();
                        let all = all.ok_or_else(|| node.bad_attribute("inputs", "overflow or division by zero"))?;
                        let scalar = tensors.iter().all(|t| t.dims.is_empty());
                        let dims = if scalar { Vec::new() } else { vec![all.len()] };
                        integers(all, dims)
                    }
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    /// Conversions of constants.
    fn fold_cast(&self, node: &Node, tensors: &[Rc<Tensor>]) -> Result<Option<State>, CompileError> {
        let ("Cast", [tensor]) = (node.op.as_str(), tensors) else { return Ok(None) };
        let to = node.int("to", 0)? as i32;
        let unfit = || node.unsupported(format!("a constant as {}", data_type::name(to)), "convert it in the model");
        let data = match (&tensor.data, to) {
            (Data::F32(v), data_type::FLOAT) => Data::F32(v.clone()),
            (_, data_type::FLOAT) => {
                let integers = tensor.integers().ok_or_else(unfit)?;
                Data::F32(integers.into_iter().map(|v| v as f32).collect())
            }
            (Data::F32(v), data_type::INT64) => Data::I64(v.iter().map(|&x| x as i64).collect()),
            (_, data_type::INT64) => Data::I64(tensor.integers().ok_or_else(unfit)?),
            (_, data_type::INT32) => {
                let integers = tensor.integers().ok_or_else(unfit)?;
                let narrow = integers.into_iter().map(|v| i32::try_from(v).ok()).collect::<Option<Vec<i32>>>();
                Data::I32(narrow.ok_or_else(unfit)?)
            }
            (_, data_type::BOOL) => {
                let integers = tensor.integers().ok_or_else(unfit)?;
                Data::Small(data_type::BOOL, integers.into_iter().map(|v| i32::from(v != 0)).collect())
            }
            _ => return Err(unfit()),
        };
        Ok(Some(State::Constant(Rc::new(Tensor { dims: tensor.dims.clone(), data }))))
    }

    /// A constant graph output as a tensor of the program.
    pub(super) fn constant_output(
        &mut self,
        node: &Node,
        tensor: &Tensor,
    ) -> Result<vinfer_circuits::program::ValueId, CompileError> {
        use vinfer_circuits::program::{IntType, Quantisation};
        let shape: Vec<u32> = tensor.dims.iter().map(|&d| d as u32).collect();
        shapes::check(node, &shape)?;
        if tensor.floats().is_some() {
            let state = State::Constant(Rc::new(tensor.clone()));
            return Ok(self.floats(node, state)?.value);
        }
        let raw = tensor.integers().ok_or_else(|| node.bad_attribute("value", "an element type without tensors"))?;
        let narrow = raw.iter().map(|&v| i32::try_from(v).ok()).collect::<Option<Vec<i32>>>();
        let data = narrow.ok_or_else(|| node.unsupported("a constant output beyond int32", "use smaller numbers"))?;
        let int_type = match super::operands::int_type(tensor.data_type()) {
            Some(int_type) => int_type,
            None => IntType::Range {
                min: data.iter().copied().min().unwrap_or(0),
                max: data.iter().copied().max().unwrap_or(0),
            },
        };
        let zero_point = 0i32.clamp(int_type.min(), int_type.max());
        let quantisation = Quantisation { scale_bits: 1f32.to_bits(), zero_point, int_type };
        let centred = data.into_iter().map(|v| v - zero_point).collect();
        self.constant_value(node, shape, centred, quantisation)
    }
}

fn repeated(data: &Data, count: usize) -> Data {
    match data {
        Data::F32(v) => Data::F32(vec![v[0]; count]),
        Data::U8(v) => Data::U8(vec![v[0]; count]),
        Data::I8(v) => Data::I8(vec![v[0]; count]),
        Data::I32(v) => Data::I32(vec![v[0]; count]),
        Data::I64(v) => Data::I64(vec![v[0]; count]),
        Data::Small(kind, v) => Data::Small(*kind, vec![v[0]; count]),
        Data::Other(kind) => Data::Other(*kind),
    }
}
