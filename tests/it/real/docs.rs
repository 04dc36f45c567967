//! `/docs` in a real browser that can reach no host but this service.

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{app::TestApp, temp_dir::TempDir};

/// The result of loading a page in the browser.
struct Page {
    /// The document after its scripts have run.
    dom: String,
    /// What they wrote to the console.
    console: Vec<String>,
    /// Every address that the page requested. Requests of the browser itself are left out.
    asked: BTreeSet<String>,
}

/// Opens a page in Chromium and runs its scripts to their end.
async fn open(url: String) -> Page {
    let opened = tokio::task::spawn_blocking(move || {
        let profile = TempDir::new();
        let net_log = profile.path().join("net-log.json");
        let output = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync", "--no-first-run"])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-dev-shm-usage",
                "--no-proxy-server",
            ])
            .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
            .args(["--window-size=1280,2000", "--virtual-time-budget=20000", "--enable-logging=stderr", "--v=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--log-net-log={}", net_log.display()))
            .args(["--dump-dom", &url])
            .stdin(Stdio::null())
            .output()
            .expect("chromium, which tests/install brings");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let dom = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(output.status.success() && !dom.is_empty(), "{stderr}");
        let console = stderr.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
        Page { dom, console, asked: asked(&fs::read(net_log).expect("a log of the network"), &url) }
    });
    opened.await.expect("no panic")
}

/// The addresses of all requests that a page of the origin of `url` began.
fn asked(net_log: &[u8], url: &str) -> BTreeSet<String> {
    let log: Value = serde_json::from_slice(net_log).expect("the log is JSON once the browser has ended");
    let origin: String = url.split_inclusive('/').take(3).collect();
    let begun = log["events"].as_array().expect("events").iter().map(|event| &event["params"]);
    let by_the_page = begun.filter(|params| params["initiator"].as_str() == Some(origin.trim_end_matches('/')));
    by_the_page.filter_map(|params| params["url"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_page_shows_every_route_and_requests_no_other_host() {
    let app = TestApp::start().await;
    let origin = format!("http://{}", app.addr());
    // The link into the operation, so that its parameters, examples and responses are rendered too.
    let page = open(format!("{origin}/docs/#/checks/run_check")).await;

    for text in ["/v1/checks/smtp", "Run one check, now", "/healthz", "/readyz", "/version", "OAS 3.1"] {
        assert!(page.dom.contains(text), "{text} is not on the page");
    }
    // The operation is open: its body, its examples, every status.
    for text in
        ["Request body", "Ask one server whether it accepts the recipient", "The recipient was rejected", "Execute"]
    {
        assert!(page.dom.contains(text), "{text} is not on the page");
    }
    for status in ["200", "400", "401", "403", "408", "413", "415", "422", "429", "500", "503"] {
        assert!(page.dom.contains(&format!("data-code=\"{status}\"")), "{status} is not on the page");
    }
    assert!(!page.dom.contains("Failed to load"), "the page complains");

    let wrong: Vec<&String> = page.console.iter().filter(|line| !line.contains(":INFO:CONSOLE")).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let refused: Vec<&String> = page.console.iter().filter(|line| line.contains("Content Security Policy")).collect();
    assert!(refused.is_empty(), "{refused:?}");

    assert!(page.asked.contains(&format!("{origin}/openapi.json")), "{:?}", page.asked);
    let elsewhere: Vec<&String> =
        page.asked.iter().filter(|url| !url.starts_with(&format!("{origin}/")) && !url.starts_with("data:")).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}
