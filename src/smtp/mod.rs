//! SMTP as values (RFC 5321): what goes over the wire and in which order. No socket, no clock.
//!
//! - [`reply`]: bytes in, [`Reply`]s out, bounded while reading.
//! - [`capability`]: the EHLO reply as [`Capabilities`].
//! - [`address`]: [`Mailbox`] and [`EhloName`], parsed once.
//! - [`payload`]: the message, in a form that cannot end early.
//! - [`sasl`]: [`Credentials`] and what they answer to a challenge.
//! - [`command`]: [`Command`] to bytes; it holds only types that cannot contain CR or LF.
//! - [`dialogue`]: the conversation as a state machine: replies in, the next action out.
//! - [`queue_id`]: under which name the server queued the message.

pub mod address;
pub mod capability;
pub mod command;
pub mod dialogue;
pub mod payload;
pub mod queue_id;
pub mod reply;
pub mod sasl;

pub use address::{EhloName, InvalidAddress, Mailbox};
pub use capability::Capabilities;
pub use command::Command;
pub use dialogue::{Action, Dialogue, Script, Verdict};
pub use payload::{InvalidPayload, Payload};
pub use reply::{Code, EnhancedCode, Reply, ReplyError, ReplyParser};
pub use sasl::{Credentials, Mechanism};
