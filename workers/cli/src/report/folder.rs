//! The material of a page as a run's folder holds it. What cannot be read is a note, never an error.

use std::fs;
use std::path::Path;

use agoge_crds::Manifest;
use agoge_store::Store;
use serde::de::DeserializeOwned;

use super::Material;
use crate::driver::objects;

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

    /// Reads an object's file.
    fn object(&mut self, path: &Path) -> Option<Manifest> {
        let stem = path.file_stem()?.to_str()?;
        if path.extension()? != "json" || stem.starts_with('.') {
            return None;
        }
        let text = fs::read(path).map_err(|e| e.to_string());
        text.and_then(|text| objects::parse(&text))
            .map_err(|error| {
                let path = path.display();
                self.notes
                    .push(format!("the status {path} cannot be read: {error}"));
            })
            .ok()
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
