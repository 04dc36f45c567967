//! [`Text`]: the text of a reply as sentences of whole words, so that a part of a host name, of an address or of an id
//! is never taken for a word.

use std::net::IpAddr;

/// Most octets of a reply that are read for its words: the reason stands at the beginning.
const MAX_READ_SIZE: usize = 2048;

/// What stands in a phrase for an IP address, a host name, a mailbox, a URL, a URL with an IP address, and anything
/// else that is no word.
const PLACEHOLDERS: [&str; 6] = ["#ip", "#name", "#mailbox", "#url", "#url-of-ip", "#"];

/// The text of a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text(Vec<Sentence>);

/// The words between two of `.`, `;`, `:`, `!`, `?` and line ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sentence(Vec<Word>);

/// A word in lower case, or a placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    form: String,
    /// The host name of `#name` and of a URL; the address of `#ip`.
    value: String,
}

impl Text {
    pub(super) fn of(text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(MAX_READ_SIZE)];
        let mut sentences = vec![Sentence::default()];
        for line in text.lines() {
            for chunk in line.split_whitespace() {
                read_chunk(chunk, &mut sentences);
            }
            // A line of a reply may end in the middle of a sentence.
            if line.trim_end().ends_with(SENTENCE_ENDS) {
                sentences.push(Sentence::default());
            }
        }
        sentences.retain(|sentence| !sentence.0.is_empty());
        Self(sentences)
    }

    pub(super) fn sentences(&self) -> &[Sentence] {
        &self.0
    }

    /// Whether one of the sentences has one of these phrases.
    pub(super) fn has(&self, phrases: &[&str]) -> bool {
        self.0.iter().any(|sentence| sentence.has(phrases))
    }
}

impl Sentence {
    /// Whether it has one of these phrases: whole words in lower case, and placeholders.
    pub(super) fn has(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.find(phrase).is_some())
    }

    /// The index of the first word of the phrase, and of the word behind it.
    pub(super) fn find(&self, phrase: &str) -> Option<(usize, usize)> {
        debug_assert!(phrase.split(' ').all(|word| !word.starts_with('#') || PLACEHOLDERS.contains(&word)), "{phrase}");
        let words = phrase.split(' ').count();
        let start = (0..self.0.len())
            .find(|start| phrase.split(' ').enumerate().all(|(at, word)| self.form(start + at) == Some(word)))?;
        Some((start, start + words))
    }

    /// The sentence up to this word.
    pub(super) fn before(&self, end: usize) -> Self {
        Self(self.0[..end.min(self.0.len())].to_vec())
    }

    /// The index of the last word of the last of these phrases.
    pub(super) fn last(&self, phrases: &[&str]) -> Option<usize> {
        (0..self.0.len()).rev().find(|end| {
            phrases.iter().any(|phrase| {
                let words = phrase.split(' ').rev().enumerate();
                words.clone().all(|(back, word)| end.checked_sub(back).and_then(|at| self.form(at)) == Some(word))
            })
        })
    }

    fn form(&self, at: usize) -> Option<&str> {
        self.0.get(at).map(|word| &*word.form)
    }

    /// Its host names, without those of URLs.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|word| word.form == "#name").map(|word| &*word.value)
    }

    /// The host name or address at this place.
    pub(super) fn value(&self, at: usize) -> &str {
        self.0.get(at).map_or("", |word| &word.value)
    }

    /// Whether it denies something, or leaves it open.
    pub(super) fn is_hedged(&self) -> bool {
        const HEDGES: [&str; 14] = [
            "not", "no", "never", "isn't", "aren't", "may", "might", "could", "if", "unless", "whether", "off",
            "without", "neither",
        ];
        self.has(&HEDGES)
    }

    fn push(&mut self, form: &str, value: &str) {
        self.0.push(Word { form: form.to_owned(), value: value.to_owned() });
    }
}

const SENTENCE_ENDS: [char; 5] = ['.', ';', ':', '!', '?'];

/// Reads what stands between two blanks.
fn read_chunk(chunk: &str, sentences: &mut Vec<Sentence>) {
    const OUTER: [char; 12] = ['(', ')', '[', ']', '<', '>', '{', '}', '"', '\'', '`', ','];
    let ends = chunk.trim_end_matches(OUTER).ends_with(SENTENCE_ENDS);
    let is_outer = |c: char| OUTER.contains(&c) || SENTENCE_ENDS.contains(&c);
    let core = chunk.trim_start_matches(OUTER).trim_end_matches(is_outer);
    if let Some((_, rest)) = core.split_once("://") {
        read_url(rest, last(sentences));
    } else {
        let is_bracket = |c: char| OUTER.contains(&c) && c != '\'';
        for piece in core.split(|c| is_bracket(c) || c == '=' || c == '/').filter(|piece| !piece.is_empty()) {
            read_piece(piece, sentences);
        }
    }
    if ends {
        sentences.push(Sentence::default());
    }
}

fn last(sentences: &mut Vec<Sentence>) -> &mut Sentence {
    if sentences.is_empty() {
        sentences.push(Sentence::default());
    }
    let last = sentences.len() - 1;
    &mut sentences[last]
}

fn read_url(rest: &str, sentence: &mut Sentence) {
    let mut parts = rest.split(|c: char| "/?&=#;,[]".contains(c));
    let host = parts.next().unwrap_or_default().to_ascii_lowercase();
    let form = if parts.any(|part| part.parse::<IpAddr>().is_ok()) { "#url-of-ip" } else { "#url" };
    sentence.push(form, &host);
}

fn read_piece(piece: &str, sentences: &mut Vec<Sentence>) {
    let lower = piece.to_lowercase().replace('’', "'");
    if let Ok(address) = lower.strip_prefix("ipv6:").unwrap_or(&lower).parse::<IpAddr>() {
        return last(sentences).push("#ip", &address.to_string());
    }
    let mut parts = lower.split([':', ';']).peekable();
    while let Some(part) = parts.next() {
        let sentence = last(sentences);
        match part {
            "" => {}
            _ if part.parse::<IpAddr>().is_ok() => sentence.push("#ip", part),
            _ if part.contains('@') => sentence.push("#mailbox", part),
            _ if is_host_name(part) => sentence.push("#name", part),
            _ if part.contains('.') => sentence.push("#", ""),
            _ => part.split('-').filter(|word| !word.is_empty()).for_each(|word| {
                let is_word = word.chars().all(|c| c.is_alphabetic() || c == '\'');
                sentence.push(if is_word { word } else { "#" }, "");
            }),
        }
        if parts.peek().is_some() {
            sentences.push(Sentence::default());
        }
    }
}

/// Whether the word is a name of at least two labels, and no address.
fn is_host_name(word: &str) -> bool {
    let labels: Vec<&str> = word.split('.').collect();
    let is_label =
        |label: &&str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let is_top = |label: &&str| label.len() > 1 && label.bytes().all(|b| b.is_ascii_alphabetic());
    labels.len() > 1 && word.len() <= 253 && labels.iter().all(is_label) && labels.last().is_some_and(is_top)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(text: &str) -> Vec<String> {
        let text = Text::of(text);
        let forms = |sentence: &Sentence| sentence.0.iter().map(|word| &*word.form).collect::<Vec<_>>().join(" ");
        text.sentences().iter().map(forms).collect()
    }

    #[test]
    fn names_addresses_and_ids_are_no_words() {
        for (text, sentences) in [
            (
                "Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org; https://x.test/q/192.0.2.9",
                &["service unavailable", "client host #ip blocked using #name", "#url-of-ip"][..],
            ),
            ("<unknown[127.0.0.1]>: Client host rejected", &["unknown #ip", "client host rejected"]),
            ("relay1.example.com: Temporary lookup failure", &["#name", "temporary lookup failure"]),
            ("relay-2: no", &["relay #", "no"]),
            ("gone. c4s5h12345678wmb.7 - gsmtp", &["gone", "# gsmtp"]),
            ("you're on our block-list (S3140)", &["you're on our block list #"]),
            ("IPv6:2001:db8::1 and [IPv6:2001:db8::2] or (a@b.test:550)", &["#ip and #ip or #mailbox", "#"]),
            ("one\ntwo.\nthree", &["one two", "three"]),
            ("SPF/DKIM", &["spf dkim"]),
            ("", &[]),
        ] {
            assert_eq!(forms(text), sentences, "{text}");
        }
    }

    #[test]
    fn phrases_are_whole_words_in_any_case() {
        let has = |text: &str, phrase: &str| Text::of(text).has(&[phrase]);
        assert!(has("550 USER UNKNOWN here", "user unknown") && has("user  unknown", "user unknown"));
        assert!(has("über user unknown", "user unknown") && has("user\nunknown", "user unknown"));
        for text in ["", "user unknow", "superuser unknown", "user. Unknown", "user unknown.example.test"] {
            assert!(!has(text, "user unknown"), "{text}");
        }
        let sentence = &Text::of("from a.test and b.test refused").0[0];
        assert_eq!(sentence.last(&["and #name", "from #name"]).map(|at| sentence.value(at)), Some("b.test"));
    }
}
