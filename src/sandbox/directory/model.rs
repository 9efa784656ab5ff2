//! What the directory knows, and keeps.

use super::patch::{self, Operation};
use super::search::finds;
use crate::sandbox::SandboxError;
use crate::sandbox::layout::write_whole;
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;

/// The resources, in memory and in one file.
pub(super) struct Model {
    file: PathBuf,
    resources: Vec<Value>,
    seen: Seen,
}

/// What was asked of it since its start.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Seen {
    /// Readings and searches.
    pub(super) reads: u64,
    /// Patches that were applied, in order.
    pub(super) patches: Vec<Applied>,
    /// Patches that were asked for, applied or not.
    pub(super) asked: u64,
}

/// A patch that was applied.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Applied {
    /// `Practitioner/…`
    resource: String,
    operations: Vec<Operation>,
}

/// Why a patch was not applied.
#[derive(Debug)]
pub(super) enum Unpatched {
    /// There is no such resource.
    NotFound,
    /// The patch cannot be applied to it.
    Refused(String),
    /// The file cannot be written.
    Broken(SandboxError),
}

impl Model {
    /// What the file holds, and of `seeds` what it lacks.
    ///
    /// # Errors
    /// The file cannot be read or written, or is not the look-alike's.
    pub(super) fn open(file: PathBuf, seeds: Vec<Value>) -> Result<Self, SandboxError> {
        let mut resources: Vec<Value> = match std::fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).map_err(SandboxError::internal("annuaire/resources.json"))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(SandboxError::file(&file)(error)),
        };
        for seed in seeds {
            let is_there = |known: &Value| reference(known) == reference(&seed);
            if !resources.iter().any(is_there) {
                resources.push(seed);
            }
        }
        let model = Self { file, resources, seen: Seen::default() };
        model.keep(&model.resources)?;
        Ok(model)
    }

    pub(super) fn resources(&self) -> &[Value] {
        &self.resources
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.clone()
    }

    /// Every resource.
    pub(super) fn read(&mut self, kind: &str, id: &str) -> Option<Value> {
        self.seen.reads += 1;
        let wanted = format!("{kind}/{id}");
        self.resources.iter().find(|resource| reference(resource) == wanted).cloned()
    }

    /// Those of a type that all the parameters find.
    ///
    /// # Errors
    /// The name of a parameter that there is not.
    pub(super) fn search(&mut self, kind: &str, parameters: &[(String, String)]) -> Result<Vec<Value>, String> {
        self.seen.reads += 1;
        self.matching(kind, parameters)
    }

    /// [`Model::search`], for a patch by condition: not counted as a reading.
    ///
    /// # Errors
    /// The name of a parameter that there is not.
    pub(super) fn matching(&self, kind: &str, parameters: &[(String, String)]) -> Result<Vec<Value>, String> {
        let mut found = Vec::new();
        for resource in self.resources.iter().filter(|resource| resource["resourceType"] == kind) {
            let mut is_found = true;
            for (name, value) in parameters {
                is_found &= finds(resource, name, value).ok_or_else(|| name.clone())?;
            }
            if is_found {
                found.push(resource.clone());
            }
        }
        Ok(found)
    }

    /// The professionals of these activities, and the activities of these professionals, but for those that are there.
    pub(super) fn along(&self, page: &[Value]) -> Vec<Value> {
        let belong = |one: &Value, other: &Value| one["practitioner"]["reference"] == reference(other).as_str();
        let is_there = |one: &&Value| page.iter().any(|found| reference(found) == reference(one));
        let comes = |one: &&Value| page.iter().any(|found| belong(one, found) || belong(found, one));
        self.resources.iter().filter(|one| !is_there(one) && comes(one)).cloned().collect()
    }

    /// Patches a resource, keeps it, and gives it back.
    ///
    /// # Errors
    /// [`Unpatched`].
    pub(super) fn patch(&mut self, kind: &str, id: &str, operations: &[Operation]) -> Result<Value, Unpatched> {
        let wanted = format!("{kind}/{id}");
        let place = self.resources.iter().position(|resource| reference(resource) == wanted);
        let place = place.ok_or(Unpatched::NotFound)?;
        let patched = patch::apply(operations, &self.resources[place]).map_err(Unpatched::Refused)?;
        let mut resources = self.resources.clone();
        resources[place] = patched.clone();
        self.keep(&resources).map_err(Unpatched::Broken)?;
        self.resources = resources;
        self.seen.patches.push(Applied { resource: wanted, operations: operations.to_vec() });
        Ok(patched)
    }

    pub(super) fn note_asked(&mut self) {
        self.seen.asked += 1;
    }

    fn keep(&self, resources: &[Value]) -> Result<(), SandboxError> {
        let text = serde_json::to_vec_pretty(resources).map_err(SandboxError::internal("annuaire/resources.json"))?;
        write_whole(&self.file, &text, 0o600)
    }
}

/// `Practitioner/…`
pub(super) fn reference(resource: &Value) -> String {
    let text = |name: &str| resource[name].as_str().unwrap_or_default();
    format!("{}/{}", text("resourceType"), text("id"))
}
