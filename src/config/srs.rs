//! Which SRS is behind which output.

use super::{HttpUrl, Invalid, OneOrMany, RtmpUrl, SrsControl};

/// Leaves an output out.
pub(super) const NONE: &str = "none";

/// One for each of `outputs`. A single address stands for all of them.
pub(super) fn controls(
    apis: Option<&OneOrMany>,
    hls: Option<&OneOrMany>,
    outputs: &[RtmpUrl],
) -> Result<Vec<Option<SrsControl>>, Invalid> {
    let apis = per_output("srsHttpApi", apis, outputs.len())?;
    let hls = per_output("srsHlsUrl", hls, outputs.len())?;
    let each = outputs.iter().zip(apis).zip(hls);
    each.map(|((output, api), hls)| {
        let Some(api) = api.filter(|api| *api != NONE) else { return Ok(None) };
        let api = HttpUrl::new(api).map_err(|reason| Invalid::new("srsHttpApi", reason))?;
        let hls = match hls {
            Some(NONE) => None,
            Some(template) => Some(playlist(template, output)?),
            None => Some(default_playlist(&api, output)?),
        };
        Ok(Some(SrsControl { api, hls }))
    })
    .collect()
}

fn per_output<'a>(
    field: &'static str,
    given: Option<&'a OneOrMany>,
    outputs: usize,
) -> Result<Vec<Option<&'a str>>, Invalid> {
    match given.map(OneOrMany::as_slice) {
        None | Some([]) => Ok(vec![None; outputs]),
        Some([one]) => Ok(vec![Some(one.as_str()); outputs]),
        Some(many) if many.len() == outputs => Ok(many.iter().map(|text| Some(text.as_str())).collect()),
        Some(_) => Err(Invalid::new(field, "must be one address, or one for each output")),
    }
}

fn default_playlist(api: &HttpUrl, output: &RtmpUrl) -> Result<HttpUrl, Invalid> {
    let host = api.as_url().host_str().unwrap_or_default();
    playlist(&format!("http://{host}:{}/{{app}}/{{stream}}.m3u8", SrsControl::DEFAULT_HLS_PORT), output)
}

fn playlist(template: &str, output: &RtmpUrl) -> Result<HttpUrl, Invalid> {
    let target = output.target();
    let url = template.replace("{app}", target.app_name()).replace("{stream}", target.stream_name());
    HttpUrl::new(&url).map_err(|reason| Invalid::new("srsHlsUrl", reason))
}
