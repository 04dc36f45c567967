//! The pages that are made of the catalogue: Markdown for the manual, HTML for `/docs/findings`.

use std::fmt::Write;

use super::{CATALOGUE, Entry};

/// Characters of a line of Markdown.
const MAX_WIDTH: usize = 120;

const INTRODUCTION: &str = "A finding is something about the mail server that an operator should know. Findings do not \
                            fail a check. The severity belongs to the id: `error` (mail of some senders is lost, or a \
                            requirement is not met), `warning` (likely harm), `notice` (advice), `info` (a fact), \
                            `inconclusive` (the check could not tell, and says why). A refusal of this client and a \
                            time limit of this client are never a finding about the server.";

/// The page of the manual, without the definitions of its links.
pub fn markdown() -> String {
    let mut page = format!("# Findings\n\n{INTRODUCTION}\n\n");
    let made = "This page is made of the catalogue in `src/findings/catalogue`; a service has it at `/docs/findings`.";
    page += &wrapped(made);
    for entry in &CATALOGUE {
        let Entry { id, title, meaning, remedy, .. } = entry;
        // Writing to a `String` cannot fail.
        let _ = write!(page, "\n## {id}\n");
        let paragraphs =
            [format!("**{title}** ({})", facts(entry)), (*meaning).to_owned(), format!("*Remedy:* {remedy}")];
        for paragraph in paragraphs {
            let _ = write!(page, "\n{}", wrapped(&paragraph));
        }
    }
    page
}

/// The text in lines of the width of the other pages, the last one ended.
fn wrapped(text: &str) -> String {
    let (mut lines, mut width) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if width + 1 + length > MAX_WIDTH {
            lines.push('\n');
            width = 0;
        } else if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += length;
    }
    lines + "\n"
}

/// The page that the service has: it needs no script, style or other file.
pub fn html() -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>Findings - smtp-check</title>\n</head>\n<body>\n<main>\n\
         <h1>Findings</h1>\n<p>{}</p>\n<ul>\n",
        in_html(INTRODUCTION)
    );
    for Entry { id, title, .. } in &CATALOGUE {
        let _ = writeln!(page, "<li><a href=\"#{id}\">{id}</a>: {title}</li>");
    }
    page += "</ul>\n";
    for entry in &CATALOGUE {
        let Entry { id, title, meaning, remedy, .. } = entry;
        let _ = write!(
            page,
            "<section id=\"{id}\">\n<h2>{id}</h2>\n<p><strong>{title}</strong> ({})</p>\n<p>{}</p>\n<p><em>Remedy:</em> \
             {}</p>\n</section>\n",
            in_html(&facts(entry)),
            in_html(meaning),
            in_html(remedy)
        );
    }
    page + "</main>\n</body>\n</html>\n"
}

/// Severity, scope and reference in one line.
fn facts(entry: &Entry) -> String {
    let Entry { severity, variants, scope, reference, .. } = entry;
    let variants = if variants.is_empty() { String::new() } else { format!("; {variants}") };
    let reference = reference.map(|reference| format!("; {reference}")).unwrap_or_default();
    format!("`{}`{variants}; about: {}{reference}", severity.name(), scope.name())
}

/// A text of the catalogue in HTML, what is in backquotes as code.
fn in_html(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let parts = escaped.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_a_section_on_both_pages() {
        let (markdown, html) = (markdown(), html());
        for Entry { id, .. } in &CATALOGUE {
            assert_eq!(markdown.matches(&format!("\n## {id}\n")).count(), 1, "{id}");
            assert_eq!(html.matches(&format!("<section id=\"{id}\">")).count(), 1, "{id}");
        }
    }

    #[test]
    fn texts_are_escaped() {
        assert_eq!(in_html("`MAIL FROM:<>` & more"), "<code>MAIL FROM:&lt;&gt;</code> &amp; more");
    }
}
