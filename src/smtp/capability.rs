//! What a server offers: its EHLO reply as keywords and parameters (RFC 5321, section 4.1.1.1).

use std::collections::{HashMap, hash_map::Entry};

use serde::{Serialize, Serializer, ser::SerializeMap};
use utoipa::ToSchema;

use super::Reply;

/// The keywords of an EHLO reply, in the server's order, unknown ones included.
///
/// Keywords are case-insensitive and shown in upper case; parameters stand as the server wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq, ToSchema)]
#[schema(value_type = std::collections::BTreeMap<String, String>)]
pub struct Capabilities(Vec<(String, String)>);

impl Capabilities {
    /// Reads the lines behind the first, which is the server's greeting of the client.
    pub fn from_ehlo(reply: &Reply) -> Self {
        let mut capabilities = Self::default();
        // A search through the list would take a hostile reply of 64 KiB tens of millions of comparisons.
        let mut places = HashMap::new();
        for line in reply.lines().skip(1) {
            let line = line.trim();
            let (keyword, parameters) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            if keyword.is_empty() {
                continue;
            }
            let (keyword, parameters) = (keyword.to_ascii_uppercase(), parameters.trim());
            match places.entry(keyword.clone()) {
                Entry::Vacant(place) => {
                    place.insert(capabilities.0.len());
                    capabilities.0.push((keyword, parameters.to_owned()));
                }
                // A keyword that is said twice (`AUTH PLAIN`, `AUTH LOGIN`) has the parameters of both.
                Entry::Occupied(place) => {
                    let (_, known) = &mut capabilities.0[*place.get()];
                    known.push(' ');
                    known.push_str(parameters);
                }
            }
        }
        capabilities
    }

    /// Whether the server offers `keyword`, in any case.
    pub fn offers(&self, keyword: &str) -> bool {
        self.0.iter().any(|(name, _)| name.eq_ignore_ascii_case(keyword))
    }
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (keyword, parameters) in &self.0 {
            map.serialize_entry(keyword, parameters)?;
        }
        map.end()
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
    fn one_line_offers_nothing() {
        assert_eq!(capabilities(b"250 SIZE\r\n"), Capabilities::default());
    }
}
