//! Servers that do not hear the message out.

use serde_json::json;

use super::met;
use crate::support::{
    app::{App, failure, phases},
    smtpd::{Act, Script, Step},
};

/// A message of lines, so many octets or a few less.
fn payload(octets: usize) -> String {
    ("x".repeat(70) + "\r\n").repeat(octets / 72)
}

/// A server that reads the beginning of the message, which has more than fits into its buffers, and then does this.
fn after_the_beginning(act: Act) -> Script {
    let beginning = Act::reply("354 go on\r\n").then(Act::await_client());
    Script::polite().with_receive_buffer(4096).on(Step::Data, beginning.then(act))
}

#[tokio::test]
async fn a_server_that_hangs_up_in_the_middle_of_the_message_has_closed() {
    let app = App::start().await;
    for end in [Act::close(), Act::reset()] {
        let (report, _) = met(&app, after_the_beginning(end), json!({"payload": payload(720_000)})).await;
        assert_eq!(failure(&report), ("body", "closed", true), "{report:#}");
        assert_eq!(phases(&report), ["connect", "banner", "ehlo", "mailfrom", "rcptto", "data", "body"]);
        assert_eq!(report["metrics"].get("body_time"), None);
    }
}
