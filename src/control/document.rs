//! The description of the API: OpenAPI 3.1, from the types and handlers themselves.

use utoipa::OpenApi;
use utoipa::openapi::Server;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Content, ContentBuilder, OpenApi as Document, Ref, RefOr, Required, ResponseBuilder, Schema,
    SecurityRequirement,
};

use super::error::Refusal;

/// The security schemes, by their names in the document.
const TOKEN: &str = "token";
const QUERY_TOKEN: &str = "queryToken";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Overdub",
        description = "Takes a live HLS stream, lets an external processor replace the sound, and publishes the result \
                       over RTMP.\n\nErrors are JSON with `success` false, one line in `error`, and in `field` the part \
                       of the request that is at fault. Bodies are JSON of at most 64 KiB; an empty one reads as `{}`. \
                       Log lines and statuses are pushed over Socket.IO at `/socket.io/` on the same port.",
    ),
    components(schemas(Refusal)),
    tags(
        (name = "streams", description = "Starting, watching and stopping streams"),
        (name = "storage", description = "What lies on the disk"),
        (name = "preview", description = "The output as HLS"),
        (name = "service", description = "The service itself"),
    ),
)]
struct Frame;

/// The document without paths.
pub(super) fn frame() -> Document {
    let mut document = Frame::openapi();
    // Relative to the document itself (OpenAPI 3.1, 4.8.5.1): a proxy may have put the service below a path.
    document.servers = Some(vec![Server::new(".")]);
    let description = "The value of OVERDUB_API_TOKEN where the service runs, if it was started with one.";
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build();
    let query = ApiKey::Query(ApiKeyValue::with_description("token", "The same, for players."));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(bearer));
    components.add_security_scheme(QUERY_TOKEN, SecurityScheme::ApiKey(query));
    document
}

/// All operations so far ask for the token.
pub(super) fn guard(document: &mut Document) {
    for operation in operations(document) {
        ask(operation, &[TOKEN]);
    }
}

/// The same for what players fetch, which set no headers.
pub(super) fn guard_player(document: &mut Document) {
    for operation in operations(document) {
        ask(operation, &[TOKEN, QUERY_TOKEN]);
    }
}

/// All operations so far end in time.
pub(super) fn limit(document: &mut Document) {
    for operation in operations(document) {
        refuse(operation, 408, "The request took longer than 30 s, its body included");
    }
}

/// What every operation may answer.
pub(super) fn complete(document: &mut Document) {
    let optional = without_required_fields(document);
    for operation in operations(document) {
        refuse(operation, 403, "The request comes from a page of another origin, or names another host");
        refuse(operation, 500, "A fault of the service itself: its log says more");
        if let Some(RefOr::T(body)) = &mut operation.request_body {
            // An empty one reads as `{}`.
            let may_be_empty = |content: &RefOr<Content>| match content {
                RefOr::T(content) => content.schema.as_ref().is_some_and(|schema| optional.contains(schema)),
                RefOr::Ref(_) => false,
            };
            if body.content.values().all(may_be_empty) {
                body.required = Some(Required::False);
            }
            refuse(operation, 413, "The body is larger than 64 KiB");
            refuse(operation, 415, "The body is not application/json");
        }
    }
}

/// References to all schemas of objects that may be empty.
fn without_required_fields(document: &Document) -> Vec<RefOr<Schema>> {
    let schemas = document.components.iter().flat_map(|components| &components.schemas);
    let empty = schemas.filter_map(|(name, schema)| match schema {
        RefOr::T(Schema::Object(object)) if object.required.is_empty() => {
            Some(Ref::from_schema_name(name).into())
        }
        _ => None,
    });
    empty.collect()
}

fn ask(operation: &mut Operation, schemes: &[&str]) {
    let scheme = |name: &&str| SecurityRequirement::new::<_, _, String>(*name, []);
    // The last one is "none": the service may have been started without a token.
    let ways = schemes.iter().map(scheme).chain([SecurityRequirement::default()]);
    operation.security = Some(ways.collect());
    refuse(operation, 401, "The service asks for its token, and none or another one was given");
}

fn refuse(operation: &mut Operation, status: u16, description: &str) {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("Refusal"))).build();
    let refusal = ResponseBuilder::new().description(description).content("application/json", body).build();
    operation.responses.responses.insert(status.to_string(), refusal.into());
}

fn operations(document: &mut Document) -> impl Iterator<Item = &mut Operation> {
    document
        .paths
        .paths
        .values_mut()
        .flat_map(|path| [&mut path.get, &mut path.post, &mut path.delete].into_iter().flatten())
}
