//! How settings that take several forms are described to others (OpenAPI).

use utoipa::openapi::schema::{AdditionalProperties, KnownFormat, OneOfBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{ObjectBuilder, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::{ProcessorAuth, Secret, Size, Span, StreamOptions};

impl ToSchema for Secret {}

impl PartialSchema for Secret {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
            .description(Some("Shown as … and nothing else."))
            .into()
    }
}

impl ToSchema for Span {}

impl PartialSchema for Span {
    fn schema() -> RefOr<Schema> {
        let seconds =
            ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0)).maximum(Some(Self::MAX_SECS));
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[0-9]+(\\.[0-9]+)?(ms|s|m|h|d)?$"))
            .examples(["30s", "2m"]);
        OneOfBuilder::new()
            .item(seconds)
            .item(text)
            .description(Some("A duration: seconds, or a number with a unit (`100ms`, `30s`, `2m`)."))
            .into()
    }
}

impl ToSchema for Size {}

impl PartialSchema for Size {
    fn schema() -> RefOr<Schema> {
        let bytes = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[0-9]+ ?(B|[kK]B|[MGT]B|[KMGT]iB)?$"))
            .examples(["500MB", "2GiB"]);
        OneOfBuilder::new()
            .item(bytes)
            .item(text)
            .description(Some("A size: bytes, or a number with a unit (`500MB`, `10GB`, `2GiB`)."))
            .into()
    }
}

impl ToSchema for ProcessorAuth {}

impl PartialSchema for ProcessorAuth {
    fn schema() -> RefOr<Schema> {
        let object = ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(AdditionalProperties::FreeForm(true)));
        OneOfBuilder::new()
            .item(object)
            .item(ObjectBuilder::new().schema_type(Type::String))
            .description(Some("Credentials: a JSON object, or a text as `{\"token\": text}`."))
            .into()
    }
}

/// [`StreamOptions`] that belong to no stream: what a service has set for all of them.
#[derive(Debug)]
pub struct StreamDefaults;

impl ToSchema for StreamDefaults {}

impl PartialSchema for StreamDefaults {
    fn schema() -> RefOr<Schema> {
        let mut schema = StreamOptions::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required.clear();
            object.properties.retain(|name, _| name != "streamId" && name != "sourceUrl");
            object.description = Some("Those of a stream's settings that are set for all.".to_owned());
        }
        schema
    }
}
