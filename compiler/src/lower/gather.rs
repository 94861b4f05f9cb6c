//! Gather of table rows by the indices of a graph input (token embeddings).

use std::rc::Rc;

use vinfer_circuits::ops::{Embed, RewireKind};
use vinfer_circuits::program::{IntType, Op, Port, PortType, Quantisation, Value, ValueId};

use super::Lowering;
use super::moves::{Move, MoveKind};
use super::pending::Pending;
use super::ports::leading_batch;
use super::qdq::quantise;
use super::state::{Input, Integer, Real, State};
use crate::error::CompileError;
use crate::graph::Node;

/// Rows of a float table, without the quantisation that follows.
#[derive(Clone, Debug)]
pub(super) struct RowsParts {
    node: Node,
    indices: Input,
    table: Rc<Vec<f32>>,
    dims: Vec<u32>,
    pub(super) shape: Vec<u32>,
}

impl Lowering<'_> {
    /// Gather along the first axis of a constant table.
    pub(super) fn embedding(&mut self, node: &Node, indices: &Input) -> Result<State, CompileError> {
        let state = self.state(node, 0)?.clone();
        let dims = match &state {
            State::Constant(_) | State::Weights(_) => self.shape_of(&state).unwrap_or_default(),
            _ => {
                return Err(node.unsupported(
                    "both its data and its indices depend on the input",
                    "gather from constant tables only",
                ));
            }
        };
        let axis = crate::shapes::axis(node, node.int("axis", 0)?, dims.len())?;
        if axis != 0 || dims.len() < 2 {
            return Err(node.unsupported(
                format!("input indices select along axis {axis} of a table of shape {dims:?}"),
                "gather along the first axis of a table of at least 2 axes",
            ));
        }
        let shape: Vec<u32> = indices.shape().iter().chain(&dims[1..]).copied().collect();
        crate::shapes::check(node, &shape)?;
        if let State::Weights(weights) = &state
            && let Some(quantisation) = weights.per_tensor()
        {
            let value = self.emit_embed(node, indices, &dims, weights.centred(), quantisation, shape)?;
            let effective = quantisation.int_type;
            return Ok(State::Real(Real { value, quantisation, effective, direct: false, exact: true, table: None }));
        }
        let Some(table) = self.constant_floats(&state) else {
            return Err(node.unsupported("the table is not a float tensor", "use a quantised or float table"));
        };
        let parts = RowsParts { node: node.clone(), indices: indices.clone(), table: Rc::new(table), dims, shape };
        Ok(State::Pending(Rc::new(Pending::Rows(parts))))
    }

    pub(super) fn complete_rows(
        &mut self,
        at: &Node,
        parts: &RowsParts,
        quantisation: Quantisation,
    ) -> Result<ValueId, CompileError> {
        if parts.table.iter().any(|x| x.is_nan()) {
            return Err(parts.node.unsupported("the table holds NaN", "repair the table"));
        }
        let table = parts.table.iter().map(|&x| quantise(x, &quantisation)).collect();
        self.emit_embed(at, &parts.indices, &parts.dims, table, quantisation, parts.shape.clone())
    }

    /// Rows of a centred table of shape `dims`.
    fn emit_embed(
        &mut self,
        node: &Node,
        input: &Input,
        dims: &[u32],
        table: Vec<i32>,
        quantisation: Quantisation,
        shape: Vec<u32>,
    ) -> Result<ValueId, CompileError> {
        let narrow = |v: i32| {
            i16::try_from(v).map_err(|_| node.unsupported("table entries of more than 16 bits", "quantise to 8 bits"))
        };
        let table = table.into_iter().map(narrow).collect::<Result<Vec<i16>, _>>()?;
        let (rows, width) = (dims[0], dims[1..].iter().product::<u32>());
        let indices = self.index_value(node, input, rows)?;
        let mut out = input.declared.clone();
        out.push(width);
        let output = self.value(node, node.output(), out, quantisation)?;
        self.emit(&node.name, &node.op, Op::Embed(Embed { indices, output, rows, table }), None);
        // Movements of the indices become movements of the rows.
        let mut value = output;
        for step in &input.moves {
            let mut shape = step.shape.clone();
            shape.push(width);
            let kind = match &step.kind {
                MoveKind::Rewire(RewireKind::Transpose { permutation }) => {
                    let permutation = permutation.iter().copied().chain([permutation.len() as u8]).collect();
                    MoveKind::Rewire(RewireKind::Transpose { permutation })
                }
                kind => kind.clone(),
            };
            value = self.moved(node, value, &[Move { kind, shape }])?;
        }
        self.reshaped(node, value, shape)
    }

    /// An int64 graph input whose elements are between -32768 and 32767 (masks, positions).
    pub(super) fn small_integers(&mut self, node: &Node, input: &Input) -> Result<Integer, CompileError> {
        let int_type = IntType::Range { min: -32768, max: 32767 };
        let value = self.index_port(input, int_type);
        Ok(Integer { value: self.moved(node, value, &input.moves)?, effective: int_type })
    }

    /// The graph input that selects among `rows` rows.
    fn index_value(&mut self, node: &Node, input: &Input, rows: u32) -> Result<ValueId, CompileError> {
        let max = i32::try_from(rows).ok().and_then(|r| r.checked_sub(1)).filter(|&max| max >= 0);
        let max = max.ok_or_else(|| node.bad_shape("the table has no rows, or too many"))?;
        Ok(self.index_port(input, IntType::Range { min: 0, max }))
    }

    /// The integers of an int64 graph input in a range.
    fn index_port(&mut self, input: &Input, int_type: IntType) -> ValueId {
        let quantisation = Quantisation { scale_bits: 1f32.to_bits(), zero_point: 0, int_type };
        let declared = &self.graph.inputs[input.port];
        let known = self
            .inputs
            .iter()
            .find(|p| p.name == declared.name && self.values[p.value as usize].quantisation == quantisation);
        if let Some(port) = known {
            return port.value;
        }
        let value = self.values.len() as ValueId;
        self.values.push(Value { name: declared.name.clone(), shape: input.declared.clone(), quantisation });
        self.inputs.push(Port {
            name: declared.name.clone(),
            port_type: PortType::Int64,
            value,
            leading_batch: leading_batch(declared),
        });
        value
    }
}
