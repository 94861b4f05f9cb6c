//! Appending values, operations and report rows.

use vinfer_circuits::ops::{AddForm, Contract, Lookup, Requant, Rewire, RewireKind};
use vinfer_circuits::program::{Op, Quantisation, Value, ValueId};

use super::Lowering;
use crate::error::CompileError;
use crate::graph::Node;
use crate::report::Row;
use crate::shapes;

impl Lowering<'_> {
    pub(super) fn value(
        &mut self,
        node: &Node,
        name: &str,
        shape: Vec<u32>,
        quantisation: Quantisation,
    ) -> Result<ValueId, CompileError> {
        shapes::check(node, &shape)?;
        let id = self.values.len() as ValueId;
        self.values.push(Value { name: name.to_owned(), shape, quantisation });
        Ok(id)
    }

    pub(super) fn value_ref(&self, id: ValueId) -> &Value {
        &self.values[id as usize]
    }

    /// Appends an operation with its report row.
    pub(super) fn emit(&mut self, node: &str, operators: &str, op: Op, reachable: Option<(i64, i64)>) {
        let output = &self.values[op.output() as usize];
        let elements = output.len() as u64;
        let (mut line, mut parity, mut table, mut macs) = (0, 0, 0, 0);
        let mut count = |form: &Requant| match form {
            Requant::Line { .. } => line += 1,
            Requant::Parity { .. } => parity += 1,
            Requant::Table { .. } => table += 1,
            Requant::Exact => {}
        };
        let primitive = match &op {
            Op::Contract(c) => {
                c.requant.iter().for_each(&mut count);
                macs = elements.saturating_mul(row_length(c) as u64);
                "Contract"
            }
            Op::Sum(s) => {
                count(&s.requant);
                "Sum"
            }
            Op::Add(add) => {
                match add.form {
                    AddForm::Line { .. } => line += 1,
                    AddForm::Table { .. } => table += 1,
                    AddForm::Exact { .. } => {}
                }
                "Add"
            }
            Op::Lookup(_) => {
                table += 1;
                "Lookup"
            }
            Op::MaxPool(_) => "MaxPool",
            Op::Rewire(_) => "Rewire",
            Op::Arrange(_) => "Arrange",
            Op::MatMul(m) => {
                count(&m.requant);
                let inner = self.values[m.a as usize].shape.last().copied().unwrap_or(1);
                macs = elements.saturating_mul(u64::from(inner));
                "MatMul"
            }
            Op::Multiply(m) => {
                count(&m.requant);
                macs = elements;
                "Multiply"
            }
            Op::Extremum(_) => "Extremum",
            Op::Embed(_) => "Embed",
            Op::Float(_) => "Float",
        };
        self.report.rows.push(Row {
            node: node.to_owned(),
            operators: operators.to_owned(),
            primitive,
            exactness: crate::catalogue::note(operators, primitive),
            shape: output.shape.clone(),
            elements,
            macs,
            line,
            parity,
            table,
            reachable,
        });
        self.ops.push(op);
    }

    /// Appends a data movement.
    pub(super) fn emit_rewire(
        &mut self,
        node: &Node,
        input: ValueId,
        kind: RewireKind,
        shape: Vec<u32>,
    ) -> Result<ValueId, CompileError> {
        let quantisation = self.value_ref(input).quantisation;
        let output = self.value(node, node.output(), shape, quantisation)?;
        self.emit(&node.name, &node.op, Op::Rewire(Rewire { input, output, kind }), None);
        Ok(output)
    }

    /// The value under another shape of the same size.
    pub(super) fn reshaped(&mut self, node: &Node, input: ValueId, shape: Vec<u32>) -> Result<ValueId, CompileError> {
        if self.value_ref(input).shape == shape {
            return Ok(input);
        }
        self.emit_rewire(node, input, RewireKind::Reshape, shape)
    }

    /// Appends a table over one value; `table` has one centred result per centred input.
    pub(super) fn emit_lookup(
        &mut self,
        node: (&str, &str),
        output_name: &Node,
        input: ValueId,
        table: Vec<i32>,
        quantisation: Quantisation,
    ) -> Result<ValueId, CompileError> {
        let shape = self.value_ref(input).shape.clone();
        let output = self.value(output_name, output_name.output(), shape, quantisation)?;
        self.emit(node.0, node.1, Op::Lookup(Lookup { input, output, table }), None);
        Ok(output)
    }
}

/// Weights per output element.
fn row_length(c: &Contract) -> usize {
    c.weights.len() / (c.out_channels as usize).max(1)
}
