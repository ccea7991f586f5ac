//! The API's document, as far as it is not written beside each question: what the gate answers before anybody is asked,
//! and that every figure may be unknown.

use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, ResponseBuilder, Schema};

/// Writes that into a document.
pub(super) fn complete(mut document: Document) -> Document {
    let fault = ContentBuilder::new().schema(Some(Ref::from_schema_name("Fault"))).build();
    let too_long =
        ResponseBuilder::new().description("The question is too long").content("application/json", fault);
    let too_long = too_long.build();
    for operation in document.paths.paths.values_mut().filter_map(|path| path.get.as_mut()) {
        operation.responses.responses.insert("414".to_owned(), RefOr::T(too_long.clone()));
    }
    let Some(components) = &mut document.components else { return document };
    for (_, schema) in components.schemas.iter_mut().filter(|(name, _)| name.starts_with("Measured_")) {
        let RefOr::T(Schema::Object(figure)) = schema else { continue };
        // A type parameter hides that it may be nothing.
        if let Some(value) = figure.properties.get_mut("value") {
            let nothing = ObjectBuilder::new().schema_type(Type::Null);
            *value = OneOfBuilder::new().item(value.clone()).item(nothing).into();
        }
    }
    document
}
