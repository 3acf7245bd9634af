//! What the table says of a parameter holds: what is not so is refused before an operation begins, so that the document is true.
use super::Problem;
use super::operation::{Operation, Param};
use actix_web::{FromRequest, HttpRequest, web};
use serde_json::Value;

/// Refuses a call whose path or query is not what its operation describes. Formats and patterns are the handlers' to read.
pub(super) async fn check(operation: &Operation, request: &HttpRequest) -> Result<(), Problem> {
    if operation.params.is_empty() {
        return Ok(());
    }
    // In the order of the path, decoded; their names are not.
    let values = web::Path::<Vec<String>>::extract(request).await.map_err(|e| Problem::not_found(format!("the path does not name anything: {e}")))?;
    let path = |name: &str| request.match_info().iter().zip(values.iter()).find(|((known, _), _)| *known == name).map_or("", |(_, value)| value);
    let query = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
        .map_err(|e| Problem::bad(format!("the query cannot be read: {e}")))?;
    for param in &operation.params {
        match param.place {
            // What is no number, or longer than any name, names nothing.
            "path" => fits(param, path(param.name)).map_err(Problem::not_found)?,
            "query" => {
                let mut given = query.iter().filter(|(name, _)| name == param.name).map(|(_, value)| value.as_str());
                match (given.next(), given.next()) {
                    (None, _) if param.required => return Err(Problem::bad(format!("{}: expected in the query, found none", param.name))),
                    (None, _) => {}
                    (Some(value), None) => fits(param, value).map_err(Problem::bad)?,
                    (Some(_), Some(_)) => return Err(Problem::bad(format!("{}: expected once in the query, found several times", param.name))),
                }
            }
            // Headers are read where they are used.
            _ => {}
        }
    }
    Ok(())
}

/// What was expected and found, when a value is not what its parameter says.
fn fits(param: &Param, text: &str) -> Result<(), String> {
    let refuse = |expected: String| {
        // What is long is not said again.
        let found: String = text.chars().take(60).collect();
        Err(format!("{}: expected {expected}, found {found:?}", param.name))
    };
    let bound = |name: &str| param.schema.get(name).and_then(Value::as_i64);
    match param.schema.get("type").and_then(Value::as_str) {
        Some("integer") => {
            let widest = if param.schema.get("format").and_then(Value::as_str) == Some("int32") { i64::from(i32::MAX) } else { i64::MAX };
            let (least, most) = (bound("minimum").unwrap_or(i64::MIN), bound("maximum").unwrap_or(widest));
            match text.parse::<i64>() {
                Ok(n) if (least..=most).contains(&n) => Ok(()),
                _ => refuse(format!("a whole number from {least} to {most}")),
            }
        }
        Some("boolean") if !matches!(text, "true" | "false") => refuse("true or false".to_owned()),
        Some("string") => {
            let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
            let (least, most) = (bound("minLength").unwrap_or(0), bound("maxLength").unwrap_or(i64::MAX));
            if !(least..=most).contains(&length) {
                let expected = if most == i64::MAX { format!("at least {least}") } else { format!("{least} to {most}") };
                return refuse(format!("{expected} characters"));
            }
            match param.schema.get("enum").and_then(Value::as_array) {
                Some(known) if !known.iter().any(|k| k == text) => {
                    refuse(format!("one of {}", known.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")))
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use serde_json::json;

    async fn asked(query: &str) -> Result<(), String> {
        let operation = Operation::get("/x/{id}", "x")
            .path_number("id", "It.", 1)
            .paged()
            .must_query("customer", "Whose.", json!({"type": "string", "minLength": 1, "maxLength": 3}), "c1".into())
            .query("state", "How.", json!({"type": "string", "enum": ["open", "done"]}), "open".into())
            .query("all", "All.", json!({"type": "boolean"}), true.into());
        let (id, query) = query.split_once('?').unwrap();
        let request = TestRequest::with_uri(&format!("/x/{id}?{query}")).param("id", id.to_owned()).to_http_request();
        check(&operation, &request).await.map_err(|p| format!("{} {}", p.status, p.detail))
    }

    #[actix_web::test]
    async fn parameters_are_what_the_table_says() {
        for fine in [
            "1?customer=c1",
            "9223372036854775807?customer=%E9%80%80%E8%AE%A2%E6%88%B7&state=done&all=false&limit=1000&after=0",
            "7?customer=c&other=",
        ] {
            assert_eq!(asked(fine).await, Ok(()), "{fine}");
        }
        for (wrong, told) in [
            ("0?customer=c1", "404 id: expected a whole number from 1 to 9223372036854775807, found \"0\""),
            ("9223372036854775808?customer=c1", "404 id: expected a whole number from 1 to 9223372036854775807, found \"9223372036854775808\""),
            ("1?limit=1", "400 customer: expected in the query, found none"),
            ("1?customer=", "400 customer: expected 1 to 3 characters, found \"\""),
            ("1?customer=c123", "400 customer: expected 1 to 3 characters, found \"c123\""),
            ("1?customer=c1&customer=c2", "400 customer: expected once in the query, found several times"),
            ("1?customer=c1&state=shut", "400 state: expected one of open, done, found \"shut\""),
            ("1?customer=c1&all=1", "400 all: expected true or false, found \"1\""),
            ("1?customer=c1&limit=1001", "400 limit: expected a whole number from 1 to 1000, found \"1001\""),
            ("1?customer=c1&after=-1", "400 after: expected a whole number from 0 to 9223372036854775807, found \"-1\""),
        ] {
            assert_eq!(asked(wrong).await, Err(told.to_owned()), "{wrong}");
        }
    }
}
