//! The maildir of a server: the messages as sent, without what the server added.

use std::fs;
use std::path::Path;

/// A message in the mailbox, with LF as line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// What the server added, up to its `Received` field. Postfix: `Return-Path`, `X-Original-To`, `Delivered-To`,
    /// `Received`. Exim: `Return-path`, `Received`.
    pub(crate) trace: String,
    /// The rest: the message as sent, except for these changes. A text without a header gets an empty line before it;
    /// Exim ends a message without a body with an empty line; `Return-Path` fields are removed (by Postfix `Bcc` and
    /// `Content-Length` as well).
    pub(crate) message: Vec<u8>,
}

impl Delivered {
    /// Finds the message with this queue id in its `Received` field, if it has been delivered.
    pub(super) fn find(maildir: &Path, queue_id: &str) -> Option<Self> {
        // A maildir's `new` holds only files that are complete.
        fs::read_dir(maildir.join("new"))
            .ok()?
            .filter_map(|entry| fs::read(entry.ok()?.path()).ok())
            .filter_map(|file| Self::split(&file))
            .find(|delivered| delivered.trace.split_whitespace().any(|word| word.trim_end_matches(';') == queue_id))
    }

    fn split(file: &[u8]) -> Option<Self> {
        let mut length = 0;
        let mut in_received = false;
        for line in file.split_inclusive(|&byte| byte == b'\n') {
            let continues = line.starts_with(b"\t") || line.starts_with(b" ");
            if in_received && !continues {
                break;
            }
            in_received |= line.starts_with(b"Received: ");
            length += line.len();
        }
        let (trace, message) = file.split_at(length);
        Some(Self { trace: String::from_utf8(trace.to_vec()).ok()?, message: message.to_vec() })
    }
}
