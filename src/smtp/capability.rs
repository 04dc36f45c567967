//! [`Capabilities`]: the service extensions that a server offers in its EHLO reply (RFC 5321, section 4.1.1.1).

use indexmap::{IndexMap, map::Entry};
use serde::Serialize;
use utoipa::ToSchema;

use super::Reply;

/// The keywords of an EHLO reply, in the server's order, unknown ones included.
///
/// Keywords are case-insensitive and shown in upper case; parameters are as the server wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(value_type = std::collections::BTreeMap<String, String>)]
pub struct Capabilities(IndexMap<String, String>);

impl Capabilities {
    /// Reads all lines but the first, which is a greeting.
    pub fn from_ehlo(reply: &Reply) -> Self {
        let lines: Vec<_> = reply.lines().collect();
        let mut capabilities = Self(IndexMap::with_capacity(lines.len()));
        let whole = lines.len() - usize::from(reply.is_cut());
        for line in lines.iter().take(whole).skip(1) {
            let line = line.trim();
            let (keyword, parameters) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            if keyword.is_empty() {
                continue;
            }
            let parameters = parameters.trim();
            match capabilities.0.entry(keyword.to_ascii_uppercase()) {
                Entry::Vacant(entry) => {
                    entry.insert(parameters.to_owned());
                }
                // Some servers repeat a keyword: `AUTH PLAIN`, then `AUTH LOGIN`.
                Entry::Occupied(mut known) => {
                    if !known.get().is_empty() && !parameters.is_empty() {
                        known.get_mut().push(' ');
                    }
                    known.get_mut().push_str(parameters);
                }
            }
        }
        capabilities
    }

    /// Leaves out the second half. Returns how many keywords that were.
    pub fn halve(&mut self) -> usize {
        let length = self.0.len();
        self.0.truncate(length / 2);
        length - self.0.len()
    }

    /// The keywords, in the server's order.
    pub fn keywords(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The number of keywords.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no keywords.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all keywords and parameters.
    pub fn text_size(&self) -> usize {
        self.0.iter().map(|(keyword, parameters)| keyword.len() + parameters.len()).sum()
    }

    /// Whether the server offers `keyword`, in any case.
    pub fn offers(&self, keyword: &str) -> bool {
        self.0.contains_key(&keyword.to_ascii_uppercase())
    }

    /// The mechanisms of AUTH; `None` if the server does not offer AUTH. Old servers write `AUTH=LOGIN PLAIN`.
    pub fn auth_mechanisms(&self) -> Option<Vec<&str>> {
        let lines = self.0.iter().filter_map(|(keyword, parameters)| match keyword.strip_prefix("AUTH") {
            Some("") => Some(("", parameters)),
            Some(rest) => Some((rest.strip_prefix('=')?, parameters)),
            None => None,
        });
        let mut mechanisms = None;
        for (first, others) in lines {
            let known: &mut Vec<&str> = mechanisms.get_or_insert_default();
            known.extend(Some(first).filter(|first| !first.is_empty()).into_iter().chain(others.split_whitespace()));
        }
        mechanisms
    }

    /// The parameters of `keyword`, in any case; `None` where the server does not offer it.
    pub fn parameters(&self, keyword: &str) -> Option<&str> {
        self.0.get(&keyword.to_ascii_uppercase()).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ReplyParser;
    use super::*;

    fn capabilities(mut ehlo: &[u8]) -> Capabilities {
        let reply = ReplyParser::default().parse(&mut ehlo).expect("a reply").expect("whole");
        Capabilities::from_ehlo(&reply)
    }

    #[test]
    fn keywords_and_parameters_are_kept() {
        let offered = capabilities(
            b"250-mx.test greets you\r\n250-SIZE 10240000\r\n250-starttls\r\n250-AUTH PLAIN\r\n250-AUTH  LOGIN\r\n250-AUTH=PLAIN\r\n250-\r\n250 X-ODD a  b\r\n",
        );
        assert_eq!(
            serde_json::to_string(&offered).expect("JSON"),
            r#"{"SIZE":"10240000","STARTTLS":"","AUTH":"PLAIN LOGIN","AUTH=PLAIN":"","X-ODD":"a  b"}"#
        );
        assert!(offered.offers("StartTls") && !offered.offers("8BITMIME"));
    }

    #[test]
    fn mechanisms_are_read_in_both_spellings() {
        for (ehlo, mechanisms) in [
            (&b"250-mx\r\n250-AUTH PLAIN\r\n250 AUTH LOGIN\r\n"[..], Some(&["PLAIN", "LOGIN"][..])),
            (b"250-mx\r\n250 auth=LOGIN Plain\r\n", Some(&["LOGIN", "Plain"])),
            (b"250-mx\r\n250-AUTH=\r\n250 AUTH CRAM-MD5\r\n", Some(&["CRAM-MD5"])),
            (b"250-mx\r\n250 AUTH\r\n", Some(&[])),
            (b"250-mx\r\n250-XAUTH\r\n250 AUTHENTICATE PLAIN\r\n", None),
        ] {
            assert_eq!(capabilities(ehlo).auth_mechanisms().as_deref(), mechanisms);
        }
    }

    #[test]
    fn a_repeated_keyword_keeps_its_parameters() {
        let offered =
            capabilities(b"250-mx\r\n250-STARTTLS\r\n250-STARTTLS\r\n250-SIZE\r\n250-SIZE 100\r\n250 SIZE\r\n");
        assert_eq!(serde_json::to_string(&offered).expect("JSON"), r#"{"STARTTLS":"","SIZE":"100"}"#);
    }

    #[test]
    fn one_line_offers_nothing() {
        assert_eq!(capabilities(b"250 SIZE\r\n"), Capabilities::default());
    }
}
