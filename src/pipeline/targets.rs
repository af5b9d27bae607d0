//! The settings of the stages behind the source, from those of the stream.

use crate::config::{RtmpUrl, StreamSettings};
use crate::{publish, roundtrip};

pub(super) fn publish_settings(settings: &StreamSettings, url: &RtmpUrl) -> publish::Settings {
    publish::Settings {
        publish_timeout: settings.publish_timeout,
        opening: publish::Opening::WithMedia,
        ca_file: settings.ca_file.clone(),
        ..publish::Settings::new(url.as_str())
    }
}

pub(super) fn roundtrip_settings(settings: &StreamSettings) -> roundtrip::Settings {
    roundtrip::Settings {
        max_concurrent: settings.max_concurrent_batches,
        max_fragment_bytes: settings.processor_max_message,
        processor_priming: settings.processor_priming,
        output_audio: settings.output_audio,
        processing_budget: settings.processing_budget,
        engine_path: settings.processor.path.clone(),
        auth: settings.processor.auth.as_ref().map(|auth| auth.reveal().clone()),
        headers: settings
            .processor
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.reveal().to_owned()))
            .collect(),
        ca_file: settings.ca_file.clone(),
        ..roundtrip::Settings::new(settings.audio_processor_url.as_url().clone(), settings.stream_id.clone())
    }
}
