//! Pages for people, and what they are made of: all from this program, nothing from elsewhere.
use super::{Operation, Reply};
use actix_web::HttpResponse;

const STYLE: &str = include_str!("../web/page.css");
const WORKBENCH: &str = include_str!("../web/workbench.html");
const WORKBENCH_SCRIPT: &str = include_str!("../web/workbench.js");

/// What this file answers.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/workbench", "readWorkbench")
            .says("pages", "The workbench of a relationship manager")
            .about("A page over this API: the list, a task with its script and timeline, its result, callbacks and holds. It asks for a token.")
            .open()
            .gives_text(200, "The page.", "text/html", "<!doctype html>")
            .to(async || text("text/html; charset=utf-8", WORKBENCH)),
        Operation::get("/assets/page.css", "readPageStyle")
            .says("pages", "How pages look")
            .open()
            .gives_text(200, "A style sheet.", "text/css", "body { margin: 0; }")
            .to(async || text("text/css; charset=utf-8", STYLE)),
        Operation::get("/assets/workbench.js", "readWorkbenchScript")
            .says("pages", "What the workbench does")
            .open()
            .gives_text(200, "A script.", "text/javascript", "\"use strict\";")
            .to(async || text("text/javascript; charset=utf-8", WORKBENCH_SCRIPT)),
    ]
}

fn text(content_type: &str, text: &'static str) -> Reply {
    Ok(HttpResponse::Ok().content_type(content_type).body(text))
}
