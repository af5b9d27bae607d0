//! What a server's answers to `connect` say beyond yes and no.

use crate::amf0::Value;
use crate::{Challenge, Error};

/// What a server takes, of the properties or the information object of its answer to `connect` (Enhanced RTMP v2,
/// "Enhancing NetConnection connect Command"): a list of FourCCs, or objects that map them to what it can do.
pub(super) fn four_ccs(object: &Value) -> impl Iterator<Item = String> {
    let list = match object.get("fourCcList") {
        Some(Value::StrictArray(list)) => &list[..],
        _ => &[],
    };
    let maps = ["audioFourCcInfoMap", "videoFourCcInfoMap"].into_iter().filter_map(|name| object.get(name));
    let mapped = maps.flat_map(|map| match map {
        Value::Object(pairs) | Value::EcmaArray(pairs) => &pairs[..],
        _ => &[],
    });
    let able = mapped.filter(|(_, flags)| flags.as_number().is_some_and(|flags| flags >= 1.0));
    list.iter().filter_map(Value::as_str).chain(able.map(|(name, _)| &**name)).map(str::to_owned)
}

/// What a refused `connect` is to be followed by, where it says so: another address (`ex.redirect`, with `ex.code` 302:
/// Flash Media Server's way, which SRS and others took over), or user and password.
pub(super) fn remedy(info: &Value) -> Option<Error> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let redirect = info.get("ex").and_then(|ex| text(ex.get("redirect")));
    if let Some(to) = redirect.filter(|to| !to.is_empty()) {
        return Some(Error::Redirected { to });
    }
    Challenge::parse(&text(info.get("description"))?).map(Error::Challenged)
}
