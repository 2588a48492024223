//! The large sample: markdown, templates, regular expressions and tables, each by the crate that is usual for it.
//!
//! As a component it is of two megabytes: what a real application with its libraries comes to.

// Elsewhere than on its target nothing but the tests calls the handler.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code))]

mod page;
mod search;
mod table;

use http::{Method, Request, Response, StatusCode};
use support::{query, reply};

support::export!(|request| handle(&request), body_limit: 1 << 20);

fn handle(request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    let parameter = |name, default: &str| query::first(request.uri(), name).map_or_else(|| default.to_owned(), Into::into);
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => shown(page::all()),
        (&Method::GET, "/page") => shown(page::page(&parameter("title", "A page"), &parameter("text", "It says *nothing* yet."))),
        (&Method::GET, "/regex") => found(&parameter("pattern", search::PATTERN), &parameter("text", search::TEXT)),
        (&Method::GET, "/health") => reply::text(StatusCode::OK, "up\n"),
        (&Method::POST, "/markdown") => match str::from_utf8(request.body()) {
            Ok(text) => reply::html(StatusCode::OK, page::markdown(text)),
            Err(_) => reply::error(StatusCode::BAD_REQUEST, "markdown is UTF-8"),
        },
        (&Method::POST, "/table") => match table::html(request.body()) {
            Ok(table) => reply::html(StatusCode::OK, table),
            Err(reason) => reply::error(StatusCode::BAD_REQUEST, format!("not a table: {reason}")),
        },
        (_, "/" | "/page" | "/regex" | "/health") => reply::error(StatusCode::METHOD_NOT_ALLOWED, "use GET"),
        (_, "/markdown" | "/table") => reply::error(StatusCode::METHOD_NOT_ALLOWED, "use POST"),
        _ => {
            reply::error(StatusCode::NOT_FOUND, "nothing here: try /, /page?title=, /regex?pattern=&text=, or POST to /markdown or /table")
        }
    }
}

fn shown(page: Result<String, minijinja::Error>) -> Response<Vec<u8>> {
    match page {
        Ok(page) => reply::html(StatusCode::OK, page),
        Err(reason) => reply::error(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot render the page: {reason:#}")),
    }
}

fn found(pattern: &str, text: &str) -> Response<Vec<u8>> {
    match search::search(pattern, text) {
        Ok(matches) => reply::json(StatusCode::OK, &matches),
        Err(reason) => reply::error(StatusCode::BAD_REQUEST, format!("not a pattern: {reason}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(request: Result<Request<Vec<u8>>, http::Error>) -> (StatusCode, String) {
        let response = handle(&request.unwrap());
        (response.status(), String::from_utf8(response.into_body()).unwrap())
    }

    #[test]
    fn the_page_of_all_has_a_theme_by_version_and_a_part_by_each_crate() {
        let (status, page) = asked(Request::get("/").body(Vec::new()));
        assert_eq!(status, StatusCode::OK, "{page}");
        assert!(page.contains(if cfg!(feature = "v2") { r#"data-theme="dusk""# } else { r#"data-theme="day""# }), "{page}");
        for part in ["<h2>Markdown</h2>", "<td>Kettle</td>", "<mark>", "<title>"] {
            assert!(page.contains(part), "no {part} in {page}");
        }
    }

    #[test]
    fn markdown_becomes_html() {
        let (status, html) = asked(Request::post("/markdown").body(b"# A *b*\n\n| c |\n|---|\n| d |\n".to_vec()));
        assert_eq!(status, StatusCode::OK);
        assert!(html.contains("<h1>A <em>b</em></h1>") && html.contains("<td>d</td>"), "{html}");
    }

    #[test]
    fn what_a_client_says_is_escaped() {
        let (_, page) = asked(Request::get("/page?title=%3Cscript%3E&text=%3Cscript%3E").body(Vec::new()));
        assert!(!page.contains("<script>") && page.contains("<title>&lt;script&gt;"), "{page}");
        let (_, table) = asked(Request::post("/table").body(b"a\n<script>\n".to_vec()));
        assert!(!table.contains("<script>"), "{table}");
    }

    #[test]
    fn a_pattern_gives_its_matches_with_their_groups() {
        let (status, matches) = asked(Request::get("/regex?pattern=(%5Cw%2B)%3D(%5Cd%2B)&text=a%3D1%20b%3D22").body(Vec::new()));
        assert_eq!(
            (status, matches.trim()),
            (StatusCode::OK, r#"[{"start":0,"end":3,"groups":["a","1"]},{"start":4,"end":8,"groups":["b","22"]}]"#)
        );
    }

    #[test]
    fn a_pattern_that_is_none_or_is_too_large_is_refused() {
        assert_eq!(asked(Request::get("/regex?pattern=(").body(Vec::new())).0, StatusCode::BAD_REQUEST);
        assert_eq!(asked(Request::get("/regex?pattern=%5Cw%7B5000%7D").body(Vec::new())).0, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_table_with_a_ragged_row_is_refused() {
        assert_eq!(asked(Request::post("/table").body(b"a,b\n1\n".to_vec())).0, StatusCode::BAD_REQUEST);
    }
}
