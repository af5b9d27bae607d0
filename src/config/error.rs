//! Why settings were refused.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::outside::{Name, Text};

/// Longest part of a foreign parser's message that is shown: it may quote the input.
const MAX_REASON: usize = 200;

/// A setting that cannot be used, by the name under which it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Invalid {
    /// The field of the request, the flag, the variable or the key; empty when the whole text is at fault.
    pub field: Cow<'static, str>,
    pub reason: Cow<'static, str>,
}

impl Invalid {
    /// Either may quote the caller, so both are bounded here.
    pub fn new(field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        let field = match field.into() {
            Cow::Owned(field) => Name::from(field).to_string().into(),
            ours @ Cow::Borrowed(_) => ours,
        };
        let reason = match reason.into() {
            Cow::Owned(reason) => Text::from(reason).to_string().into(),
            ours @ Cow::Borrowed(_) => ours,
        };
        Self { field, reason }
    }

    /// Reads a JSON object; a wrong type or an unknown name is reported under its own path.
    pub fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Self> {
        // serde takes a list for a struct too, by position.
        if body.trim_ascii_start().first().is_some_and(|byte| *byte != b'{') {
            return Err(Self::new("", "expected a JSON object"));
        }
        let mut json = serde_json::Deserializer::from_slice(body);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let inner = error.into_inner();
            let field = if inner.is_data() { named(&path) } else { String::new() };
            Self::new(field, shortened(&inner.to_string()))
        })?;
        json.end().map_err(|error| Self::new("", shortened(&error.to_string())))?;
        Ok(value)
    }

    /// Reads a TOML document; as [`Invalid::from_json`].
    pub fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, Self> {
        let document =
            toml::Deserializer::parse(text).map_err(|error| Self::new("", shortened(error.message())))?;
        serde_path_to_error::deserialize(document).map_err(|error| {
            let path = named(&error.path().to_string());
            Self::new(path, shortened(error.into_inner().message()))
        })
    }
}

/// A path of names; the root, which is written as a dot, has none.
fn named(path: &str) -> String {
    let path = if path == "." { "" } else { path };
    path.to_owned()
}

fn shortened(reason: &str) -> String {
    reason.chars().take(MAX_REASON).collect()
}
