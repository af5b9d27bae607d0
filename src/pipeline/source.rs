//! The source's part of a stream's settings, in the words of `hls`.

use crate::config::{SourceAuth, SourceProxy, StreamSettings};
use crate::hls::variant::Policy as VariantPolicy;
use crate::hls::{Proxy, Settings};
use crate::policy::Policy;

pub(super) fn settings(stream: &StreamSettings) -> Settings {
    let access = &stream.source;
    let mut settings = Settings::new(stream.source_url.as_url().clone());
    settings.live_start_segments = stream.live_start_segments;
    let choice = &stream.choice;
    settings.start_offset = choice.start_offset.map(|millis| millis as f64 / 1e3);
    settings.variant = VariantPolicy {
        // Every text is a choice.
        pick: choice.variant.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default(),
        max_height: choice.max_height,
        max_bandwidth: choice.max_bandwidth,
        audio_language: choice.audio_language.clone(),
        audio_name: choice.audio_name.clone(),
    };
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
    settings.ca_file.clone_from(&stream.ca_file);
    settings.policy = Policy { allowed: access.allowed_hosts.clone() };
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StreamOptions;
    use crate::hls::variant::Pick;

    #[test]
    fn the_choice_of_a_variant_and_of_a_beginning_reaches_the_reader() {
        let options = StreamOptions {
            stream_id: Some("a".to_owned()),
            source_url: Some("http://h/a.m3u8".to_owned()),
            source_variant: Some("2".to_owned()),
            source_max_bandwidth: Some(3_000_000),
            source_audio_name: Some("Deutsch".to_owned()),
            start_offset: Some(-90.0),
            ..StreamOptions::default()
        };
        let settings = settings(&options.resolve().unwrap());
        let expected = VariantPolicy {
            pick: Pick::Index(2),
            max_bandwidth: Some(3_000_000),
            audio_name: Some("Deutsch".to_owned()),
            ..VariantPolicy::default()
        };
        assert_eq!((settings.variant, settings.start_offset), (expected, Some(-90.0)));
    }
}
