//! Attribute lists (RFC 8216 4.2), read the tolerant way and written the strict way.

use std::ops::Deref;

use super::limits::MAX_ATTRIBUTES;

/// One `NAME=value` of an attribute list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    pub(super) quoted: bool,
}

/// The attributes of one tag.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    read: Vec<Attribute<'a>>,
    /// Beyond [`MAX_ATTRIBUTES`].
    pub(super) left_out: u64,
}

impl<'a> Deref for Attributes<'a> {
    type Target = [Attribute<'a>];

    fn deref(&self) -> &Self::Target {
        &self.read
    }
}

/// The well-formed attributes of `list`, in order. What has no name or no `=` is skipped, an open quote
/// ends with the line: servers cut lists short, and the rest of the line is still good.
pub(super) fn parse(list: &str) -> Attributes<'_> {
    let mut attributes = Attributes::default();
    let mut rest = list.trim_start_matches([',', ' ', '\t']);
    while !rest.is_empty() {
        let end_of_name = rest.find(['=', ',']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end_of_name);
        let Some(after) = after.strip_prefix('=') else {
            rest = after.trim_start_matches([',', ' ', '\t']);
            continue;
        };
        let (value, quoted, after) = match after.strip_prefix('"') {
            Some(open) => match open.split_once('"') {
                Some((value, after)) => (value, true, after),
                None => (open, true, ""),
            },
            None => {
                let end = after.find(',').unwrap_or(after.len());
                let (value, after) = after.split_at(end);
                (value.trim(), false, after)
            }
        };
        let name = name.trim();
        if attributes.read.len() >= MAX_ATTRIBUTES {
            attributes.left_out += u64::from(!name.is_empty());
        } else if !name.is_empty() {
            attributes.read.push(Attribute { name, value, quoted });
        }
        // Whatever stands between a closing quote and the next comma belongs to no attribute.
        rest = after.find(',').and_then(|comma| after.get(comma + 1..)).unwrap_or("");
        rest = rest.trim_start_matches([',', ' ', '\t']);
    }
    attributes
}

/// The value of the attribute `name`, when it is there and not empty.
pub(super) fn value<'a>(attributes: &[Attribute<'a>], name: &str) -> Option<&'a str> {
    attributes.iter().find(|a| a.name == name).map(|a| a.value).filter(|value| !value.is_empty())
}

/// Appends `NAME=value` or `NAME="value"`, with a comma where one is due.
pub(super) fn push(list: &mut String, name: &str, value: &str, quoted: bool) {
    if !list.is_empty() {
        list.push(',');
    }
    list.push_str(name);
    list.push('=');
    if quoted {
        list.push('"');
        list.extend(value.chars().filter(|c| *c != '"'));
        list.push('"');
    } else {
        list.extend(value.chars().filter(|c| *c != ',' && *c != '"'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_inside_quotes_do_not_split() {
        let list = parse(r#"BANDWIDTH=1280000, CODECS="avc1.4d401f,mp4a.40.2" ,RESOLUTION=1280x720"#);
        assert_eq!(value(&list, "CODECS"), Some("avc1.4d401f,mp4a.40.2"));
        assert_eq!(value(&list, "RESOLUTION"), Some("1280x720"));
        assert_eq!(value(&list, "BANDWIDTH"), Some("1280000"));
        assert!(list[1].quoted);
    }

    #[test]
    fn damaged_lists_give_what_is_whole() {
        assert_eq!(value(&parse("FOO,BAR=1,=2,URI=\"cut"), "BAR"), Some("1"));
        assert_eq!(value(&parse("FOO,BAR=1,=2,URI=\"cut"), "URI"), Some("cut"));
        assert_eq!(value(&parse("URI=\"\",A=1"), "URI"), None);
        assert_eq!(value(&parse("URI=\"a\"junk,A=1"), "A"), Some("1"));
        assert!(parse(",,, ,").is_empty());
    }
}
