//! The member `metadata` of a request.

use serde::Deserialize;
use serde_json::{Map, Value};
use validator::{Validate, ValidationErrors};

use crate::http::validation::{JsonType, faults_of_members};
use crate::types::{Fault, Metadata};

/// An object that is metadata, or its faults.
#[derive(Debug, Deserialize)]
#[serde(from = "Map<String, Value>")]
pub(super) struct MetadataRequest(Result<Metadata, Vec<(Option<String>, Fault)>>);

impl MetadataRequest {
    /// None if it is not valid.
    pub fn into_metadata(self) -> Option<Metadata> {
        self.0.ok()
    }
}

impl From<Map<String, Value>> for MetadataRequest {
    fn from(object: Map<String, Value>) -> Self {
        Self(Metadata::parse(&object))
    }
}

impl JsonType for MetadataRequest {
    const NAME: &'static str = "an object";
}

impl Validate for MetadataRequest {
    fn validate(&self) -> Result<(), ValidationErrors> {
        self.0.as_ref().map(drop).map_err(|faults| faults_of_members(faults.clone()))
    }
}
