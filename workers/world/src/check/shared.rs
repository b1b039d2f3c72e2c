//! Parts of a domain that several checks look at, each found once.

use std::cell::OnceCell;

use super::cover::{Binding, bindings};
use crate::domain::Domain;
use crate::draw::{Cell, TemplateError, cells};
use crate::task::Split;
use crate::template::Template;

/// A domain under check, with what was found of it so far.
pub(super) struct Shared<'a> {
    pub domain: &'a Domain,
    /// By the number of the split.
    cells: [OnceCell<Result<Vec<Cell<'a>>, TemplateError>>; Split::ALL.len()],
    bindings: OnceCell<Vec<Vec<Binding<'a>>>>,
}

impl<'a> Shared<'a> {
    pub(super) fn of(domain: &'a Domain) -> Self {
        Self {
            domain,
            cells: Default::default(),
            bindings: OnceCell::new(),
        }
    }

    /// Returns the cells of a split, or the reason why it has none.
    pub(super) fn cells(&self, split: Split) -> Result<&[Cell<'a>], &TemplateError> {
        let found = self.cells[split as usize].get_or_init(|| cells(self.domain, split));
        found.as_deref()
    }

    /// Returns each template with the combinations of its facts, see [`bindings`].
    pub(super) fn bindings(&self) -> impl Iterator<Item = (&'a Template, &[Binding<'a>])> {
        let templates = &self.domain.templates;
        let found = self.bindings.get_or_init(|| {
            let each = templates.iter();
            each.map(|template| bindings(self.domain, template))
                .collect()
        });
        templates.iter().zip(found.iter().map(Vec::as_slice))
    }
}
