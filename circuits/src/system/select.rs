//! Binding a system to the public inputs that select rows of its constant tables.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::{AxisMap, IndexList, Source, System};

impl System {
    /// Whether some column is addressed by a public input.
    pub fn is_selective(&self) -> bool {
        self.instances.iter().flat_map(|i| &i.sources).any(|source| match source {
            Source::Column { maps, .. } => maps.iter().any(|m| matches!(m, AxisMap::Selected { .. })),
            _ => false,
        })
    }

    /// The system with every `Selected` map turned into the `Gather` that the public inputs (centred) say. `None` if an
    /// index is outside its table.
    pub fn select(&self, inputs: &[Vec<i32>]) -> Option<Cow<'_, Self>> {
        if !self.is_selective() {
            return Some(Cow::Borrowed(self));
        }
        let mut system = self.clone();
        for source in system.instances.iter_mut().flat_map(|i| &mut i.sources) {
            let Source::Column { column, maps } = source else { continue };
            let dims = &self.columns.get(*column as usize)?.dims;
            let mut at = 0usize;
            for map in maps {
                let size = *dims.get(at)?;
                at = at.checked_add(map.span())?;
                if let AxisMap::Selected { axis, input } = map {
                    let list = inputs.get(*input as usize)?.iter().map(|&i| u32::try_from(i).ok());
                    let list: Vec<u32> = list.collect::<Option<_>>()?;
                    if list.iter().any(|&i| i >= size) {
                        return None;
                    }
                    *map = AxisMap::Gather { axis: *axis, span: 1, list: IndexList::List(list) };
                }
            }
        }
        Some(Cow::Owned(system))
    }
}
