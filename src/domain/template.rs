//! Message templates: MiniJinja with strict undefined variables and bounded work.
use std::sync::Arc;

/// A compiled template.
#[derive(Clone)]
pub struct Template {
    source: Arc<str>,
    environment: Arc<minijinja::Environment<'static>>,
    variables: Arc<std::collections::BTreeSet<String>>,
}

impl Template {
    /// Compiles; the error names line and what was expected.
    pub fn compile(source: &str) -> Result<Self, String> {
        let mut environment = minijinja::Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        environment.set_fuel(Some(50_000));
        environment.add_template_owned("t", source.to_owned()).map_err(|e| e.to_string())?;
        let variables = environment.get_template("t").map_err(|e| e.to_string())?.undeclared_variables(false).into_iter().collect();
        Ok(Self { source: source.into(), environment: Arc::new(environment), variables: Arc::new(variables) })
    }
    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }
    /// The variables that it needs.
    pub fn variables(&self) -> &std::collections::BTreeSet<String> {
        &self.variables
    }
    /// Renders; a variable without a value is an error, never an empty place in a customer's message.
    pub fn render(&self, values: &serde_json::Value) -> Result<String, String> {
        self.environment.get_template("t").and_then(|t| t.render(minijinja::value::Serde(values))).map_err(|e| e.to_string())
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Template({:?})", self.source)
    }
}
