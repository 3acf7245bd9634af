//! Expressions of campaign files (CEL): compiled once, evaluated over flat attributes.
use std::collections::BTreeSet;
use std::sync::Arc;

/// A compiled CEL expression that must give a boolean.
#[derive(Clone)]
pub struct Expression {
    source: String,
    program: Arc<cel::Program>,
    variables: BTreeSet<String>,
}

/// A flat value that an expression can see.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Bool(bool),
}

impl Expression {
    /// Compiles; the error says what the parser says.
    pub fn compile(source: &str) -> Result<Self, String> {
        // The parser of the crate panics on some malformed input, which ends a release build: our own reads it first, whoever asks, and
        // bounds what it may cost. A panic that is left is caught where that is possible.
        super::expression_syntax::read(source).map_err(|wrong| wrong.in_words(source))?;
        let program = std::panic::catch_unwind(|| cel::Program::compile(source))
            .map_err(|_| "the expression cannot be parsed".to_owned())?
            .map_err(|e| e.to_string())?;
        let variables = program.references().variables().into_iter().map(str::to_owned).collect();
        Ok(Self { source: source.to_owned(), program: Arc::new(program), variables })
    }
    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }
    /// Names of the variables that it reads.
    pub fn variables(&self) -> &BTreeSet<String> {
        &self.variables
    }
    /// Evaluates over the given variables. An unknown variable, a type clash or a result that is no boolean is an error;
    /// callers say which customer (by reference number) and go on.
    pub fn holds<'a>(&self, values: impl IntoIterator<Item = (&'a str, Value)>) -> Result<bool, String> {
        let context = context(values);
        match self.program.execute(&context) {
            Ok(cel::Value::Bool(answer)) => Ok(answer),
            Ok(other) => Err(format!("expected true or false from `{}`, found {:?}", self.source, other.type_of())),
            Err(e) => Err(format!("`{}`: {e}", self.source)),
        }
    }
    /// Evaluates to a flat value, for intake mappings. Beyond CEL's own functions: `pad(number, width)` gives a whole number
    /// with leading zeros, `lower(text)`, `upper(text)` and `trim(text)` what they say. Errors as for `holds`.
    pub fn evaluate<'a>(&self, values: impl IntoIterator<Item = (&'a str, Value)>) -> Result<Value, String> {
        let mut context = context(values);
        // Declaring a function costs more than a short expression, so only those that the text names are.
        let names = |function: &str| self.source.contains(function);
        let mut declared = Ok(());
        if names("pad") {
            declared = declared.and(context.add_function("pad", |number: i64, width: i64| {
                let width = usize::try_from(width.clamp(0, 64)).unwrap_or(0);
                Arc::new(format!("{number:0width$}"))
            }));
        }
        if names("lower") {
            declared = declared.and(context.add_function("lower", |text: Arc<String>| Arc::new(text.to_lowercase())));
        }
        if names("upper") {
            declared = declared.and(context.add_function("upper", |text: Arc<String>| Arc::new(text.to_uppercase())));
        }
        if names("trim") {
            declared = declared.and(context.add_function("trim", |text: Arc<String>| Arc::new(text.trim().to_owned())));
        }
        declared.map_err(|e| format!("`{}`: {e}", self.source))?;
        match self.program.execute(&context) {
            Ok(cel::Value::String(t)) => Ok(Value::Text(t.as_ref().clone())),
            Ok(cel::Value::Int(i)) => Ok(Value::Int(i)),
            Ok(cel::Value::UInt(u)) => i64::try_from(u).map(Value::Int).map_err(|_| format!("`{}`: the number is out of range", self.source)),
            Ok(cel::Value::Float(f)) => Ok(Value::Float(f)),
            Ok(cel::Value::Bool(b)) => Ok(Value::Bool(b)),
            Ok(other) => Err(format!("expected a text, number or boolean from `{}`, found {:?}", self.source, other.type_of())),
            Err(e) => Err(format!("`{}`: {e}", self.source)),
        }
    }
}

fn context<'a>(values: impl IntoIterator<Item = (&'a str, Value)>) -> cel::Context<'static, 'static> {
    let mut context = cel::Context::default();
    for (name, value) in values {
        let value = match value {
            Value::Text(t) => cel::Value::String(Arc::new(t)),
            Value::Int(i) => cel::Value::Int(i),
            Value::Float(f) => cel::Value::Float(f),
            Value::Bool(b) => cel::Value::Bool(b),
        };
        context.add_variable_from_value(name, value);
    }
    context
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expression({})", self.source)
    }
}

/// The customer attributes of a JSON object as flat values; nested values are left out.
pub fn attributes(json: &str) -> Vec<(String, Value)> {
    let Ok(serde_json::Value::Object(map)) = serde_json::from_str(json) else { return Vec::new() };
    map.into_iter()
        .filter_map(|(name, value)| {
            let value = match value {
                serde_json::Value::String(t) => Value::Text(t),
                serde_json::Value::Bool(b) => Value::Bool(b),
                serde_json::Value::Number(n) => n.as_i64().map(Value::Int).or_else(|| n.as_f64().map(Value::Float))?,
                _ => return None,
            };
            Some((name, value))
        })
        .collect()
}
