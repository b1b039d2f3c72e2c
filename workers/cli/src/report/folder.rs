//! The material of a page as a run's folder holds it. What cannot be read is a note, never an error.

use std::fs;
use std::path::Path;

use agoge_store::Store;
use serde_json::{Value, json};

use super::Material;
use super::run::Kind;
use super::text::text;

impl Material {
    /// Reads the folder; `None` when it is not one of a run.
    pub(super) fn of_folder(out: &Path) -> Option<Self> {
        let files = fs::read_dir(out.join("objects")).ok()?;
        let mut material = Self {
            result: read_json(&out.join("result.json")).unwrap_or_default(),
            ..Self::default()
        };
        for file in files.flatten() {
            let object = material.object(&file.path());
            material.objects.extend(object);
        }
        let works = fs::read_dir(out.join("work"))
            .into_iter()
            .flatten()
            .flatten();
        material.assignments = works
            .filter_map(|work| read_json(&work.path().join("assignment.json")))
            .collect();
        // Opening would make the folder: a report makes nothing but its page.
        let store = out.join("store");
        if store.is_dir() {
            material.store = Store::open(&store)
                .map_err(|e| material.notes.push(e.to_string()))
                .ok();
        }
        Some(material)
    }

    /// An object's file: the whole object, or its status alone under a name of `<kind>-<name>.json`.
    fn object(&mut self, path: &Path) -> Option<Value> {
        let stem = path.file_stem()?.to_str()?;
        if path.extension()? != "json" || stem.starts_with('.') {
            return None;
        }
        let Some(mut value) = read_json(path) else {
            self.notes
                .push(format!("the status {} cannot be read", path.display()));
            return None;
        };
        let (from_name, rest) = stem.split_once('-').unwrap_or((stem, ""));
        let kind = Kind::parse(text(&value, "kind")).or_else(|| Kind::parse(from_name))?;
        let whole =
            value.get("status").is_some_and(Value::is_object) || value.get("spec").is_some();
        if !whole {
            value = json!({ "metadata": value["metadata"].clone(), "status": value });
        }
        value["kind"] = json!(kind.name());
        if text(&value["metadata"], "name").is_empty() {
            value["metadata"] = json!({ "name": rest });
        }
        Some(value)
    }
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
