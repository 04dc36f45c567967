//! The console at `/`: a page that runs a check of a server or of a domain, and shows it while it runs.
//!
//! The files are compiled into the program, and the page loads nothing else. Scripts and styles are separate files, so
//! that the content security policy can forbid inline ones: the text of a mail server can never run as a script.

use std::sync::LazyLock;

use axum::{
    Router,
    extract::{Path, Request},
    http::{HeaderMap, HeaderValue},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::http::{middleware::auth::Caller, problem::Problem, routes::assets::Asset};

const PAGE: &str = include_str!("index.html");

/// The files of the page: name, media type, content.
const FILES: [(&str, &str, &str); 21] = [
    ("app.js", "text/javascript", include_str!("app.js")),
    ("certificate.js", "text/javascript", include_str!("certificate.js")),
    ("curl.js", "text/javascript", include_str!("curl.js")),
    ("dom.js", "text/javascript", include_str!("dom.js")),
    ("domain.js", "text/javascript", include_str!("domain.js")),
    ("domain_findings.js", "text/javascript", include_str!("domain_findings.js")),
    ("domain_matrix.js", "text/javascript", include_str!("domain_matrix.js")),
    ("domain_parts.js", "text/javascript", include_str!("domain_parts.js")),
    ("domain_verdict.js", "text/javascript", include_str!("domain_verdict.js")),
    ("form.js", "text/javascript", include_str!("form.js")),
    ("live.js", "text/javascript", include_str!("live.js")),
    ("mark.js", "text/javascript", include_str!("mark.js")),
    ("place.js", "text/javascript", include_str!("place.js")),
    ("report.js", "text/javascript", include_str!("report.js")),
    ("result.js", "text/javascript", include_str!("result.js")),
    ("tab.js", "text/javascript", include_str!("tab.js")),
    ("verdict.js", "text/javascript", include_str!("verdict.js")),
    ("violations.js", "text/javascript", include_str!("violations.js")),
    ("waterfall.js", "text/javascript", include_str!("waterfall.js")),
    ("style.css", "text/css", include_str!("style.css")),
    ("icon.svg", "image/svg+xml", include_str!("icon.svg")),
];

/// The page, also as those get it who need a token.
static PAGES: LazyLock<[Asset; 2]> = LazyLock::new(|| {
    let guarded = PAGE.replacen("<html ", "<html data-guarded=\"yes\" ", 1);
    let html = || HeaderValue::from_static("text/html; charset=utf-8");
    [Asset::new(html(), PAGE), Asset::new(html(), guarded)]
});

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    FILES.map(|(_, media_type, content)| Asset::new(HeaderValue::from_static(media_type), content)).into()
});

/// The routes of the page and its files.
pub(super) fn routes() -> Router {
    Router::new().route("/", get(page)).route("/console/{file}", get(file))
}

/// The page tells its script whether callers need a token, for the curl line.
async fn page(request: Request) -> Response {
    let is_guarded = request.extensions().get::<Caller>().is_some();
    PAGES[usize::from(is_guarded)].response(request.headers()).await
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match FILES.iter().position(|(file, ..)| *file == name) {
        Some(index) => ASSETS[index].response(&headers).await,
        None => Problem::not_found().into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::escape::is_harmful;

    /// Each text between `before` and the next `after`.
    fn between<'a>(text: &'a str, before: &str, after: char) -> impl Iterator<Item = &'a str> {
        text.split(before).skip(1).filter_map(move |rest| rest.split(after).next())
    }

    #[test]
    fn the_page_loads_exactly_these_files() {
        let scripts = FILES.iter().filter(|(name, ..)| name.ends_with(".js"));
        let imported = scripts.flat_map(|(_, _, text)| between(text, "from './", '\''));
        let asked: BTreeSet<&str> = between(PAGE, "\"/console/", '"').chain(imported).collect();
        assert_eq!(asked, FILES.iter().map(|(name, ..)| *name).collect());
    }

    #[test]
    fn the_page_escapes_what_is_harmful() {
        let is_escaped = |code: u32| code != 0xa && char::from_u32(code).is_some_and(is_harmful);
        let mut class = String::new();
        let mut code = 0;
        while code <= u32::from(char::MAX) {
            let first = code;
            while is_escaped(code) {
                code += 1;
            }
            match code - first {
                0 => {}
                1 => class += &format!("\\u{{{first:x}}}"),
                _ => class += &format!("\\u{{{first:x}}}-\\u{{{:x}}}", code - 1),
            }
            code += 1;
        }
        assert!(include_str!("dom.js").contains(&format!("const HARMFUL = /[{class}]/gu;")), "{class}");
    }

    #[test]
    fn the_page_has_no_inline_script_or_style() {
        for forbidden in ["<style", " style=", "javascript:", " onclick", " onload", "http://", "https://"] {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
        assert!(between(PAGE, "<script", '>').all(|attributes| attributes.contains("src=")));
    }
}
