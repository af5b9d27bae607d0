//! Checked settings back to the layer that gives them: the request that would start the same stream again.

use std::collections::BTreeMap;

use super::options::STREAM_ID;
use super::{
    HttpUrl, OneOrMany, ProcessorAccess, ProcessorAuth, Retention, Secret, Size, SourceAccess, SourceAuth,
    SourceChoice, SourceProxy, Span, SrsControl, StreamOptions, StreamSettings, srs,
};
use crate::redact;

impl From<&StreamSettings> for StreamOptions {
    /// Whole, secrets included: every setting is named, defaults too, so that it means the same after the
    /// defaults have changed.
    fn from(settings: &StreamSettings) -> Self {
        // No `..` on either side: a setting that is added must be added here.
        let StreamSettings {
            stream_id,
            source_url,
            source,
            choice,
            audio_processor_url,
            processor,
            srs_rtmp_urls,
            srs,
            srs_kick_ghost,
            publish_timeout,
            ca_file,
            buffer_duration,
            processing_budget,
            fallback,
            configuration_change,
            output_audio,
            on_gap,
            slate,
            max_concurrent_batches,
            live_start_segments,
            artifacts,
            retention: Retention { batches, age, bytes },
            processor_priming,
            context_frames,
            processor_max_message,
        } = settings;
        let SourceAccess { headers, user_agent, auth, proxy, allowed_hosts } = source;
        let SourceChoice {
            variant,
            max_height,
            max_bandwidth,
            audio_language,
            audio_name,
            audio_pid,
            start_offset,
        } = choice;
        let ProcessorAccess { path: processor_path, auth: processor_auth, headers: processor_headers } =
            processor;
        let given = |list: Vec<String>| (!list.is_empty()).then_some(list);
        Self {
            stream_id: Some(stream_id.to_string()),
            source_url: Some(source_url.as_str().to_owned()),
            source_headers: (!headers.is_empty()).then(|| headers.iter().cloned().collect()),
            source_user_agent: user_agent.clone(),
            source_auth: auth.as_ref().map(|auth| match auth {
                SourceAuth::Basic { user, password } => {
                    Secret::new(format!("basic {user}:{}", password.reveal()))
                }
                SourceAuth::Bearer(token) => Secret::new(format!("bearer {}", token.reveal())),
            }),
            source_proxy: match proxy {
                SourceProxy::Environment => None,
                SourceProxy::Direct => Some("none".to_owned()),
                SourceProxy::Url(url) => Some(url.as_str().to_owned()),
            },
            source_allowed_hosts: given(allowed_hosts.iter().map(ToString::to_string).collect()),
            source_variant: variant.clone(),
            source_max_height: *max_height,
            source_max_bandwidth: *max_bandwidth,
            source_audio_language: audio_language.clone(),
            source_audio_name: audio_name.clone(),
            source_audio_pid: audio_pid.map(u64::from),
            start_offset: start_offset.map(|millis| millis as f64 / 1e3),
            audio_processor_url: Some(audio_processor_url.as_str().to_owned()),
            audio_processor_path: processor_path.clone(),
            audio_processor_auth: processor_auth.clone(),
            audio_processor_headers: (!processor_headers.is_empty())
                .then(|| processor_headers.iter().cloned().collect()),
            srs_rtmp_url: Some(OneOrMany::Many(
                srs_rtmp_urls.iter().map(|url| url.as_str().to_owned()).collect(),
            )),
            srs_http_api: some_of(srs, |control| control.map(|control| control.api.as_str())),
            srs_hls_url: some_of(srs, |control| control?.hls.as_ref().map(HttpUrl::as_str)),
            srs_kick_ghost: Some(*srs_kick_ghost),
            publish_timeout: Some(Span(*publish_timeout)),
            ca_file: ca_file.clone(),
            buffer_duration: Some(Span(*buffer_duration)),
            processing_budget: Some(Span(*processing_budget)),
            fallback: Some(*fallback),
            configuration_change: Some(*configuration_change),
            output_audio: Some(*output_audio),
            on_gap: Some(*on_gap),
            slate: slate.clone(),
            max_concurrent_batches: Some(*max_concurrent_batches),
            live_start_segments: Some(*live_start_segments),
            artifacts: Some(*artifacts),
            retain_batches: *batches,
            retain_age: age.map(Span),
            retain_bytes: bytes.map(Size),
            processor_priming: Some(*processor_priming),
            context_frames: Some(*context_frames),
            processor_max_message: Some(*processor_max_message),
        }
    }
}

/// One for each output, where any has one.
fn some_of<'a>(
    controls: &'a [Option<SrsControl>],
    address: impl Fn(Option<&'a SrsControl>) -> Option<&'a str>,
) -> Option<OneOrMany> {
    let each = controls.iter().map(|control| address(control.as_ref()).unwrap_or(srs::NONE).to_owned());
    controls.iter().any(Option::is_some).then(|| OneOrMany::Many(each.collect()))
}

impl StreamOptions {
    /// The same for everybody's eyes: secrets hidden, addresses shortened. What is hidden is refused as a setting,
    /// so that it is not taken for the real one.
    #[must_use]
    pub fn redacted(self) -> Self {
        let hidden = |_: Secret| Secret::new(redact::HIDDEN);
        let headers = |headers: BTreeMap<String, Secret>| {
            headers.into_iter().map(|(name, value)| (name, hidden(value))).collect()
        };
        let url = |url: String| redact::url(&url);
        let each = |urls: OneOrMany, shown: fn(&str) -> String| {
            OneOrMany::Many(
                urls.as_slice()
                    .iter()
                    .map(|url| if url == "none" { url.clone() } else { shown(url) })
                    .collect(),
            )
        };
        Self {
            source_url: self.source_url.map(url),
            source_headers: self.source_headers.map(headers),
            source_auth: self.source_auth.map(hidden),
            source_proxy: self.source_proxy.map(|proxy| if proxy == "none" { proxy } else { url(proxy) }),
            audio_processor_url: self.audio_processor_url.map(url),
            audio_processor_auth: self.audio_processor_auth.map(|_| ProcessorAuth::from_text(redact::HIDDEN)),
            audio_processor_headers: self.audio_processor_headers.map(headers),
            srs_rtmp_url: self.srs_rtmp_url.map(|urls| each(urls, output)),
            srs_http_api: self.srs_http_api.map(|urls| each(urls, redact::url)),
            // Its last component is the name of the stream, which is the key.
            srs_hls_url: self.srs_hls_url.map(|urls| each(urls, redact::rtmp_url)),
            ..self
        }
    }
}

/// An output's address. A key that is the stream's name is none.
fn output(url: &str) -> String {
    match url.strip_suffix(STREAM_ID) {
        Some(app) => redact::url(app) + STREAM_ID,
        None => redact::rtmp_url(url),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Invalid;
    use super::*;

    #[test]
    fn shown_settings_hold_no_secret_and_cannot_be_taken_for_real_ones() {
        let body = br#"{
            "streamId": "a", "sourceUrl": "https://u:secret1@h/a.m3u8?token=secret2",
            "sourceHeaders": {"X-Key": "secret3"}, "sourceAuth": "basic me:secret4",
            "sourceProxy": "http://u:secret5@proxy:8080", "audioProcessorUrl": "http://p/?key=secret6",
            "audioProcessorAuth": {"key": "secret8"}, "audioProcessorHeaders": {"cookie": "secret9"},
            "srsRtmpUrl": ["rtmp://h/live/secret7?k=v"], "srsHttpApi": "http://u:secret10@srs:1985/?k=secret11",
            "srsHlsUrl": "http://srs/{stream}.m3u8?k=secret12"
        }"#;
        let settings = Invalid::from_json::<StreamOptions>(body).unwrap().resolve().unwrap();
        let shown = serde_json::to_value(StreamOptions::from(&settings).redacted()).unwrap();
        assert!(!shown.to_string().contains("cret"), "{shown}");
        assert_eq!(shown["srsRtmpUrl"][0], "rtmp://h/live/se…");
        for field in [
            "sourceUrl",
            "sourceHeaders",
            "sourceAuth",
            "audioProcessorUrl",
            "audioProcessorAuth",
            "audioProcessorHeaders",
            "srsRtmpUrl",
            "srsHttpApi",
        ] {
            let mut request = serde_json::json!({"streamId": "a", "sourceUrl": "http://h/a.m3u8"});
            request[field] = shown[field].clone();
            let options = Invalid::from_json::<StreamOptions>(request.to_string().as_bytes()).unwrap();
            assert_eq!(options.resolve().unwrap_err().field, field);
        }
    }

    #[test]
    fn an_output_named_like_its_stream_has_no_key_to_hide() {
        assert_eq!(output("rtmp://u:secret@h/live/{streamId}"), "rtmp://h/live/{streamId}");
        assert_eq!(output("rtmp://h/live/{streamId}?k=secret"), "rtmp://h/live/{s…");
        assert_eq!(output("rtmp://h/live/secret"), "rtmp://h/live/se…");
    }

    #[test]
    fn settings_come_back_the_same_through_json() {
        let rich = br#"{
            "streamId": "a", "sourceUrl": "https://u:p@h/a.m3u8?token=1",
            "sourceHeaders": {"X-Key": "k", "cookie": "c=1"}, "sourceUserAgent": "x",
            "sourceAuth": "basic me:a:b", "sourceProxy": "none",
            "sourceAllowedHosts": ["cdn.example", "*.cdn.example", "10.1.0.0/16"],
            "sourceVariant": "720p", "sourceMaxHeight": 720, "sourceMaxBandwidth": 3000000,
            "sourceAudioLanguage": "en", "sourceAudioName": "English", "sourceAudioPid": 258,
            "startOffset": -90.5,
            "audioProcessorUrl": "ws://p/x", "audioProcessorPath": "/custom", "audioProcessorAuth": {"token": "t", "n": 1},
            "audioProcessorHeaders": {"x-key": "k"}, "contextFrames": 2, "srsRtmpUrl": ["rtmp://h/live/{streamId}", "rtmps://i/a/b?k=v"],
            "bufferDuration": 4.5, "processingBudget": "2m", "fallback": "drop-audio",
            "configurationChange": "silence", "outputAudio": "enhanced", "onGap": "slate", "slate": "/srv/slate.mp4", "maxConcurrentBatches": 7, "liveStartSegments": 2,
            "srsHttpApi": ["http://u:p@s:1985", "none"], "srsHlsUrl": ["https://s/{app}/{stream}.m3u8", "none"],
            "srsKickGhost": "dead", "publishTimeout": "45s", "caFile": "/etc/ca.pem", "artifacts": "segments", "retainBatches": 100, "retainAge": "12h", "retainBytes": "5GB", "processorPriming": 2112, "processorMaxMessage": 1000000
        }"#;
        let plain = br#"{"streamId": "a", "sourceUrl": "http://h/a.m3u8"}"#;
        for body in [&rich[..], plain] {
            let settings = Invalid::from_json::<StreamOptions>(body).unwrap().resolve().unwrap();
            let text = serde_json::to_string(&StreamOptions::from(&settings)).unwrap();
            let again = Invalid::from_json::<StreamOptions>(text.as_bytes()).unwrap().resolve().unwrap();
            assert_eq!(again, settings);
        }
    }
}
