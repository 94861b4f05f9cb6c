//! What a caller decides about a model: sizes that the file leaves open.

use crate::error::CompileError;
use crate::graph::{Dim, Graph};

/// Options of a compilation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Sizes: of all axes of the input with this name, or (one number) of the symbolic dimension with this name.
    pub shapes: Vec<(String, Vec<u32>)>,
}

impl Options {
    /// Fixes the dimensions of the graph's inputs.
    pub(crate) fn apply(&self, graph: &mut Graph) -> Result<(), CompileError> {
        for (name, sizes) in &self.shapes {
            let bad = |reason: String| CompileError::BadPort { port: "input", name: name.clone(), reason };
            if sizes.contains(&0) {
                return Err(bad("a size of zero was given".to_owned()));
            }
            if let Some(input) = graph.inputs.iter_mut().find(|i| i.name == *name) {
                let fits = |(dim, &size): (&Dim, &u32)| match dim {
                    Dim::Fixed(fixed) => *fixed == size,
                    Dim::Symbolic(_) => true,
                };
                if let Some(dims) = &input.dims
                    && (dims.len() != sizes.len() || !dims.iter().zip(sizes).all(fits))
                {
                    return Err(bad(format!("the given shape {sizes:?} does not fit the declared one")));
                }
                input.dims = Some(sizes.iter().map(|&size| Dim::Fixed(size)).collect());
                continue;
            }
            let &[size] = sizes.as_slice() else {
                return Err(bad("no input has this name".to_owned()));
            };
            let mut found = false;
            for dim in graph.inputs.iter_mut().filter_map(|i| i.dims.as_mut()).flatten() {
                if *dim == Dim::Symbolic(name.clone()) {
                    *dim = Dim::Fixed(size);
                    found = true;
                }
            }
            if !found {
                return Err(bad("no input and no symbolic dimension has this name".to_owned()));
            }
        }
        Ok(())
    }
}
