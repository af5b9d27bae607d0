//! The example files against the code: every setting is there, and what they call a default is one.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::{AccessOptions, ServiceOptions, StreamOptions, from_environment};

const TOML: &str = include_str!("../../deploy/overdub.example.toml");
const ENV: &str = include_str!("../../.env.example");

/// What only the command line reads, before there are settings.
const OF_THE_COMMAND: [&str; 5] =
    ["OVERDUB_CONFIG", "OVERDUB_LOG", "OVERDUB_LOG_FORMAT", "OVERDUB_LOG_FILE", "OVERDUB_LOG_FILES"];

fn keys<T: serde::Serialize>(options: &T) -> BTreeSet<String> {
    let value = serde_json::to_value(options).unwrap();
    value.as_object().unwrap().keys().cloned().collect()
}

/// The lines that show a default, made settings, and those that show an example.
fn shown(text: &str) -> (String, Vec<&str>) {
    let defaults = text.lines().filter_map(|line| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_alphabetic()) => Some(rest),
        _ if line.starts_with('[') => Some(line),
        _ => None,
    });
    let examples = text.lines().filter_map(|line| line.strip_prefix("# e.g. "));
    (defaults.collect::<Vec<_>>().join("\n"), examples.collect())
}

/// Settings that are as the code has them by itself.
fn assert_defaults(options: ServiceOptions, what: &str) {
    let (given, plain) = (options.resolve().unwrap(), ServiceOptions::default().resolve().unwrap());
    let service = |s: &super::ServiceSettings| {
        (
            s.host.clone(),
            s.port,
            s.base_path.clone(),
            s.storage_path.clone(),
            s.storage_limits,
            s.limits,
            s.access.clone(),
        )
    };
    assert!(service(&given) == service(&plain), "{what}: a default of the service is another");
    let stream = |defaults: StreamOptions| {
        let one = StreamOptions {
            stream_id: Some("a".to_owned()),
            source_url: Some("http://h/".to_owned()),
            ..StreamOptions::default()
        };
        one.or(defaults).resolve().unwrap()
    };
    assert_eq!(stream(given.stream_defaults), stream(plain.stream_defaults), "{what}: a default of a stream");
}

#[test]
fn the_example_toml_has_every_setting_with_its_default() {
    let (defaults, examples) = shown(TOML);
    assert_defaults(ServiceOptions::from_toml(&defaults).unwrap(), "overdub.example.toml");

    let named: BTreeSet<String> = defaults
        .lines()
        .chain(examples.iter().copied())
        .filter_map(|line| Some(line.split_once(" = ")?.0.to_owned()))
        .collect();
    let mut wanted = keys(&ServiceOptions::default());
    for (section, keys) in
        [("stream", keys(&StreamOptions::default())), ("access", keys(&AccessOptions::default()))]
    {
        assert!(wanted.remove(section), "{section} is a section of its own");
        wanted.extend(keys);
    }
    let missing: Vec<_> = wanted.symmetric_difference(&named).collect();
    assert!(missing.is_empty(), "deploy/overdub.example.toml and the settings differ in {missing:?}");

    // The examples are settings too.
    let of = |names: &BTreeSet<String>| {
        let lines = examples.iter().filter(|line| names.contains(line.split(" = ").next().unwrap()));
        lines.copied().collect::<Vec<_>>().join("\n")
    };
    let text = format!(
        "{}\n[access]\n{}\n[stream]\n{}",
        of(&keys(&ServiceOptions::default())),
        of(&keys(&AccessOptions::default())),
        of(&keys(&StreamOptions::default()))
    );
    ServiceOptions::from_toml(&text).unwrap().resolve().unwrap();
}

#[test]
fn the_example_environment_has_every_setting_with_its_default() {
    let (defaults, examples) = shown(ENV);
    let value = |lines: &str, name: &str| {
        let line = lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(str::to_owned)
    };
    let asked = RefCell::new(BTreeSet::new());
    let options = from_environment(|name| {
        asked.borrow_mut().insert(name.to_owned());
        value(&defaults, name)
    });
    assert_defaults(options.unwrap(), ".env.example");
    let examples = examples.join("\n");
    from_environment(|name| value(&examples, name)).unwrap().resolve().unwrap();

    let asked = asked.into_inner();
    let unnamed: Vec<_> = asked.iter().filter(|name| !ENV.contains(name.as_str())).collect();
    assert!(unnamed.is_empty(), ".env.example does not name {unnamed:?}");
    let shown = defaults.lines().chain(examples.lines()).filter_map(|line| Some(line.split_once('=')?.0));
    let unknown: Vec<_> =
        shown.filter(|name| !asked.contains(*name) && !OF_THE_COMMAND.contains(name)).collect();
    assert!(unknown.is_empty(), "nothing reads {unknown:?} of .env.example");
}
