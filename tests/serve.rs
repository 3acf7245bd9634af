//! `touchline serve` as a process: what it answers before anybody may do anything, how it ends, and where its traces go.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#[path = "support/serving.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod serving;

use serde_json::Value;
use serving::Daemon;

#[tokio::test]
async fn it_lives_is_ready_counts_and_ends_in_order() {
    let data = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(data.path(), "");
    let get = async |path: &str| {
        let answer = daemon.http.get(format!("{}{path}", daemon.url)).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().clone(), answer.text().await.unwrap())
    };
    let (status, headers, text) = get("/healthz").await;
    assert_eq!((status, text.as_str()), (200, r#"{"status":"ok","waiting_for":[]}"#));
    for (name, value) in [("x-content-type-options", "nosniff"), ("x-frame-options", "DENY"), ("cache-control", "no-store")] {
        assert_eq!(headers[name], value);
    }
    assert_eq!(get("/readyz").await.0, 200);
    assert!(get("/metrics").await.2.contains(r#"touchline_http_requests_total{operation="isAlive",status="200"} 1"#));
    let document: Value = serde_json::from_str(&get("/openapi.json").await.2).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let (status, headers, page) = get("/docs").await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "text/html; charset=utf-8"));
    assert!(page.contains("id=\"isReady\"") && !page.contains("{{"));
    let (status, headers, text) = get("/nothing/here").await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (404, "application/problem+json"), "{text}");
    let wrong = daemon.http.post(format!("{}/healthz", daemon.url)).send().await.unwrap();
    assert_eq!((wrong.status().as_u16(), wrong.headers()["allow"].to_str().unwrap()), (405, "GET"));
    let (ended, _) = daemon.terminate();
    assert!(ended.success(), "{ended}");
}

/// A collector nobody needs to install: it takes what is posted, and the span's names and the caller's trace are looked for in it.
#[cfg(feature = "otlp")]
#[tokio::test]
async fn traces_reach_a_collector_within_the_callers_trace() {
    use std::io::{Read, Write};
    let collector = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = collector.local_addr().unwrap();
    let (tell, bodies) = std::sync::mpsc::channel::<Vec<u8>>();
    std::thread::spawn(move || {
        for stream in collector.incoming() {
            let mut stream = stream.unwrap();
            let (mut bytes, mut buffer) = (Vec::new(), [0; 8192]);
            loop {
                let head = bytes.windows(4).position(|w| w == b"\r\n\r\n");
                let length = head.map(|at| {
                    let text = String::from_utf8_lossy(&bytes[..at]).to_ascii_lowercase();
                    at + 4 + text.lines().find_map(|l| l.strip_prefix("content-length:")).unwrap().trim().parse::<usize>().unwrap()
                });
                if length.is_some_and(|n| bytes.len() >= n) {
                    break;
                }
                match stream.read(&mut buffer).unwrap() {
                    0 => break,
                    n => bytes.extend_from_slice(&buffer[..n]),
                }
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            tell.send(bytes).unwrap();
        }
    });
    let data = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(data.path(), &format!("[log]\ntraces = \"http://{address}/v1/traces\"\n"));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = daemon.http.get(format!("{}/healthz", daemon.url)).header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    assert_eq!(request.send().await.unwrap().status(), 200);
    let (ended, log) = daemon.terminate();
    assert!(ended.success(), "{log:?}");
    let body = bodies.recv_timeout(std::time::Duration::from_secs(20)).unwrap_or_else(|e| panic!("no trace came: {e} {log:?}"));
    let within = |what: &[u8]| body.windows(what.len()).any(|w| w == what);
    let id: Vec<u8> = (0..16).map(|i| u8::from_str_radix(&trace[2 * i..2 * i + 2], 16).unwrap()).collect();
    assert!(within(b"orphans"), "the engine's calls of the store are traced too");
    assert!(within(b"isAlive") && within(b"touchline") && within(&id), "{} bytes", body.len());
}
