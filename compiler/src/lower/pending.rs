//! Float results that wait for the QuantizeLinear that completes the fused operator.

use vinfer_circuits::program::{IntType, Quantisation};

use super::Lowering;
use super::add::AddParts;
use super::attention::MatMulParts;
use super::contract::ContractParts;
use super::elementwise::MulParts;
use super::gather::RowsParts;
use super::pair::PairParts;
use super::pieces::Pieces;
use super::pool::SumParts;
use super::products::ProductParts;
use super::softmax::SoftmaxParts;
use super::state::{Integer, State};
use crate::error::CompileError;
use crate::graph::Node;

/// An operator without its output quantisation.
#[derive(Clone, Debug)]
pub(super) enum Pending {
    Contract(ContractParts),
    Add(AddParts),
    Mul(MulParts),
    Sum(SumParts),
    MatMul(MatMulParts),
    Product(ProductParts),
    Softmax(SoftmaxParts),
    Rows(RowsParts),
    Pair(PairParts),
    Pieces(Pieces),
}

impl Pending {
    /// Shape of the result.
    pub(super) fn shape(&self) -> &[u32] {
        match self {
            Self::Contract(p) => &p.shape,
            Self::Add(p) => &p.shape,
            Self::Mul(p) => &p.shape,
            Self::Sum(p) => &p.shape,
            Self::MatMul(p) => &p.shape,
            Self::Product(p) => &p.shape,
            Self::Softmax(p) => &p.shape,
            Self::Rows(p) => &p.shape,
            Self::Pair(p) => &p.shape,
            Self::Pieces(p) => &p.shape,
        }
    }
}

impl Pending {
    /// Whether this is a matrix product that already holds the constant operand of the Add node `sum`.
    pub(super) fn includes_bias(&self, sum: &Node) -> bool {
        matches!(self, Self::Contract(parts) if parts.node.op == "Gemm" && parts.node.output() == sum.output())
    }
}

impl Lowering<'_> {
    /// Completes a pending operator with its output's quantisation. `node` defines the output.
    pub(super) fn complete(
        &mut self,
        node: &Node,
        pending: &Pending,
        quantisation: Quantisation,
        effective: IntType,
    ) -> Result<State, CompileError> {
        let value = match pending {
            Pending::Contract(parts) => self.complete_contract(node, parts, quantisation, effective)?,
            Pending::Add(parts) => self.complete_add(node, parts, quantisation, effective)?,
            Pending::Mul(parts) => self.complete_mul(node, parts, quantisation, effective)?,
            Pending::Sum(parts) => self.complete_sum(node, parts, quantisation, effective)?,
            Pending::MatMul(parts) => self.complete_matmul(node, parts, quantisation, effective)?,
            Pending::Product(parts) => self.complete_product(node, parts, quantisation, effective)?,
            Pending::Softmax(parts) if parts.real.effective == effective => {
                self.complete_softmax(node, parts, quantisation)?
            }
            Pending::Softmax(parts) => {
                let softmax = self.softmax_of(&parts.node, &parts.real)?;
                self.quantise_float(node, &softmax, quantisation)?
            }
            Pending::Pair(parts) => self.complete_pair(node, parts, quantisation)?,
            Pending::Pieces(parts) => self.complete_pieces(node, parts, quantisation)?,
            Pending::Rows(parts) => self.complete_rows(node, parts, quantisation)?,
        };
        Ok(State::Integer(Integer { value, effective }))
    }
}
