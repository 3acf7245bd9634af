//! The JSON Schema and the reader are of one mind.
use super::*;

/// All keys of the schema's objects, by the name under which the loader speaks of them.
fn schema_keys() -> BTreeMap<&'static str, BTreeSet<String>> {
    let schema = json_schema();
    let of = |name: &str| -> BTreeSet<String> {
        let shape = if name.is_empty() { &schema } else { &schema["$defs"][name] };
        assert_eq!(shape["additionalProperties"], false, "{name}");
        shape["properties"].as_object().unwrap().keys().cloned().collect()
    };
    BTreeMap::from([
        ("a campaign", of("")),
        ("the audience", of("AudienceShape")),
        ("the schedule", of("ScheduleShape")),
        ("the limits", of("LimitsShape")),
        ("a cap", of("CapShape")),
        ("a step", of("StepShape")),
        ("content with variants", of("VariantsShape")),
        ("a variant", of("VariantShape")),
        ("a text with subject and body", of("TitledShape")),
        ("a conversion", of("ConversionShape")),
        ("finance", of("FinanceShape")),
    ])
}

#[test]
fn schema_and_reader_know_the_same_keys() {
    let text = "zzq: 1\naudience: {zzq: 1}\nschedule: {zzq: 1}\nlimits: {zzq: 1, caps: [{zzq: 1}]}\njourney:\n- {zzq: 1}\n- {channel: push, content: {zzq: 1, variants: [{zzq: 1, texts: {en: {body: x, zzq: 1}}}]}}\nconversions: [{zzq: 1}]\nfinance: {zzq: 1}\n";
    let faults = load("f", text).unwrap_err();
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for fault in &faults {
        if let (Some(place), Some(expected)) = (fault.message.strip_prefix("unknown key \"zzq\" in "), &fault.expected) {
            told.insert(place.to_owned(), expected.trim_start_matches("one of ").split(", ").map(str::to_owned).collect());
        }
    }
    let schema: BTreeMap<String, BTreeSet<String>> = schema_keys().into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    assert_eq!(told, schema);
}

/// A small structural check: every key that a value uses is allowed by the schema, every required one is there, and
/// enums and types fit.
fn fits(root: &serde_json::Value, schema: &serde_json::Value, value: &serde_json::Value, path: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return fits(root, &root["$defs"][reference.trim_start_matches("#/$defs/")], value, path);
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(options) = schema[key].as_array() {
            let faults: Vec<String> = options.iter().filter_map(|o| fits(root, o, value, path).err()).collect();
            return if faults.len() < options.len() { Ok(()) } else { Err(faults.join(" | ")) };
        }
    }
    if let Some(constant) = schema.get("const") {
        return if constant == value { Ok(()) } else { Err(format!("{path}: not {constant}")) };
    }
    if let Some(names) = schema["enum"].as_array() {
        return if names.contains(value) { Ok(()) } else { Err(format!("{path}: {value} is none of {names:?}")) };
    }
    let types: Vec<&str> =
        schema["type"].as_str().into_iter().chain(schema["type"].as_array().into_iter().flatten().filter_map(|t| t.as_str())).collect();
    let is = match value {
        serde_json::Value::Object(_) => "object",
        serde_json::Value::Array(_) => "array",
        serde_json::Value::String(_) => "string",
        serde_json::Value::Bool(_) => "boolean",
        serde_json::Value::Number(_) => "integer",
        serde_json::Value::Null => "null",
    };
    if !types.contains(&is) {
        return Err(format!("{path}: {is} is none of {types:?}"));
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        value.get(required.as_str().unwrap()).ok_or_else(|| format!("{path}: {required} is missing"))?;
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        let pattern = schema["patternProperties"].as_object().and_then(|p| p.values().next());
        let of = schema["properties"].get(key).or(pattern).ok_or_else(|| format!("{path}: not in the schema"))?;
        fits(root, of, inner, &path)?;
    }
    for (i, inner) in value.as_array().into_iter().flatten().enumerate() {
        fits(root, &schema["items"], inner, &format!("{path}[{i}]"))?;
    }
    Ok(())
}

#[test]
fn the_schema_takes_every_example_and_refuses_strangers() {
    let schema = json_schema();
    for (name, text) in examples() {
        let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        fits(&schema, &schema, &value, &name).unwrap();
        let mut stranger = value.clone();
        stranger["journey"][0]["chanel"] = "call".into();
        assert!(fits(&schema, &schema, &stranger, &name).is_err());
        let mut missing = value;
        missing["schedule"].as_object_mut().unwrap().remove("end");
        assert!(fits(&schema, &schema, &missing, &name).is_err());
    }
    let required: Vec<&str> = schema["required"].as_array().unwrap().iter().filter_map(|r| r.as_str()).collect();
    for key in ["campaign", "title", "opportunity", "owner", "audience", "schedule", "policy", "journey"] {
        assert!(required.contains(&key), "{key}");
    }
    assert_eq!(required.len(), 8);
    assert!(schema["properties"]["journey"]["description"].is_string());
}
