//! Why a batch goes out with its fallback. Pure.

use std::time::Duration;

use super::answer::AnswerError;
use crate::outside::{Name, Text};

/// Why there is no processed audio for a batch.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The processor had the fragment and did not answer before the deadline.
    #[error("no answer before the deadline, {:.1} s after sending", waited.as_secs_f64())]
    NoAnswer { waited: Duration },
    /// The deadline came before earlier fragments made room in the window.
    #[error("never sent: earlier fragments were unanswered until the deadline")]
    NotSent,
    /// At the deadline there was no connection, or the one that carried the fragment was lost.
    #[error("no connection to the processor at the deadline{}", if *.sent { " (lost after sending)" } else { "" })]
    Disconnected { sent: bool },
    #[error(transparent)]
    ProcessorError(#[from] ProcessorError),
    /// Larger than what the setting or the server allows; it was not sent, because servers close the
    /// connection over such a message.
    #[error("fragment of {size} bytes is over {limit}")]
    TooLarge { size: usize, limit: SizeLimit },
    /// The server, which announced no limit that forbids it, closed the connection because of its size. `closed` says
    /// who did and in which words.
    #[error("fragment of {size} bytes was refused: {closed}")]
    TooBig { size: usize, closed: Text },
    /// The circuit breaker is open: the fragment was not sent.
    #[error("circuit breaker is open after repeated failures")]
    BreakerOpen,
    #[error("answer cannot be used: {0}")]
    BadAnswer(#[from] AnswerError),
    /// The stream was stopped before an answer came.
    #[error("stopped before an answer came")]
    Stopped,
}

impl Failure {
    /// A short name for counters and status.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoAnswer { .. } => "noAnswer",
            Self::NotSent => "notSent",
            Self::Disconnected { .. } => "disconnected",
            Self::ProcessorError(_) => "processorError",
            Self::TooLarge { .. } | Self::TooBig { .. } => "tooLarge",
            Self::BreakerOpen => "breakerOpen",
            Self::BadAnswer(_) => "badAnswer",
            Self::Stopped => "stopped",
        }
    }

    /// Whether this says something about the processor, so that the breaker counts it. A refused size does: each such
    /// fragment costs the connection, so that after a few only the breaker's probes are sent.
    pub(super) fn blames_processor(&self) -> bool {
        !matches!(self, Self::TooLarge { .. } | Self::BreakerOpen | Self::Stopped)
    }
}

/// Whose limit a fragment exceeds, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeLimit {
    /// `processorMaxMessage` of the stream.
    Setting(usize),
    /// `maxPayload` of the Engine.IO handshake: Node's `maxHttpBufferSize`, Python's
    /// `max_http_buffer_size`, both 1 MB by default.
    Server(usize),
}

impl SizeLimit {
    /// The smaller of the two limits.
    pub(super) fn smaller(setting: usize, server: Option<usize>) -> Self {
        match server {
            Some(server) if server < setting => Self::Server(server),
            _ => Self::Setting(setting),
        }
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Setting(bytes) | Self::Server(bytes) => bytes,
        }
    }
}

impl std::fmt::Display for SizeLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Setting(bytes) => write!(f, "the setting processorMaxMessage of {bytes}"),
            Self::Server(bytes) => write!(
                f,
                "the processor's message limit of {bytes} (raise maxHttpBufferSize or max_http_buffer_size there)"
            ),
        }
    }
}

/// What a `fragment:error` said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("processor reports an error{}: {message}", code_shown(code.as_deref()))]
pub struct ProcessorError {
    pub code: Option<Name>,
    pub message: Text,
    /// The processor's own word on whether another try could help.
    retryable: Option<bool>,
}

/// Codes that mean "not now" and not "not this". Compared without case; `_`, `-` and spaces are one.
const RETRYABLE_CODES: [&str; 22] = [
    "BUSY",
    "OVERLOADED",
    "QUEUE_FULL",
    "RATE_LIMIT",
    "RATE_LIMITED",
    "RATE_LIMIT_EXCEEDED",
    "TOO_MANY_REQUESTS",
    "TIMEOUT",
    "TIMED_OUT",
    "TEMPORARY",
    "TEMPORARILY_UNAVAILABLE",
    "UNAVAILABLE",
    "SERVICE_UNAVAILABLE",
    "TRY_AGAIN",
    "RETRY",
    "NOT_READY",
    "WARMING_UP",
    "OUT_OF_MEMORY",
    "GPU_OOM",
    "RESOURCE_EXHAUSTED",
    "INTERNAL",
    "INTERNAL_ERROR",
];

/// The same among HTTP status codes, which some processors pass on.
const RETRYABLE_STATUS: [u16; 7] = [408, 425, 429, 500, 502, 503, 504];

impl ProcessorError {
    pub(super) fn new(code: Option<Name>, message: Text, retryable: Option<bool>) -> Self {
        Self { code, message, retryable }
    }

    /// Whether the same fragment may succeed later: the processor's word where it gives one, otherwise by
    /// the code. Without a known code the answer is no, since most processors report a failure once and
    /// for good.
    pub fn is_retryable(&self) -> bool {
        self.retryable.unwrap_or_else(|| self.code.as_deref().is_some_and(retryable_code))
    }
}

fn retryable_code(code: &str) -> bool {
    if let Ok(status) = code.parse::<u16>() {
        return RETRYABLE_STATUS.contains(&status);
    }
    let code = code.to_ascii_uppercase().replace(['-', ' '], "_");
    RETRYABLE_CODES.contains(&code.strip_prefix("E_").unwrap_or(&code))
}

fn code_shown(code: Option<&str>) -> String {
    code.map(|code| format!(" {code}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_whether_a_retry_helps() {
        let error = |code: &str| ProcessorError::new(Some(code.into()), Text::default(), None);
        for code in ["BUSY", "busy", "service-unavailable", "Rate Limited", "503", "429", "E_TIMEOUT"] {
            assert!(error(code).is_retryable(), "{code}");
        }
        for code in ["INVALID_FORMAT", "400", "413", "UNSUPPORTED_CODEC", "", "70000"] {
            assert!(!error(code).is_retryable(), "{code}");
        }
        assert!(!ProcessorError::new(None, Text::default(), None).is_retryable());
        assert!(ProcessorError::new(Some("400".into()), Text::default(), Some(true)).is_retryable());
    }

    #[test]
    fn failures_read_as_one_fact() {
        let large =
            Failure::TooLarge { size: 2_000_000, limit: SizeLimit::smaller(64 << 20, Some(1_000_000)) };
        assert_eq!(
            large.to_string(),
            "fragment of 2000000 bytes is over the processor's message limit of 1000000 \
             (raise maxHttpBufferSize or max_http_buffer_size there)"
        );
        let error = ProcessorError::new(Some("BUSY".into()), "later".into(), None);
        assert_eq!(Failure::from(error).to_string(), "processor reports an error BUSY: later");
        let error = ProcessorError::new(None, "later".into(), None);
        assert_eq!(Failure::from(error).to_string(), "processor reports an error: later");
        assert_eq!(
            Failure::Disconnected { sent: true }.to_string(),
            "no connection to the processor at the deadline (lost after sending)"
        );
        let waited = Duration::from_millis(41_500);
        assert_eq!(
            Failure::NoAnswer { waited }.to_string(),
            "no answer before the deadline, 41.5 s after sending"
        );
    }
}
