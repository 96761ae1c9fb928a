//! The data's JSON Schemas.
#![cfg(feature = "schema")]

use apgl_templates::{ContentBounty, ContentItem};

#[test]
fn the_schemas_of_the_data_do_not_change() {
    insta::assert_json_snapshot!("schema_content_item", schemars::schema_for!(ContentItem));
    insta::assert_json_snapshot!(
        "schema_content_bounty",
        schemars::schema_for!(ContentBounty)
    );
}
