//! Every field of a proof, by exhaustive destructuring: a new field does not compile until it is listed here.

use std::any::Any;

use p3_field::{PrimeCharacteristicRing, PrimeField64};
use vinfer_circuits::field::{F, K, coordinates, from_coordinates};
use vinfer_circuits::hash::Digest;
use vinfer_circuits::proof::{ContractionProof, FoldedOracle, LogupLayer, LogupProof, OpenedRows, OpeningProof, Proof};

/// A change of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mutation {
    AddOne,
    Zero,
    FlipBit,
    Remove,
    Duplicate,
    Swap,
    Truncate,
    Extend,
    Empty,
    Replay,
}

/// All of them.
pub(crate) const MUTATIONS: [Mutation; 10] = {
    use Mutation::{AddOne, Duplicate, Empty, Extend, FlipBit, Remove, Replay, Swap, Truncate, Zero};
    [AddOne, Zero, FlipBit, Remove, Duplicate, Swap, Truncate, Extend, Empty, Replay]
};

/// One field: its name with `[]` for every index, and the indices.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Site {
    pub(crate) name: &'static str,
    pub(crate) at: [usize; 3],
}

/// A field in place.
pub(crate) trait Field {
    /// Its value.
    fn snapshot(&self) -> Box<dyn Any>;
    /// Changes it; false if the mutation does not apply to such a field. `other` is the field of another proof.
    fn mutate(&mut self, mutation: Mutation, other: Option<&dyn Any>) -> bool;
}

fn replay<T: Clone + 'static>(field: &mut T, other: Option<&dyn Any>) -> bool {
    other.and_then(|o| o.downcast_ref::<T>()).is_some_and(|o| {
        field.clone_from(o);
        true
    })
}

macro_rules! scalar {
    ($type:ty, $one:expr, $zero:expr, $flip:expr) => {
        impl Field for $type {
            fn snapshot(&self) -> Box<dyn Any> {
                Box::new(self.clone())
            }

            fn mutate(&mut self, mutation: Mutation, other: Option<&dyn Any>) -> bool {
                match mutation {
                    Mutation::AddOne => *self = $one(*self),
                    Mutation::Zero => *self = $zero,
                    Mutation::FlipBit => *self = $flip(*self),
                    Mutation::Replay => return replay(self, other),
                    _ => return false,
                }
                true
            }
        }
    };
}

fn changed_byte(mut digest: Digest, at: usize, change: impl Fn(u8) -> u8) -> Digest {
    digest[at] = change(digest[at]);
    digest
}

scalar!(K, |v| v + K::ONE, K::ZERO, |v| {
    let [a, b] = coordinates(v);
    from_coordinates(F::from_u64(a), F::from_u64(b ^ 8))
});
scalar!(F, |v| v + F::ONE, F::ZERO, |v: F| F::from_u64(v.as_canonical_u64() ^ 8));
scalar!(u64, |v: u64| v.wrapping_add(1), 0, |v| v ^ (1 << 40));
scalar!(Digest, |d| changed_byte(d, 0, |b| b.wrapping_add(1)), [0; 32], |d| changed_byte(d, 31, |b| b ^ 0x80));

/// Lists; also fixed arrays of elements, which can only be swapped and replayed.
impl<T: Clone + PartialEq + 'static> Field for Vec<T> {
    fn snapshot(&self) -> Box<dyn Any> {
        Box::new(self.clone())
    }

    fn mutate(&mut self, mutation: Mutation, other: Option<&dyn Any>) -> bool {
        let (middle, last) = (self.len() / 2, self.len().saturating_sub(1));
        if mutation == Mutation::Replay {
            return replay(self, other);
        }
        if self.is_empty() {
            return false;
        }
        match mutation {
            Mutation::Remove => drop(self.remove(middle)),
            Mutation::Duplicate => self.insert(middle, self[middle].clone()),
            Mutation::Swap => self.swap(0, last),
            Mutation::Truncate => self.truncate(last),
            Mutation::Extend => self.push(self[last].clone()),
            Mutation::Empty => self.clear(),
            _ => return false,
        }
        true
    }
}

impl<const N: usize> Field for [K; N] {
    fn snapshot(&self) -> Box<dyn Any> {
        Box::new(*self)
    }

    fn mutate(&mut self, mutation: Mutation, other: Option<&dyn Any>) -> bool {
        match mutation {
            Mutation::Swap => self.swap(0, N - 1),
            Mutation::Zero => *self = [K::ZERO; N],
            Mutation::Replay => return replay(self, other),
            _ => return false,
        }
        true
    }
}

type Visitor<'v> = dyn FnMut(Site, &mut dyn Field) + 'v;

fn arrays<const N: usize>(names: [&'static str; 3], at: usize, list: &mut Vec<[K; N]>, f: &mut Visitor<'_>) {
    f(Site { name: names[0], at: [at, 0, 0] }, list);
    for (j, array) in list.iter_mut().enumerate() {
        f(Site { name: names[1], at: [at, j, 0] }, array);
        for (k, v) in array.iter_mut().enumerate() {
            f(Site { name: names[2], at: [at, j, k] }, v);
        }
    }
}

fn opened<T>(names: [&'static str; 5], at: usize, opened: &mut OpenedRows<T>, f: &mut Visitor<'_>)
where
    T: Field + Clone + PartialEq + 'static,
{
    let OpenedRows { rows, siblings } = opened;
    f(Site { name: names[0], at: [at, 0, 0] }, rows);
    for (j, row) in rows.iter_mut().enumerate() {
        f(Site { name: names[1], at: [at, j, 0] }, row);
        for (k, v) in row.iter_mut().enumerate() {
            f(Site { name: names[2], at: [at, j, k] }, v);
        }
    }
    f(Site { name: names[3], at: [at, 0, 0] }, siblings);
    for (j, s) in siblings.iter_mut().enumerate() {
        f(Site { name: names[4], at: [at, j, 0] }, s);
    }
}

macro_rules! names {
    ($base:literal: $($suffix:literal),*) => { [$(concat!($base, $suffix)),*] };
}

/// Shows every field, down to single elements, to a visitor.
pub(crate) fn visit(proof: &mut Proof, f: &mut Visitor<'_>) {
    let here = |name| Site { name, at: [0; 3] };
    let Proof { witness_root, logup, leaf_values, contractions, opening } = proof;
    f(here("witness_root"), witness_root);
    let LogupProof { root_denominator, layers } = logup;
    f(here("logup.root_denominator"), root_denominator);
    f(here("logup.layers"), layers);
    for (i, LogupLayer { rounds, children }) in layers.iter_mut().enumerate() {
        arrays(names!("logup.layers[].rounds": "", "[]", "[][]"), i, rounds, f);
        f(Site { name: "logup.layers[].children", at: [i, 0, 0] }, children);
        for (k, v) in children.iter_mut().enumerate() {
            f(Site { name: "logup.layers[].children[]", at: [i, 0, k] }, v);
        }
    }
    f(here("leaf_values"), leaf_values);
    for (i, v) in leaf_values.iter_mut().enumerate() {
        f(Site { name: "leaf_values[]", at: [i, 0, 0] }, v);
    }
    let ContractionProof { rounds, factors } = contractions;
    arrays(names!("contractions.rounds": "", "[]", "[][]"), 0, rounds, f);
    arrays(names!("contractions.factors": "", "[]", "[][]"), 0, factors, f);
    let OpeningProof { rounds, witness, constants, folded, final_vector, final_nonce, final_rounds } = opening;
    arrays(names!("opening.rounds": "", "[]", "[][]"), 0, rounds, f);
    opened(names!("opening.witness": ".rows", ".rows[]", ".rows[][]", ".siblings", ".siblings[]"), 0, witness, f);
    opened(names!("opening.constants": ".rows", ".rows[]", ".rows[][]", ".siblings", ".siblings[]"), 0, constants, f);
    f(here("opening.folded"), folded);
    for (i, FoldedOracle { root, nonce, rounds, opened: rows }) in folded.iter_mut().enumerate() {
        f(Site { name: "opening.folded[].root", at: [i, 0, 0] }, root);
        f(Site { name: "opening.folded[].nonce", at: [i, 0, 0] }, nonce);
        arrays(names!("opening.folded[].rounds": "", "[]", "[][]"), i, rounds, f);
        opened(names!("opening.folded[]": ".rows", ".rows[]", ".rows[][]", ".siblings", ".siblings[]"), i, rows, f);
    }
    f(here("opening.final_vector"), final_vector);
    for (i, v) in final_vector.iter_mut().enumerate() {
        f(Site { name: "opening.final_vector[]", at: [i, 0, 0] }, v);
    }
    f(here("opening.final_nonce"), final_nonce);
    arrays(names!("opening.final_rounds": "", "[]", "[][]"), 0, final_rounds, f);
}

/// All sites of a proof, in order.
pub(crate) fn sites(proof: &Proof) -> Vec<Site> {
    let mut out = Vec::new();
    visit(&mut proof.clone(), &mut |site, _| out.push(site));
    out
}

/// A copy with one field changed; `None` if the mutation does not apply or changes nothing.
pub(crate) fn mutated(proof: &Proof, other: &Proof, site: &Site, mutation: Mutation) -> Option<Proof> {
    let mut value = None;
    if mutation == Mutation::Replay {
        visit(&mut other.clone(), &mut |s, field| {
            if s == *site {
                value = Some(field.snapshot());
            }
        });
    }
    let mut copy = proof.clone();
    let mut applied = false;
    visit(&mut copy, &mut |s, field| {
        if s == *site {
            applied = field.mutate(mutation, value.as_deref());
        }
    });
    (applied && copy != *proof).then_some(copy)
}
