//! The JSON Schema of a mapping file, for editors. Written out rather than derived: a target's value is a name or one of several shapes,
//! and the loader reads a tree with positions, not a struct.
use super::mapping::{COLUMN_KEYS, TYPES};
use super::targets;
use super::{Format, Kind};
use serde_json::{Map, Value, json};

/// The JSON Schema (draft 2020-12) of a mapping file.
pub fn mapping_schema() -> Value {
    let mut targets: Map<String, Value> =
        targets::names(None).into_iter().filter(|n| !n.starts_with("attr.")).map(|n| (n.to_owned(), column_ref())).collect();
    for channel in crate::domain::channel::Channel::ALL {
        for purpose in crate::domain::consent::Purpose::ALL {
            targets.insert(format!("consent.{channel}.{purpose}"), column_ref());
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Touchline mapping file",
        "description": "How a foreign file becomes customers, a list, consents, suppressions or facts.",
        "type": "object",
        "required": ["columns"],
        "additionalProperties": false,
        "properties": {
            "kind": {"enum": Kind::ALL.map(Kind::name), "description": "What the file holds; told by the targets when left out."},
            "format": {"enum": Format::ALL.map(Format::name), "default": "csv"},
            "delimiter": {"type": "string", "default": ",", "description": "One character, or tab."},
            "quote": {"type": "string", "default": "\"", "description": "One character, or none."},
            "encoding": {"type": "string", "default": "utf-8", "description": "A label of the WHATWG Encoding Standard such as gb18030; a byte-order mark in the file wins."},
            "header": {"$ref": "#/$defs/yes_no", "default": true, "description": "Whether the first line names the columns; without it and without `names` they are called 1, 2, 3 ..."},
            "names": {"type": "array", "items": {"type": "string"}, "description": "Names of the columns of a file without a header."},
            "where": {"type": "string", "description": "A CEL expression over the columns (texts) and `row` (a number); rows for which it is false are filtered."},
            "columns": {
                "type": "object",
                "minProperties": 1,
                "description": "Target: source.",
                "properties": targets,
                "patternProperties": {"^attr\\.[A-Za-z_][A-Za-z0-9_]{0,63}$": column_ref()},
                "additionalProperties": false
            }
        },
        "$defs": {
            "scalar": {"type": ["string", "number", "boolean"]},
            "yes_no": {"enum": [true, false, "yes", "no"]},
            "column": {"anyOf": [{"$ref": "#/$defs/scalar", "description": "The name of a column."}, column()]}
        }
    })
}

fn column_ref() -> Value {
    json!({"$ref": "#/$defs/column"})
}

fn column() -> Value {
    let properties: Map<String, Value> = COLUMN_KEYS.iter().map(|key| ((*key).to_owned(), column_key(key))).collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "oneOf": [{"required": ["column"]}, {"required": ["expr"]}, {"required": ["value"]}, {"required": ["fictitious"]}],
        "properties": properties
    })
}

fn column_key(key: &str) -> Value {
    let scalar = |description: &str| json!({"$ref": "#/$defs/scalar", "description": description});
    let yes_no = |description: &str| json!({"$ref": "#/$defs/yes_no", "description": description});
    match key {
        "column" => scalar("The column to read."),
        "expr" => scalar("A CEL expression over the columns and `row`; has pad(number, width), lower, upper and trim as well."),
        "value" => scalar("The same value for every row."),
        "fictitious" => json!({
            "type": "object", "additionalProperties": false, "required": ["region"],
            "description": "A made-up telephone number from a range assigned to nobody, always the same for the same reference.",
            "properties": {"region": {"enum": super::phone::fictitious_regions().split(", ").collect::<Vec<_>>()}, "from": {"enum": ["ref", "row"], "default": "ref"}}
        }),
        "type" => json!({"enum": TYPES.map(|(n, _)| n), "default": "text", "description": "The type of an attribute."}),
        "format" => scalar("The form of a date or time, such as %Y%m%d or %d/%m/%Y %H:%M."),
        "timezone" => scalar("The IANA zone of local times; UTC when left out."),
        "decimal" => json!({"enum": [".", ","], "default": ".", "description": "The decimal mark; the other one may group thousands."}),
        "map" => {
            json!({"type": "object", "additionalProperties": {"anyOf": [{"$ref": "#/$defs/scalar"}, {"type": "null"}]}, "description": "From the file's values to ours; a value that it does not name is rejected, or takes `default`."})
        }
        "default" => scalar("Taken when the value is empty."),
        "required" => yes_no("Reject the row when the value is empty."),
        "optional" => yes_no("Leave the value empty, and count a warning, when it does not fit."),
        "region" => json!({"type": "string", "pattern": "^[A-Z]{2}$", "description": "The country of telephone numbers without a country code."}),
        "at" => scalar("For consent.*: the column of the day when it was given."),
        _ => scalar("For consent.*: where the consent comes from."),
    }
}
