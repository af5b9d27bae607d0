//! The description of the API for people: one page of plain HTML, made from the OpenAPI document. No script, and
//! nothing from elsewhere.

use std::fmt::Write;

use axum::body::Bytes;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

/// The page asks for its style sheet and nothing else, relative to its own address, `/docs`: a proxy may have put both
/// below a path.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("docs.css");

pub(super) fn page(html: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, html).into_response()
}

pub(super) async fn style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, STYLE).into_response()
}

/// The document as a page.
pub(super) fn html(document: &Value) -> String {
    let operations = operations(document);
    let mut html = String::new();
    let info = &document["info"];
    let title = format!("{} {}", text(&info["title"]), text(&info["version"]));
    html += "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">";
    html += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">";
    html += &format!(
        "<title>{title}: HTTP API</title><link rel=\"stylesheet\" href=\"docs/style.css\"></head>\n"
    );
    html += &format!("<body>\n<header><h1>{title}</h1>{}", prose(&info["description"]));
    html += "<p>For programs: <a href=\"openapi.json\">openapi.json</a></p></header>\n<nav aria-label=\"Calls\"><ul>\n";
    for operation in &operations {
        html += &format!("<li><a href=\"#{}\">{}</a></li>\n", operation.id(), operation.call());
    }
    html += "</ul></nav>\n<main>\n";
    for tag in list(&document["tags"]) {
        html += &format!("<h2>{}</h2>{}\n", text(&tag["name"]), prose(&tag["description"]));
        for operation in operations.iter().filter(|operation| operation.is_of(&tag["name"])) {
            operation.write(&mut html);
        }
    }
    html += "<h2>Schemas</h2>\n";
    for (name, schema) in fields(&document["components"]["schemas"]) {
        write_schema(&mut html, name, schema);
    }
    html += "</main>\n</body>\n</html>\n";
    html
}

struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    it: &'a Value,
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let paths = fields(&document["paths"]);
    let each =
        paths.flat_map(|(path, item)| fields(item).map(move |(method, it)| Operation { method, path, it }));
    each.filter(|operation| operation.it.get("responses").is_some()).collect()
}

impl Operation<'_> {
    fn id(&self) -> String {
        text(&self.it["operationId"])
    }

    fn call(&self) -> String {
        format!("<code><b>{}</b> {}</code>", self.method.to_uppercase(), escaped(self.path))
    }

    fn is_of(&self, tag: &Value) -> bool {
        list(&self.it["tags"]).any(|theirs| theirs == tag)
    }

    fn write(&self, html: &mut String) {
        *html += &format!("<section id=\"{}\">\n<h3>{}</h3>\n", self.id(), self.call());
        *html += &prose(&self.it["summary"]);
        *html += &prose(&self.it["description"]);
        if self.it.get("security").is_some() {
            *html += "<p class=\"quiet\">Needs the service's token, where it has one.</p>\n";
        }
        for (row, parameter) in list(&self.it["parameters"]).enumerate() {
            if row == 0 {
                *html += "<table><tr><th>parameter</th><th>in</th><th>type</th><th></th></tr>\n";
            }
            *html += &format!(
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                text(&parameter["name"]),
                text(&parameter["in"]),
                kind(&parameter["schema"]),
                prose(&parameter["description"]),
            );
        }
        if self.it.get("parameters").is_some() {
            *html += "</table>\n";
        }
        for (media, content) in fields(&self.it["requestBody"]["content"]) {
            *html +=
                &format!("<p>Body: {} as <code>{}</code></p>\n", kind(&content["schema"]), escaped(media));
        }
        *html += "<table><tr><th>answer</th><th></th><th>body</th></tr>\n";
        for (status, response) in fields(&self.it["responses"]) {
            let bodies: Vec<_> = fields(&response["content"])
                .map(|(media, content)| match media.as_str() {
                    "application/json" => kind(&content["schema"]),
                    media => format!("<code>{}</code>", escaped(media)),
                })
                .collect();
            *html += &format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                escaped(status),
                text(&response["description"]),
                bodies.join("<br>"),
            );
        }
        *html += "</table>\n</section>\n";
    }
}

fn write_schema(html: &mut String, name: &str, schema: &Value) {
    let name = escaped(name);
    *html += &format!("<section id=\"schema-{name}\">\n<h3>{name}</h3>\n{}", prose(&schema["description"]));
    let required: Vec<_> = list(&schema["required"]).collect();
    if schema.get("properties").is_none() {
        *html += &format!("<p>{}</p>\n</section>\n", kind(schema));
        return;
    }
    *html += "<table><tr><th>field</th><th>type</th><th></th></tr>\n";
    for (field, it) in fields(&schema["properties"]) {
        let optional = if required.contains(&&Value::from(field.as_str())) { "" } else { "?" };
        *html += &format!(
            "<tr><td><code>{}{optional}</code></td><td>{}</td><td>{}</td></tr>\n",
            escaped(field),
            kind(it),
            prose(&it["description"]),
        );
    }
    *html += "</table>\n</section>\n";
}

/// What a value may be, in few words.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = escaped(reference.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    let alternatives: Vec<_> = ["oneOf", "anyOf", "allOf"].iter().flat_map(|of| list(&schema[*of])).collect();
    if !alternatives.is_empty() {
        return alternatives.into_iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if schema.get("enum").is_some() {
        let values: Vec<_> =
            list(&schema["enum"]).map(|value| format!("<code>{}</code>", text(value))).collect();
        return values.join(", ");
    }
    let types: Vec<_> = match &schema["type"] {
        Value::Array(types) => types.iter().collect(),
        one => vec![one],
    };
    let mut words: Vec<_> =
        types.iter().map(|one| kind_of(one.as_str().unwrap_or("anything"), schema)).collect();
    let mut limits = String::new();
    for (key, word) in [
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("minLength", "characters at least"),
        ("maxLength", "characters at most"),
        ("maxItems", "entries at most"),
        ("maxProperties", "entries at most"),
        ("pattern", "like"),
    ] {
        if let Some(value) = schema.get(key) {
            let _ = write!(limits, ", {word} <code>{}</code>", text(value));
        }
    }
    if let Some(first) = words.first_mut() {
        *first += &limits;
    }
    words.join(" or ")
}

fn kind_of(name: &str, schema: &Value) -> String {
    match name {
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("map to {}", kind(&schema["additionalProperties"]))
        }
        "object" if schema.get("properties").is_some() => {
            let fields: Vec<_> = fields(&schema["properties"])
                .map(|(name, it)| format!("<code>{}</code>: {}", escaped(name), kind(it)))
                .collect();
            format!("{{ {} }}", fields.join("; "))
        }
        name => escaped(name),
    }
}

/// Paragraphs, with code between backticks.
fn prose(value: &Value) -> String {
    let Some(text) = value.as_str().filter(|text| !text.is_empty()) else { return String::new() };
    let paragraph = |text: &str| {
        let parts = text.split('`').enumerate();
        let parts: String = parts
            .map(
                |(index, part)| {
                    if index % 2 == 1 { format!("<code>{}</code>", escaped(part)) } else { escaped(part) }
                },
            )
            .collect();
        format!("<p>{parts}</p>\n")
    };
    text.split("\n\n").map(paragraph).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// A value as text; nothing for none.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => escaped(text),
        Value::Null => String::new(),
        other => escaped(&other.to_string()),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_are_said_in_words() {
        for (schema, expected) in [
            (
                json!({"type": "integer", "minimum": 1, "maximum": 32}),
                "integer, at least <code>1</code>, at most <code>32</code>",
            ),
            (json!({"type": ["string", "null"]}), "string or null"),
            (
                json!({"type": "array", "items": {"$ref": "#/components/schemas/A"}}),
                "list of <a href=\"#schema-A\">A</a>",
            ),
            (json!({"type": "object", "additionalProperties": {"type": "integer"}}), "map to integer"),
            (
                json!({"oneOf": [{"type": "null"}, {"type": "string", "enum": ["a", "b"]}]}),
                "null or <code>a</code>, <code>b</code>",
            ),
            (json!({"type": "string", "pattern": "<&\">"}), "string, like <code>&lt;&amp;&quot;&gt;</code>"),
        ] {
            assert_eq!(kind(&schema), expected);
        }
        assert_eq!(prose(&json!("a `b<` c\n\nd")), "<p>a <code>b&lt;</code> c</p>\n<p>d</p>\n");
    }
}
