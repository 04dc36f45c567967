//! The replies of a compliant server (RFC 5321, RFC 3207, RFC 4954).

use base64::{Engine, engine::general_purpose::STANDARD};

use super::script::{Action, Sasl, Script, Step};

/// The host name in its replies.
const NAME: &str = "mx.test";
/// `Username:` and `Password:` in base64, the usual challenges of LOGIN.
const LOGIN_USER: &str = "334 VXNlcm5hbWU6\r\n";
const LOGIN_PASSWORD: &str = "334 UGFzc3dvcmQ6\r\n";

/// The state of an AUTH exchange.
#[derive(Debug, Clone, Default)]
pub(super) struct SaslExchange {
    mechanism: String,
    /// The responses of the client so far, the initial response included, in base64.
    responses: Vec<String>,
}

impl SaslExchange {
    /// Starts with the AUTH command.
    pub(super) fn begin(command: &str) -> Self {
        let mut words = command.split_ascii_whitespace().skip(1);
        let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
        Self { mechanism, responses: words.map(str::to_owned).collect() }
    }

    /// Adds a response.
    pub(super) fn push(&mut self, line: &str) {
        self.responses.push(line.to_owned());
    }

    fn answer(&self, credentials: (&str, &str)) -> &'static str {
        if self.responses.last().is_some_and(|line| line == "*") {
            return "501 5.7.0 Authentication cancelled\r\n";
        }
        let given = match (self.mechanism.as_str(), self.responses.as_slice()) {
            ("PLAIN", []) => return "334 \r\n",
            ("LOGIN", []) => return LOGIN_USER,
            ("LOGIN", [_]) => return LOGIN_PASSWORD,
            ("PLAIN", [response]) => decode(response).and_then(|text| {
                let mut parts = text.split('\0').skip(1).map(str::to_owned);
                Some((parts.next()?, parts.next()?))
            }),
            ("LOGIN", [user, password]) => decode(user).zip(decode(password)),
            _ => return "504 5.5.4 Unrecognized authentication type\r\n",
        };
        match given {
            None => "501 5.5.2 Cannot decode response\r\n",
            Some((user, password)) if (user.as_str(), password.as_str()) == credentials => {
                "235 2.7.0 Authentication successful\r\n"
            }
            Some(_) => "535 5.7.8 Authentication credentials invalid\r\n",
        }
    }
}

/// The action of a compliant server at a step.
pub(super) fn act(script: &Script, step: Step, exchange: &SaslExchange) -> Action {
    match step {
        Step::Greeting => Action::reply(format!("220 {NAME} ESMTP\r\n")),
        Step::Ehlo => ehlo(script, script.starttls.is_some()),
        Step::EhloTls => ehlo(script, false),
        Step::StartTls => match &script.starttls {
            Some(config) => Action::reply("220 2.0.0 Ready to start TLS\r\n").then_tls(config.clone()),
            None => Action::reply("502 5.5.1 STARTTLS not offered\r\n"),
        },
        Step::Auth | Step::SaslResponse(_) => match (&script.sasl, &script.credentials) {
            (Some(Sasl(reply)), _) => Action::reply(format!("{}\r\n", reply(&exchange.responses))),
            (None, Some((user, password))) => Action::reply(exchange.answer((user, password))),
            (None, None) => Action::reply("503 5.5.1 AUTH not offered\r\n"),
        },
        Step::MailFrom => Action::reply("250 2.1.0 Ok\r\n"),
        Step::RcptTo => Action::reply("250 2.1.5 Ok\r\n"),
        Step::Data => Action::reply("354 End data with <CR><LF>.<CR><LF>\r\n"),
        Step::Body => Action::reply("250 2.0.0 Ok: queued as 4F2A81234\r\n"),
        Step::Quit => Action::reply("221 2.0.0 Bye\r\n"),
        Step::Other => Action::reply("500 5.5.2 Error: command not recognized\r\n"),
    }
}

fn ehlo(script: &Script, offers_starttls: bool) -> Action {
    let mut lines = vec![NAME];
    lines.extend(script.capabilities.iter().map(String::as_str));
    if offers_starttls {
        lines.push("STARTTLS");
    }
    if script.credentials.is_some() {
        lines.push("AUTH PLAIN LOGIN");
    }
    let last = lines.len() - 1;
    let separator = |index| if index == last { ' ' } else { '-' };
    Action::reply(
        lines.iter().enumerate().map(|(index, line)| format!("250{}{line}\r\n", separator(index))).collect::<String>(),
    )
}

fn decode(text: &str) -> Option<String> {
    STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}
