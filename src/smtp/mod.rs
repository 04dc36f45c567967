//! SMTP (RFC 5321) as values: commands, replies, and the order in which they go. No socket, no clock.
//!
//! - [`reply`]: [`ReplyParser`], from bytes to [`Reply`]s of limited size.
//! - [`capability`]: the EHLO reply as [`Capabilities`].
//! - [`address`]: [`Mailbox`] and [`EhloName`].
//! - [`payload`]: the message, in a form that cannot end the DATA phase early.
//! - [`protocol`]: SMTP or LMTP, and what a session does about STARTTLS.
//! - [`sasl`]: [`Credentials`], the mechanisms of AUTH, and their responses to a challenge.
//! - [`command`]: [`Command`], made of types that cannot contain CR or LF.
//! - [`expectation`]: the replies that a check expects in place of the usual ones.
//! - [`script`]: what one check sends, as [`Script`].
//! - [`dialogue`]: the session as a state machine: a reply goes in, the next action comes out.
//! - [`queue_id`]: the identifier that the server gave to the message in its queue.

pub mod address;
pub mod capability;
pub mod command;
pub mod dialogue;
pub mod expectation;
pub mod payload;
pub mod protocol;
pub mod queue_id;
pub mod reply;
pub mod sasl;
pub mod script;

pub use address::{EhloName, InvalidAddress, Mailbox};
pub use capability::Capabilities;
pub use command::Command;
pub use dialogue::{Action, Dialogue, Verdict};
pub use expectation::{Expectation, Expectations};
pub use payload::{InvalidPayload, Payload};
pub use protocol::{Protocol, StartTls};
pub use reply::{Code, EnhancedCode, Reply, ReplyError, ReplyParser};
pub use sasl::{Credentials, Mechanism, MechanismChoice};
pub use script::Script;
