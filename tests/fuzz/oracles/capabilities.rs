//! The EHLO reply: every keyword is found, and every parameter is kept as the server wrote it.

use serde_json::{Map, Value};
use smtp_check::smtp::{Capabilities, Reply, ReplyParser};

/// `data` is what a server sends; every reply in it is read as a reply to EHLO.
pub fn capabilities(mut data: &[u8]) {
    let mut parser = ReplyParser::default();
    while let Ok(Some(reply)) = parser.parse(&mut data) {
        assert_all_offered(&reply);
    }
}

fn assert_all_offered(reply: &Reply) {
    let offered = Capabilities::from_ehlo(reply);
    let expected = read_naively(reply);
    for (keyword, _) in &expected {
        assert!(offered.offers(keyword), "{keyword:?} is not offered");
        assert!(offered.offers(&keyword.to_ascii_lowercase()), "{keyword:?} is not offered in lower case");
    }
    assert!(!offered.offers(""), "a line without a keyword offers nothing");
    let json = serde_json::to_string(&offered).expect("strings to strings");
    let shown: Map<String, Value> = serde_json::from_str(&json).expect("an object");
    let shown: Vec<_> = shown.into_iter().map(|(keyword, text)| (keyword, text.as_str().map(str::to_owned))).collect();
    let expected: Vec<_> =
        expected.into_iter().map(|(keyword, parameters)| (keyword, Some(parameters.join(" ")))).collect();
    assert_eq!(shown, expected, "each keyword once, in the server's order, with all its parameters");
}

/// Keywords in upper case, each with the parameters of all its lines: by a slower algorithm than the real one.
fn read_naively(reply: &Reply) -> Vec<(String, Vec<String>)> {
    let mut offered: Vec<(String, Vec<String>)> = Vec::new();
    for line in reply.lines().skip(1) {
        let Some(keyword) = line.split_whitespace().next() else { continue };
        let parameters = line.trim()[keyword.len()..].trim().to_owned();
        let keyword = keyword.to_ascii_uppercase();
        let at = offered.iter().position(|(known, _)| *known == keyword).unwrap_or_else(|| {
            offered.push((keyword, Vec::new()));
            offered.len() - 1
        });
        offered[at].1.extend(Some(parameters).filter(|parameters| !parameters.is_empty()));
    }
    offered
}
