//! Tasks of tau2-bench, which are seeds: they have no dialogue of their own.

use agoge_world::Domain;
use serde_json::Value;

use super::{Given, Reader};
use crate::tau2::TaskReader;

/// The reader.
pub struct Tau2;

impl Reader for Tau2 {
    fn name(&self) -> &'static str {
        "tau2"
    }

    fn fits(&self, row: &Value) -> bool {
        !row["user_scenario"].is_null()
    }

    fn read(&self, row: &Value, domain: &Domain) -> Result<Given, String> {
        let reader = TaskReader::new(&domain.name, &domain.schema);
        let given = reader.read(1, row).map_err(|error| error.to_string())?;
        Ok(Given {
            id: Some(given.task.id.clone()),
            task: Some(given.task),
            ..Given::default()
        })
    }
}
