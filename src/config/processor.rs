//! How the audio processor is reached, beside its address.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::source::{Secret, headers};
use super::{Invalid, StreamOptions};
use crate::redact;

/// What goes with every connection to the processor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessorAccess {
    /// The Engine.IO path, which Socket.IO's own clients call `path`.
    pub path: Option<String>,
    /// The payload of the Socket.IO connect packet.
    pub auth: Option<ProcessorAuth>,
    /// Of the WebSocket handshake; names in lower case, each once.
    pub headers: Vec<(String, Secret)>,
}

/// Credentials as Socket.IO wants them: a JSON object. Neither `Debug` nor anything else shows it.
///
/// A text that is not a JSON object is a token, `{"token": TEXT}`: what most processors read. Serialized it is whole,
/// as every secret of a layer of settings.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ProcessorAuth(Value);

impl ProcessorAuth {
    /// From a flag or a variable.
    pub fn from_text(text: &str) -> Self {
        match serde_json::from_str(text) {
            Ok(object @ Value::Object(_)) => Self(object),
            _ => Self(serde_json::json!({ "token": text })),
        }
    }

    /// The object itself, to be sent and not to be shown.
    pub fn reveal(&self) -> &Value {
        &self.0
    }
}

impl fmt::Debug for ProcessorAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(redact::HIDDEN)
    }
}

impl<'de> Deserialize<'de> for ProcessorAuth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            object @ Value::Object(_) => Ok(Self(object)),
            Value::String(text) => Ok(Self::from_text(&text)),
            // Without what was given: it may be the secret itself.
            _ => Err(serde::de::Error::custom("expected an object or a token")),
        }
    }
}

impl ProcessorAccess {
    /// It goes with every connection; credentials are short.
    pub const MAX_AUTH: usize = 16 << 10;
    /// As long as the addresses that servers take.
    pub const MAX_PATH: usize = 1 << 10;

    /// What the WebSocket handshake says itself (RFC 6455 4.1).
    const OURS: [&str; 11] = [
        "host",
        "connection",
        "upgrade",
        "content-length",
        "transfer-encoding",
        "te",
        "expect",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
    ];
}

impl StreamOptions {
    pub(super) fn processor_access(&self) -> Result<ProcessorAccess, Invalid> {
        let auth = self.audio_processor_auth.clone();
        if auth.as_ref().is_some_and(|auth| auth.0.to_string().len() > ProcessorAccess::MAX_AUTH) {
            return Err(Invalid::new("audioProcessorAuth", "must not be longer than 16 KiB"));
        }
        if auth.as_ref().is_some_and(|auth| auth.0["token"] == redact::HIDDEN) {
            return Err(Invalid::new("audioProcessorAuth", "is hidden as it is shown: give the real one"));
        }
        let headers =
            headers("audioProcessorHeaders", &ProcessorAccess::OURS, self.audio_processor_headers.as_ref())?;
        let path = self.audio_processor_path.clone();
        if path.as_deref().is_some_and(|path| !is_path(path)) {
            return Err(Invalid::new(
                "audioProcessorPath",
                "must be a path such as /socket.io, without a query",
            ));
        }
        Ok(ProcessorAccess { path, auth, headers })
    }
}

/// python-socketio's servers are given their path without a slash in front.
fn is_path(text: &str) -> bool {
    let plain = !text.contains(['?', '#', '\\']) && !text.contains("//") && !text.contains("..");
    plain && (1..=ProcessorAccess::MAX_PATH).contains(&text.len()) && text.chars().all(|c| !c.is_control())
}
