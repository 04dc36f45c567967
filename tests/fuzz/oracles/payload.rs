//! The message: it arrives complete, and cannot end before its end (SMTP smuggling).

use smtp_check::smtp::{InvalidPayload, Payload};

use super::assert_framed;

/// `data` is the text of a message.
pub fn payload(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // The one kind of line end that is changed is gone; other errors are errors in this form too.
    let normal = text.replace("\r\n", "\n");
    let lines: Vec<&str> = normal.split('\n').collect();
    match Payload::parse(&text) {
        Ok(payload) => {
            let wire = payload.to_wire();
            assert_framed(&wire);
            assert_eq!(wire, [lines.join("\r\n").as_bytes(), b"\r\n.\r\n"].concat(), "as it stands");
            assert_eq!((payload.len(), payload.is_empty()), (wire.len() - 5, text.is_empty()), "its length");
            assert_eq!(payload.is_8bit(), !text.is_ascii(), "its octets");
            let leading_dot = lines.iter().position(|line| line.starts_with('.')).map(|index| index + 1);
            assert_eq!(payload.first_line_with_leading_dot(), leading_dot, "its dots");
        }
        Err(InvalidPayload::BareCarriageReturn(line)) => {
            assert!(lines[line - 1].contains('\r'), "line {line}: {text:?}")
        }
        Err(InvalidPayload::Nul(line)) => assert!(lines[line - 1].contains('\0'), "line {line}: {text:?}"),
        Err(InvalidPayload::LoneDot(line)) => assert_eq!(lines[line - 1], ".", "line {line}: {text:?}"),
    }
}
