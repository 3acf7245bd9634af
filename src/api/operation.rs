//! One table says everything of an endpoint: its path, who may call it, what goes in and what comes out, with examples. Routing, the
//! guard, the OpenAPI document and the table tests are all made from it, so an endpoint without a rule or a description cannot exist.
use super::guard;
use crate::domain::access::{Role, Roles};
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::{FromRequest, Handler, Responder, Route, web};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;
use std::sync::Arc;

/// Makes the schema of a type.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// A body of at most so many bytes is read unless an operation says otherwise.
pub const BODY_BYTES: usize = 64 * 1024;

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever reaches the port: health, the documents. Nothing in it is anybody's.
    Open,
    /// Whoever shows a token (or an identity provider's JWT) with one of these roles.
    Roles(Roles),
    /// Whoever signs: the handler checks a provider's signature over the body before it looks at anything else.
    Signed,
}

/// A parameter in the path or the query.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// `path`, `query` or `header`.
    pub place: &'static str,
    /// Whether a call is none without it.
    pub required: bool,
    /// What it means.
    pub about: &'static str,
    /// Its JSON Schema. The guard refuses what does not keep its type, bounds and enum.
    pub schema: Value,
    /// An example that is true to the schema.
    pub example: Value,
}

/// What a request carries.
#[derive(Clone, Debug)]
pub struct BodySpec {
    /// Content types, with their schemas.
    pub content: Vec<(&'static str, SchemaOf)>,
    /// Whether a call is none without it. Of text it is not: no body is an empty file.
    pub required: bool,
    /// An example.
    pub example: Value,
    /// Bytes at most; `None`: streamed, without a bound of its own.
    pub limit: Option<usize>,
}

/// What an answer carries.
#[derive(Clone)]
pub struct ReplySpec {
    /// The status.
    pub status: u16,
    /// When it is given.
    pub about: &'static str,
    /// Content type and schema; `None`: no body.
    pub content: Option<(&'static str, SchemaOf)>,
    /// An example.
    pub example: Value,
}

/// An endpoint.
#[derive(Clone)]
pub struct Operation {
    /// Method.
    pub method: Method,
    /// Path with `{parameters}`.
    pub path: &'static str,
    /// Unique: what the audit log, the metrics and generated clients call it.
    pub id: &'static str,
    /// The section of the document.
    pub tag: &'static str,
    /// In one line.
    pub summary: &'static str,
    /// More, where a line is not enough.
    pub about: &'static str,
    /// Who may.
    pub access: Access,
    /// Parameters.
    pub params: Vec<Param>,
    /// What a request carries.
    pub body: Option<BodySpec>,
    /// Answers besides the problems that every operation may give.
    pub replies: Vec<ReplySpec>,
    /// It gives out or changes what belongs to a person: a call is audited also when it only reads.
    pub is_audited: bool,
    /// Its answer holds a secret and is not kept for an idempotency key.
    pub is_secret: bool,
    route: Option<Arc<dyn Fn() -> Route + Send + Sync>>,
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.method, self.path, self.id)
    }
}

impl Operation {
    fn new(method: Method, path: &'static str, id: &'static str) -> Self {
        let is_audited = method != Method::GET;
        let (tag, summary, about) = ("", "", "");
        Self {
            method,
            path,
            id,
            tag,
            summary,
            about,
            access: Access::Roles(Roles::default()),
            params: Vec::new(),
            body: None,
            replies: Vec::new(),
            is_audited,
            is_secret: false,
            route: None,
        }
    }
    /// A read.
    pub fn get(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::GET, path, id)
    }
    /// A change.
    pub fn post(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::POST, path, id)
    }
    /// A setting of the whole.
    pub fn put(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::PUT, path, id)
    }
    /// A removal.
    pub fn delete(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::DELETE, path, id)
    }
    /// Its section and its line.
    #[must_use]
    pub fn says(mut self, tag: &'static str, summary: &'static str) -> Self {
        (self.tag, self.summary) = (tag, summary);
        self
    }
    /// More than the line.
    #[must_use]
    pub fn about(mut self, text: &'static str) -> Self {
        self.about = text;
        self
    }
    /// Who may: one of these roles. (`Admin` gets nothing by itself: whoever sets up the house need not see its customers.)
    #[must_use]
    pub fn allow(mut self, roles: &[Role]) -> Self {
        self.access = Access::Roles(Roles::of(roles));
        self
    }
    /// No token is asked for.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.access = Access::Open;
        self.is_audited = false;
        self
    }
    /// A provider's signature is asked for instead of a token.
    #[must_use]
    pub fn signed(mut self) -> Self {
        self.access = Access::Signed;
        self
    }
    /// Audited though it only reads: it shows what belongs to a person.
    #[must_use]
    pub fn audited(mut self) -> Self {
        self.is_audited = true;
        self
    }
    /// Its answer holds a secret: the same idempotency key again does nothing, and does not give the answer again.
    #[must_use]
    pub fn keeps_no_answer(mut self) -> Self {
        self.is_secret = true;
        self.refuses(409, "It was done before with this idempotency key; the answer held a secret and is not kept.")
    }
    /// A text parameter of the path.
    #[must_use]
    pub fn path_text(self, name: &'static str, about: &'static str, example: &'static str) -> Self {
        self.param(name, "path", about, serde_json::json!({"type": "string", "minLength": 1, "maxLength": 200}), example.into())
    }
    /// A number in the path.
    #[must_use]
    pub fn path_number(self, name: &'static str, about: &'static str, example: i64) -> Self {
        self.param(name, "path", about, serde_json::json!({"type": "integer", "format": "int64", "minimum": 1}), example.into())
    }
    /// An optional parameter of the query.
    #[must_use]
    pub fn query(self, name: &'static str, about: &'static str, schema: Value, example: Value) -> Self {
        self.param(name, "query", about, schema, example)
    }
    /// A parameter of the query that must be there.
    #[must_use]
    pub fn must_query(mut self, name: &'static str, about: &'static str, schema: Value, example: Value) -> Self {
        self.params.push(Param { name, place: "query", required: true, about, schema, example });
        self
    }
    /// An optional header.
    #[must_use]
    pub fn header(self, name: &'static str, about: &'static str, example: &'static str) -> Self {
        self.param(name, "header", about, serde_json::json!({"type": "string"}), example.into())
    }
    /// A file that is given whole or from a place on (RFC 9110).
    #[must_use]
    pub fn ranged(self) -> Self {
        self.header("Range", "One range of bytes; others are answered with the whole.", "bytes=0-99")
            .header("If-Range", "The ETag of which it must be a part; of another content the whole is given.", "\"9f86d081884c7d65\"")
            .header("If-None-Match", "ETags that need not be given again.", "\"2c26b46b68ffc68f\"")
            .gives_nothing(304, "The file is what `If-None-Match` names.")
            .refuses(416, "The range begins behind the file's end.")
    }
    /// The two parameters of every paged list: `after` (the last id of the page before) and `limit` (1 to 1,000; 100).
    #[must_use]
    pub fn paged(self) -> Self {
        self.query("after", "The last id of the page before.", serde_json::json!({"type": "integer", "format": "int64", "minimum": 0}), 0.into())
            .query(
                "limit",
                "How many at most.",
                serde_json::json!({"type": "integer", "format": "int32", "minimum": 1, "maximum": 1000, "default": 100}),
                100.into(),
            )
    }
    fn param(mut self, name: &'static str, place: &'static str, about: &'static str, schema: Value, example: Value) -> Self {
        self.params.push(Param { name, place, required: place == "path", about, schema, example });
        self
    }
    /// A JSON body.
    #[must_use]
    pub fn takes<T: JsonSchema>(mut self, example: Value) -> Self {
        self.body =
            Some(BodySpec { content: vec![("application/json", |g| g.subschema_for::<T>())], required: true, example, limit: Some(BODY_BYTES) });
        self
    }
    /// A body of text of one of these content types.
    #[must_use]
    pub fn takes_text(mut self, types: &[&'static str], example: &str, limit: Option<usize>) -> Self {
        self.body =
            Some(BodySpec { content: types.iter().map(|t| (*t, schema_of_text(t))).collect(), required: false, example: example.into(), limit });
        self
    }
    /// A JSON body of up to so many bytes.
    #[must_use]
    pub fn up_to(mut self, bytes: usize) -> Self {
        if let Some(body) = &mut self.body {
            body.limit = Some(bytes);
        }
        self
    }
    /// An answer in JSON.
    #[must_use]
    pub fn gives<T: JsonSchema>(mut self, status: u16, about: &'static str, example: Value) -> Self {
        self.replies.push(ReplySpec { status, about, content: Some(("application/json", |g| g.subschema_for::<T>())), example });
        self
    }
    /// An answer of another content type.
    #[must_use]
    pub fn gives_text(mut self, status: u16, about: &'static str, content_type: &'static str, example: &str) -> Self {
        self.replies.push(ReplySpec { status, about, content: Some((content_type, schema_of_text(content_type))), example: example.into() });
        self
    }
    /// An answer without a body.
    #[must_use]
    pub fn gives_nothing(mut self, status: u16, about: &'static str) -> Self {
        self.replies.push(ReplySpec { status, about, content: None, example: Value::Null });
        self
    }
    /// A problem that this operation may give, with what it means here.
    #[must_use]
    pub fn refuses(mut self, status: u16, about: &'static str) -> Self {
        let content: Option<(&'static str, SchemaOf)> = Some((super::problem::CONTENT_TYPE, |g| g.subschema_for::<super::Problem>()));
        self.replies.push(ReplySpec { status, about, content, example: Value::Null });
        self
    }
    /// What answers it. Last in the chain.
    #[must_use]
    pub fn to<F, Args>(mut self, handler: F) -> Self
    where
        F: Handler<Args> + Send + Sync,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let method = self.method.clone();
        self.route = Some(Arc::new(move || web::method(method.clone()).to(handler.clone())));
        self
    }
    /// The route behind its guard.
    pub(super) fn route(self: &Arc<Self>, watch: &Arc<guard::Watch>) -> Route {
        let (operation, watch) = (Arc::clone(self), Arc::clone(watch));
        let route = self.route.as_ref().map_or_else(Route::new, |make| make());
        route.wrap(from_fn(move |request, next| guard::pass(Arc::clone(&operation), Arc::clone(&watch), request, next)))
    }
    /// Whether an `Idempotency-Key` is honoured by the guard: posts of a token with a bounded body. (An import is streamed; what it
    /// takes in is idempotent itself.)
    pub fn honours_keys(&self) -> bool {
        self.method == Method::POST && matches!(self.access, Access::Roles(_)) && self.body_limit().is_some()
    }
    /// Whether something answers it.
    pub fn is_answered(&self) -> bool {
        self.route.is_some()
    }
    /// Bytes that a body may have; `None`: streamed.
    pub fn body_limit(&self) -> Option<usize> {
        self.body.as_ref().map_or(Some(BODY_BYTES), |b| b.limit)
    }
}

/// The schema of a text: of YAML it is about what the text says, which is any; of others about the text itself.
fn schema_of_text(content_type: &str) -> SchemaOf {
    if content_type.contains("yaml") { |g| g.subschema_for::<Value>() } else { |g| g.subschema_for::<String>() }
}
