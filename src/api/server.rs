//! The server: binds, routes the table of operations, sets what every answer carries, and stops in order.
use super::guard::Watch;
use super::operation::Operation;
use super::{House, Problem, operations};
use actix_web::dev::{ServerHandle, Service};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{App as Web, HttpServer, ResponseError, web};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// How a server listens.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Threads that answer.
    pub workers: usize,
    /// Connections held at once by each of them.
    pub connections: usize,
    /// TLS, when configured; else a proxy of the bank's ends it.
    pub tls: Option<rustls::ServerConfig>,
}

/// A client has so long (seconds) to send its request's head.
const HEAD_S: u64 = 5;
/// A connection that asks nothing is kept so long (seconds).
const KEEP_ALIVE_S: u64 = 75;
/// Requests under way have so long (seconds) to end when the server stops.
const STOP_S: u64 = 30;

/// A running server.
pub struct Serving {
    /// Where it listens.
    pub address: SocketAddr,
    handle: ServerHandle,
    ended: tokio::sync::oneshot::Receiver<std::io::Result<()>>,
}

impl Serving {
    /// Takes no more connections, lets requests under way end (30 s at most).
    pub async fn stop(self) -> std::io::Result<()> {
        self.handle.stop(true).await;
        self.ended.await.unwrap_or(Ok(()))
    }
}

/// Starts the server on a thread of its own.
pub fn start(house: House, listener: TcpListener, listening: Listening) -> std::io::Result<Serving> {
    let address = listener.local_addr()?;
    let table: Vec<Arc<Operation>> = operations().into_iter().map(Arc::new).collect();
    let watch = Arc::new(Watch::new(house.clone()));
    let tls = listening.tls.is_some();
    let app = move || {
        let (house, table, watch) = (house.clone(), table.clone(), Arc::clone(&watch));
        Web::new()
            .app_data(house.clone())
            .app_data(web::PathConfig::default().error_handler(|e, _| Problem::not_found(format!("the path does not name anything: {e}")).into()))
            .wrap_fn(move |request, service| {
                let answer = service.call(request);
                async move {
                    let mut answer = answer.await?;
                    for (name, value) in standing_headers(tls) {
                        if !answer.headers().contains_key(&name) {
                            answer.headers_mut().insert(name, HeaderValue::from_static(value));
                        }
                    }
                    Ok(answer)
                }
            })
            .configure(move |config| route(config, &watch, &table))
            .default_service(web::to(async || Problem::not_found("there is nothing at this path; see /docs").error_response()))
    };
    let (tell_handle, handle) = std::sync::mpsc::channel();
    let (tell_end, ended) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("http".to_owned()).spawn(move || {
        let end = actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(app)
                .workers(listening.workers)
                .max_connections(listening.connections)
                .client_request_timeout(Duration::from_secs(HEAD_S))
                .client_disconnect_timeout(Duration::from_secs(HEAD_S))
                .keep_alive(Duration::from_secs(KEEP_ALIVE_S))
                .shutdown_timeout(STOP_S)
                // Signals are the command's: it drains the engine first.
                .disable_signals();
            let server = match listening.tls {
                Some(config) => server.listen_rustls_0_23(listener, config)?,
                None => server.listen(listener)?,
            }
            .run();
            // Whoever started it may be gone: then nobody stops it but the end of the process.
            let _ = tell_handle.send(server.handle());
            server.await
        });
        let _ = tell_end.send(end);
    })?;
    let handle = handle.recv().map_err(|_| std::io::Error::other("the server ended before it began"))?;
    Ok(Serving { address, handle, ended })
}

/// Operations by path, each method behind its guard; another method is told which there are.
fn route(config: &mut web::ServiceConfig, watch: &Arc<Watch>, table: &[Arc<Operation>]) {
    let mut by_path: BTreeMap<&str, Vec<&Arc<Operation>>> = BTreeMap::new();
    for operation in table {
        by_path.entry(operation.path).or_default().push(operation);
    }
    // A path with parameters also matches what a fixed path beside it says: fixed ones are asked first.
    let mut paths: Vec<_> = by_path.into_iter().collect();
    paths.sort_by_key(|(path, _)| path.matches('{').count());
    for (path, operations) in paths {
        let allow = operations.iter().map(|o| o.method.as_str()).collect::<Vec<_>>().join(", ");
        let mut resource = web::resource(path);
        for operation in operations {
            resource = resource.route(operation.route(watch));
        }
        config.service(resource.default_service(web::to(move || {
            let allow = allow.clone();
            async move {
                let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", format!("expected one of the methods {allow}"));
                let mut answer = problem.error_response();
                if let Ok(value) = HeaderValue::from_str(&allow) {
                    answer.headers_mut().insert(header::ALLOW, value);
                }
                answer
            }
        })));
    }
}

/// What every answer carries. (OWASP REST security cheat sheet: nothing is cached, framed, sniffed, or fetched from elsewhere.)
fn standing_headers(tls: bool) -> Vec<(HeaderName, &'static str)> {
    let mut all = vec![
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ];
    if tls {
        all.push((header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"));
    }
    all
}
