//! Whether logs and statuses stay what they are, whatever texts come from outside.

use serde_json::Value;

/// Characters of a log line: a message and a few fields, each of which may quote a kilobyte from outside. What is
/// escaped takes more.
const LINE: usize = 12_000;
/// Lines that an attack may add, beside [`LINES_A_SECOND`]: three kinds of them as often as one stream may write each at
/// once (docs/DEPLOYMENT.md).
const LINES: usize = 360;
const LINES_A_SECOND: usize = 20;
/// Bytes of a stream's status.
const STATUS: usize = 256 << 10;
/// Characters of a text in it: an address.
const TEXT: usize = 4_200;

/// What is wrong with the lines that were logged within `seconds`.
pub fn log_faults(log: &str, seconds: f64) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(line) = log.split('\n').find(|line| line.chars().any(is_control)) {
        faults.push(format!("a control character in the log: {:?}", start_of(line)));
    }
    let longest = log.lines().max_by_key(|line| line.len()).unwrap_or_default();
    if longest.len() > LINE {
        faults.push(format!("a log line of {} bytes: {:?}", longest.len(), start_of(longest)));
    }
    let (lines, most) = (log.lines().count(), LINES + (LINES_A_SECOND as f64 * seconds) as usize);
    if lines > most {
        faults.push(format!("{lines} log lines, such as {:?}", start_of(log.lines().last().unwrap_or(""))));
    }
    faults
}

/// What is wrong with a stream's status, as text.
pub fn status_faults(status: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if status.len() > STATUS {
        faults.push(format!("a status of {} bytes", status.len()));
    }
    let parsed: Value = serde_json::from_str(status).unwrap_or_default();
    walk(&parsed, &mut |text| {
        if text.chars().any(is_control) {
            faults.push(format!("a control character in the status: {:?}", start_of(text)));
        }
        if text.chars().count() > TEXT {
            faults.push(format!("a text of {} bytes in the status: {:?}", text.len(), start_of(text)));
        }
    });
    faults.truncate(4);
    faults
}

/// C0, DEL and C1: what a terminal acts upon. And what ends a line for who reads Unicode, or turns its direction.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn start_of(text: &str) -> String {
    text.chars().take(120).collect()
}

fn walk(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(all) => all.iter().for_each(|value| walk(value, visit)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            visit(name);
            walk(value, visit);
        }),
        _ => {}
    }
}
