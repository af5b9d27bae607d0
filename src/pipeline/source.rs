//! The source's part of a stream's settings, in the words of `hls`.

use crate::config::{SourceAuth, SourceProxy, StreamSettings};
use crate::hls::{Proxy, Settings};
use crate::policy::Policy;

pub(super) fn settings(stream: &StreamSettings) -> Settings {
    let access = &stream.source;
    let mut settings = Settings::new(stream.source_url.as_url().clone());
    settings.live_start_segments = stream.live_start_segments;
    let headers = access.headers.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned()));
    settings.headers = headers.collect();
    match &access.auth {
        Some(SourceAuth::Basic { user, password }) => {
            // Neither fails for an address that has a host, which HttpUrl guarantees.
            let _ = settings.url.set_username(user);
            let _ = settings.url.set_password(Some(password.reveal()));
        }
        Some(SourceAuth::Bearer(token)) => {
            settings.headers.push(("authorization".to_owned(), format!("Bearer {}", token.reveal())));
        }
        None => {}
    }
    if let Some(user_agent) = &access.user_agent {
        settings.user_agent.clone_from(user_agent);
    }
    settings.proxy = match &access.proxy {
        SourceProxy::Environment => Proxy::Environment,
        SourceProxy::Direct => Proxy::Direct,
        SourceProxy::Url(url) => Proxy::Url(url.as_url().clone()),
    };
    settings.policy = Policy { allowed: access.allowed_hosts.clone() };
    settings
}
