//! Public tensors: range checks, their binding to columns, and their evaluation by the verifier itself.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use crate::context::Context;
use crate::error::RejectReason;
use p3_field::PrimeCharacteristicRing;
use vinfer_circuits::field::{K, from_i64};
use vinfer_circuits::functional::EvaluationClaim;
use vinfer_circuits::lower::split_float;
use vinfer_circuits::statement::{Statement, centred_tensor};
use vinfer_circuits::system::{ColumnId, PublicPort, System};

/// Cells of every public column, row-major over its real axes.
pub(crate) type PublicColumns = BTreeMap<ColumnId, Vec<i32>>;

/// Builds the public columns from the statement. Every element is in the range of its type; two ports of one column must
/// agree.
pub(crate) fn bind(system: &System, statement: &Statement) -> Result<PublicColumns, RejectReason> {
    let mut columns = PublicColumns::new();
    let ports = system.inputs.iter().zip(&statement.inputs).chain(system.outputs.iter().zip(&statement.outputs));
    for (index, (port, raw)) in ports.enumerate() {
        let cells = column_cells(system, port, raw).ok_or(RejectReason::PublicTensor { port: index })?;
        let mut insert = |column: ColumnId, cells: Vec<i32>| {
            if columns.get(&column).is_some_and(|have| *have != cells) {
                return Err(RejectReason::PublicTensor { port: index });
            }
            columns.insert(column, cells);
            Ok(())
        };
        match port.float_parts {
            None => insert(port.column, cells)?,
            Some([exponents, signs]) => {
                for (part, column) in [port.column, exponents, signs].into_iter().enumerate() {
                    insert(column, cells.iter().map(|&bits| float_cell(bits, part)).collect())?;
                }
            }
        }
    }
    Ok(columns)
}

/// One of the three cells of a float; all fit an `i32`.
fn float_cell(bits: i32, part: usize) -> i32 {
    split_float(bits).get(part).copied().and_then(|v| i32::try_from(v).ok()).unwrap_or(0)
}

/// The centred input tensors.
pub(crate) fn inputs(system: &System, statement: &Statement) -> Result<Vec<Vec<i32>>, RejectReason> {
    let tensors = system.inputs.iter().zip(&statement.inputs).enumerate();
    tensors.map(|(port, (p, raw))| centred_tensor(raw, p).ok_or(RejectReason::PublicTensor { port })).collect()
}

/// Centred cells of a port's tensor in the order of its column.
fn column_cells(system: &System, port: &PublicPort, raw: &[u8]) -> Option<Vec<i32>> {
    let dims = &system.columns.get(usize::try_from(port.column).ok()?)?.dims;
    if u64::try_from(raw.len()).ok()? != port.raw_len() {
        return None;
    }
    let centred = centred_tensor(raw, port)?;
    // Stride of each column axis in the logical tensor, row-major over `order`.
    let mut strides = vec![0usize; dims.len()];
    let mut stride = 1usize;
    for &axis in port.order.iter().rev() {
        *strides.get_mut(usize::from(axis))? = stride;
        stride = stride.checked_mul(usize::try_from(*dims.get(usize::from(axis))?).ok()?)?;
    }
    // Flat logical index of every cell, axis by axis.
    let mut offsets = vec![0usize];
    for (&d, &s) in dims.iter().zip(&strides) {
        let size = usize::try_from(d).ok()?;
        offsets =
            offsets.iter().flat_map(|&base| (0..size).map(move |i| base.saturating_add(i.saturating_mul(s)))).collect();
    }
    offsets.into_iter().map(|at| centred.get(at).copied()).collect()
}

/// Checks a claim about a public column by evaluating it.
pub(crate) fn check<C: Context>(
    ctx: &C,
    system: &System,
    columns: &PublicColumns,
    claim: &EvaluationClaim<C::Element>,
    reason: RejectReason,
) -> Result<(), RejectReason> {
    let cells = columns.get(&claim.functional.column).ok_or(reason)?;
    let id = usize::try_from(claim.functional.column).map_err(|_| reason)?;
    let dims = system.columns.get(id).map_or(&[][..], |c| &c.dims);
    let axes = claim.functional.dense_axes(ctx, dims);
    let mut current: Vec<C::Element> = cells.iter().map(|&v| ctx.constant(K::from(from_i64(i64::from(v))))).collect();
    for weights in axes.iter().rev() {
        current = current
            .chunks(weights.len().max(1))
            .map(|chunk| vinfer_circuits::arithmetic::inner_product(ctx, chunk, weights))
            .collect();
    }
    let value = current.into_iter().next().unwrap_or_else(|| ctx.constant(K::ZERO));
    ctx.require_equal(&value, &claim.value, reason)
}
