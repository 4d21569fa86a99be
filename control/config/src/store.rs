//! Every value of every layer, the merged view over them, and a generation per change.
//!
//! A reload or a change while running goes through [`Store::set`] and [`Store::unset`]; each that
//! changes something raises the generation by one. Whoever follows changes compares generations;
//! nothing is lost by looking late, because the store always holds the whole state.

use std::borrow::Cow;

use crate::error::{Problem, SetError};
use crate::layer::Layer;
use crate::place::Place;
use crate::secret::MASK;
use crate::table::{self, Row};
use crate::value::Value;

/// Layers over the table.
#[derive(Clone, Debug)]
pub struct Store {
    /// Per row: what the layers above the default hold, lowest first.
    slots: Vec<Vec<Assigned>>,
    generation: u64,
}

/// A value somebody set.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigned {
    /// By whom.
    pub layer: Layer,
    /// Where.
    pub place: Place,
    /// What.
    pub value: Value,
}

/// A setting as the merged view shows it.
#[derive(Clone, Debug)]
pub struct Resolved<'s> {
    /// Its row.
    pub row: &'static Row,
    /// The value that counts.
    pub value: &'s Value,
    /// The layer it comes from.
    pub layer: Layer,
    /// Where in that layer.
    pub place: Cow<'s, Place>,
}

/// One line of the listing.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// Dotted key.
    pub key: &'static str,
    /// Value in the notation of the environment; secrets are masked.
    pub value: String,
    /// The same as JSON.
    pub json: serde_json::Value,
    /// The layer that set it.
    pub layer: Layer,
    /// Where it was set.
    pub place: Place,
    /// Whether nobody set it.
    pub is_default: bool,
    /// Whether a change can be applied without a restart.
    pub reloadable: bool,
    /// Whether this version acts on it.
    pub has_effect: bool,
}

/// One layer's value of one row that differs between two stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The row.
    pub(crate) index: usize,
    /// The layer.
    pub(crate) layer: Layer,
    /// Whether the layer lost its value; else it got one, or another.
    pub(crate) is_unset: bool,
}

/// A value on its way into a layer, with its row's index.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    pub(crate) index: usize,
    pub(crate) place: Place,
    pub(crate) value: Value,
}

// === impl Store ===

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// Defaults only, generation 0.
    pub fn new() -> Self {
        Self {
            slots: vec![Vec::new(); table::table().rows().len()],
            generation: 0,
        }
    }

    /// Rises by one with every change.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Puts a value into a layer. The generation it makes; the present one when the layer already
    /// held that value.
    ///
    /// # Errors
    /// An unknown key, a value the setting does not take, or the default layer. Nothing changes then.
    pub fn set(
        &mut self,
        key: &str,
        layer: Layer,
        value: Value,
        place: Place,
    ) -> Result<u64, SetError> {
        let (index, row) = find(key, layer)?;
        if !row.kind.accepts(&value) {
            let shown = if row.is_secret() {
                MASK.to_owned()
            } else {
                value.text()
            };
            return Err(SetError::Wrong(wrong(
                row,
                place,
                shown,
                row.kind.describe(),
            )));
        }
        Ok(self.assign(
            Assignment {
                index,
                place,
                value,
            },
            layer,
        ))
    }

    /// The same from the notation of flags and the environment.
    ///
    /// # Errors
    /// As [`Store::set`].
    pub fn set_text(
        &mut self,
        key: &str,
        layer: Layer,
        text: &str,
        place: Place,
    ) -> Result<u64, SetError> {
        let (index, row) = find(key, layer)?;
        match row.read_text(text) {
            Ok(value) => Ok(self.assign(
                Assignment {
                    index,
                    place,
                    value,
                },
                layer,
            )),
            Err(mismatch) => Err(SetError::Wrong(wrong(
                row,
                place,
                mismatch.shown,
                mismatch.expected,
            ))),
        }
    }

    /// Takes a layer's value away. The generation it makes; the present one when there was none.
    ///
    /// # Errors
    /// An unknown key, or the default layer.
    pub fn unset(&mut self, key: &str, layer: Layer) -> Result<u64, SetError> {
        let (index, _) = find(key, layer)?;
        let slot = &mut self.slots[index];
        if let Some(at) = slot.iter().position(|assigned| assigned.layer == layer) {
            slot.remove(at);
            self.generation += 1;
        }
        Ok(self.generation)
    }

    pub(crate) fn assign(&mut self, assignment: Assignment, layer: Layer) -> u64 {
        let Assignment {
            index,
            place,
            value,
        } = assignment;
        let slot = &mut self.slots[index];
        let at = slot.partition_point(|assigned| assigned.layer < layer);
        let assigned = Assigned {
            layer,
            place,
            value,
        };
        match slot.get_mut(at) {
            Some(present) if *present == assigned => return self.generation,
            Some(present) if present.layer == layer => *present = assigned,
            _ => slot.insert(at, assigned),
        }
        self.generation += 1;
        self.generation
    }

    /// What counts for a key.
    pub fn get(&self, key: &str) -> Option<Resolved<'_>> {
        table::table().index(key).map(|index| self.resolve(index))
    }

    /// All layers above the default that set a key, lowest first.
    pub fn layers(&self, key: &str) -> &[Assigned] {
        table::table()
            .index(key)
            .map_or(&[], |index| &self.slots[index])
    }

    /// What one layer holds for a key; every key of the table has a default.
    pub fn value_in(&self, key: &str, layer: Layer) -> Option<&Value> {
        let table = table::table();
        let index = table.index(key)?;
        if layer == Layer::Default {
            return Some(table.default(index));
        }
        let slot = self.slots[index].iter();
        let mut found = slot.filter(|assigned| assigned.layer == layer);
        found.next().map(|assigned| &assigned.value)
    }

    /// What counts for every row, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = Resolved<'_>> {
        (0..self.slots.len()).map(|index| self.resolve(index))
    }

    /// The listing for people and scripts, in the order of the table.
    pub fn effective(&self) -> Vec<Effective> {
        self.iter()
            .map(|resolved| Effective {
                key: resolved.row.key,
                value: resolved.value.text(),
                json: resolved.value.json(),
                layer: resolved.layer,
                is_default: resolved.is_default(),
                reloadable: resolved.row.reloadable,
                has_effect: resolved.row.applies == table::Applies::Now,
                place: resolved.place.into_owned(),
            })
            .collect()
    }

    /// What has to be set and unset to get from here to `later`, by row, then by layer. Places do not
    /// count: a value that moved to another line is the same value.
    pub(crate) fn differences(&self, later: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (index, (old, new)) in self.slots.iter().zip(&later.slots).enumerate() {
            let value_in = |slot: &[Assigned], layer: Layer| {
                slot.iter().position(|assigned| assigned.layer == layer)
            };
            for layer in Layer::ALL {
                let (before, after) = (value_in(old, layer), value_in(new, layer));
                let is_same = before.map(|at| &old[at].value) == after.map(|at| &new[at].value);
                if !is_same {
                    differences.push(Difference {
                        index,
                        layer,
                        is_unset: after.is_none(),
                    });
                }
            }
        }
        differences
    }

    /// Takes what `other` holds in these layers instead of what is here.
    pub(crate) fn take_layers(&mut self, other: &Self, layers: &[Layer]) {
        for (slot, theirs) in self.slots.iter_mut().zip(&other.slots) {
            slot.retain(|assigned| !layers.contains(&assigned.layer));
            let taken = theirs
                .iter()
                .filter(|assigned| layers.contains(&assigned.layer));
            slot.extend(taken.cloned());
            slot.sort_by_key(|assigned| assigned.layer);
        }
    }

    pub(crate) fn resolve(&self, index: usize) -> Resolved<'_> {
        let table = table::table();
        let row = table.rows()[index];
        match self.slots[index].last() {
            Some(assigned) => Resolved {
                row,
                value: &assigned.value,
                layer: assigned.layer,
                place: Cow::Borrowed(&assigned.place),
            },
            None => Resolved {
                row,
                value: table.default(index),
                layer: Layer::Default,
                place: Cow::Owned(Place::Table),
            },
        }
    }
}

fn find(key: &str, layer: Layer) -> Result<(usize, &'static Row), SetError> {
    let table = table::table();
    let Some(index) = table.index(key) else {
        return Err(SetError::UnknownKey(key.to_owned()));
    };
    if layer == Layer::Default {
        return Err(SetError::DefaultLayer(key.to_owned()));
    }
    Ok((index, table.rows()[index]))
}

/// A problem with a row's value; hides it when the row is secret.
pub(crate) fn wrong(row: &Row, place: Place, shown: String, expected: String) -> Problem {
    let value = if row.is_secret() {
        MASK.to_owned()
    } else {
        shown
    };
    Problem {
        place,
        key: row.key.to_owned(),
        value,
        expected,
    }
}

// === impl Resolved ===

impl Resolved<'_> {
    /// Whether nobody set it.
    pub fn is_default(&self) -> bool {
        self.layer == Layer::Default
    }
}

#[cfg(test)]
mod tests;
