//! Access: tokens, rate limits, clients behind proxies.

use axum::http::{
    HeaderName,
    header::{ACCEPT, AUTHORIZATION, WWW_AUTHENTICATE},
};
use base64::{Engine, prelude::BASE64_STANDARD};

use super::*;

/// The digests of `alpha` and `beta`, as `sha256sum` prints them.
const TOKENS: &str = "# callers\n\
    one:8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8\n\
    \n  two : F44E64E75F3948E9F73F8DFA94721C4CE8CBB4F265C4790C702B2D41CFBF2753 \n";

pub(super) fn token_store() -> TokenStore {
    TokenStore::new(TOKENS.parse().expect("good tokens"))
}

#[tokio::test]
async fn every_path_but_three_needs_a_token() {
    let app = guarded(token_store(), None);
    for path in ["/healthz", "/readyz", "/version"] {
        assert_eq!(get_path(app.clone(), path).await.0.status, 200, "{path}");
    }
    for path in ["/openapi.json", "/docs/", "/nothing", "/v1/checks/smtp", "/healthz/", "//healthz", "/version/../docs"]
    {
        let refused = get_path(app.clone(), path).await;
        assert_problem(&refused, 401, "unauthorized");
        assert_eq!(refused.0.headers[WWW_AUTHENTICATE], "Bearer");
    }
    for (authorization, status) in [
        ("Bearer alpha", 200),
        ("bearer beta", 200),
        ("BEARER  alpha", 200),
        ("Bearer alph", 401),
        ("Bearer alpha2", 401),
        ("Bearer ", 401),
        ("Bearer", 401),
        ("Basic alpha", 401),
        ("alpha", 401),
        ("Bearer 8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8", 401),
    ] {
        let answer =
            send(app.clone(), request(Method::GET, "/openapi.json").header(AUTHORIZATION, authorization)).await;
        assert_eq!(answer.0.status, status, "{authorization}");
        assert!(!answer.1.contains("alph2"));
    }
}

#[tokio::test]
async fn a_browser_may_send_the_token_as_a_password_and_is_asked_for_it() {
    let app = guarded(token_store(), None);
    let ask = |headers: &[(HeaderName, &str)]| {
        let mut request = request(Method::GET, "/");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        send(app.clone(), request)
    };
    let page = (ACCEPT, "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
    let (refused, _) = ask(std::slice::from_ref(&page)).await;
    let challenges: Vec<_> = refused.headers.get_all(WWW_AUTHENTICATE).iter().collect();
    assert_eq!((refused.status.as_u16(), challenges.len()), (401, 2));
    assert_eq!(challenges[1], "Basic realm=\"smtp-check\", charset=\"UTF-8\"");

    for (pair, status) in [("me:alpha", 200), (":beta", 200), ("alpha:", 401), ("alpha", 401), ("me:alpha ", 401)] {
        let credentials = format!("Basic {}", BASE64_STANDARD.encode(pair));
        let (answer, body) = ask(&[page.clone(), (AUTHORIZATION, &credentials)]).await;
        assert_eq!(answer.status, status, "{pair}");
        assert_eq!(body.contains("data-guarded"), status == 200, "the curl line of the page needs a token");
    }
}

#[tokio::test]
async fn a_remembered_password_starts_no_check_for_a_foreign_page() {
    let app = guarded(token_store(), None);
    for (authorization, status) in
        [("Bearer alpha", 400), (&*format!("Basic {}", BASE64_STANDARD.encode("me:alpha")), 401)]
    {
        let request = request(Method::GET, "/probe").header(AUTHORIZATION, authorization).header(ACCEPT, "text/html");
        let (answer, _) = send(app.clone(), request).await;
        assert_eq!(answer.status, status, "{authorization}");
        assert!(answer.headers.get_all(WWW_AUTHENTICATE).iter().all(|challenge| challenge == "Bearer"));
    }
}

#[tokio::test]
async fn tokens_are_replaced_between_two_requests() {
    let tokens = token_store();
    let app = guarded(tokens.clone(), None);
    let status = async |token: &str| {
        let request = request(Method::GET, "/openapi.json").header(AUTHORIZATION, format!("Bearer {token}"));
        send(app.clone(), request).await.0.status.as_u16()
    };
    assert_eq!((status("alpha").await, status("beta").await, status("gamma").await), (200, 200, 401));
    // The digests of `beta` and `gamma`.
    let new = "two:f44e64e75f3948e9f73f8dfa94721c4ce8cbb4f265c4790c702b2d41cfbf2753\n\
        three:be9d587defa1f0c09ef49eb17e206983a5f8f8289e4281860bd0ee5a19592c67";
    tokens.replace(new.parse().expect("good tokens"));
    assert_eq!((status("alpha").await, status("beta").await, status("gamma").await), (401, 200, 200));
}

/// `POST /v1/checks/smtp` with an invalid body, which counts like a valid one.
async fn post_invalid(app: &Router, token: Option<&str>) -> (Parts, String) {
    let mut request = check_request(json!({}));
    if let Some(token) = token {
        request.headers_mut().insert(AUTHORIZATION, format!("Bearer {token}").parse().expect("a value"));
    }
    answer(app.clone(), request).await
}

#[tokio::test]
async fn each_token_has_a_budget_and_gets_its_headers() {
    let app = guarded(token_store(), Some("2/h"));
    let limits = |parts: &Parts| {
        let header = |name| parts.headers.get(name).map(|value: &HeaderValue| value.to_str().expect("text").to_owned());
        [header("ratelimit-policy"), header("ratelimit"), header("retry-after")]
    };
    let policy = Some("\"checks\";q=2;w=3600".to_owned());
    for (left, back) in [(1, 1800), (0, 1800)] {
        // A 401 does not count.
        let unknown = post_invalid(&app, Some("alphabet")).await;
        assert_problem(&unknown, 401, "unauthorized");
        assert_eq!(limits(&unknown.0), [None, None, None]);
        let answer = post_invalid(&app, Some("alpha")).await;
        assert_problem(&answer, 422, "invalid-parameters");
        assert_eq!(limits(&answer.0), [policy.clone(), Some(format!("\"checks\";r={left};t={back}")), None]);
    }
    let refused = post_invalid(&app, Some("alpha")).await;
    assert_problem(&refused, 429, "rate-limited");
    assert_eq!(limits(&refused.0), [policy, Some("\"checks\";r=0;t=1800".to_owned()), Some("1800".to_owned())]);
    assert!(refused.1.contains("2 per hour"), "{}", refused.1);
    assert_problem(&post_invalid(&app, Some("beta")).await, 422, "invalid-parameters");
}

#[tokio::test]
async fn only_routes_that_start_checks_are_limited() {
    let app = guarded(token_store(), Some("1/h"));
    for (method, path) in [
        (Method::GET, "/healthz"),
        (Method::GET, "/openapi.json"),
        (Method::GET, "/docs/"),
        (Method::GET, "/nothing"),
        (Method::GET, "/v1/checks/smtp"),
        (Method::OPTIONS, "/v1/checks/smtp"),
    ] {
        let request = request(method, path).header(AUTHORIZATION, "Bearer alpha");
        let (parts, _) = send(app.clone(), request).await;
        assert!(parts.status != 429 && !parts.headers.contains_key("ratelimit"), "{path}: {}", parts.status);
    }
    assert_eq!(post_invalid(&app, Some("alpha")).await.0.status, 422);
    assert_eq!(post_invalid(&app, Some("alpha")).await.0.status, 429);
}

#[tokio::test]
async fn without_tokens_each_client_address_has_a_budget() {
    let proxies = ["10.0.0.0/8".parse().expect("a network")].into_iter().collect();
    let rate_limit = Some("1/h".parse().expect("a rate"));
    let app = router(app_state(), AccessConfig { rate_limit, trusted_proxies: proxies, ..AccessConfig::default() })
        .expect("a document");
    for (peer, forwarded, status) in [
        ("192.0.2.1:1", None, 422),
        ("192.0.2.1:2", None, 429),
        ("192.0.2.1:3", Some("203.0.113.7"), 429),
        ("10.0.0.1:1", Some("203.0.113.7"), 422),
        ("10.0.0.1:2", Some("203.0.113.7"), 429),
        ("10.0.0.1:3", Some("198.51.100.1, 203.0.113.7"), 429),
        ("10.0.0.2:1", Some("203.0.113.8"), 422),
        ("[2001:db8::1]:1", None, 422),
        ("[2001:db8::2]:1", None, 429),
    ] {
        let mut request = check_request(json!({}));
        request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().expect("an address")));
        if let Some(forwarded) = forwarded {
            request.headers_mut().insert("x-forwarded-for", HeaderValue::from_static(forwarded));
        }
        assert_eq!(answer(app.clone(), request).await.0.status, status, "{peer} {forwarded:?}");
    }
}

/// The router with these tokens and this rate limit.
pub(super) fn guarded(tokens: TokenStore, rate_limit: Option<&str>) -> Router {
    let rate_limit = rate_limit.map(|rate| rate.parse().expect("a rate"));
    router(app_state(), AccessConfig { tokens: Some(tokens), rate_limit, ..AccessConfig::default() })
        .expect("a document")
}
