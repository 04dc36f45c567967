//! Tests of the layers of the settings, and of what each error names. Tests of the environment run the program itself.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use clap::{Arg, builder::Resettable};
use serde_json::json;

use super::*;
use crate::telemetry::LogFormat;

/// Parses without the environment, which is that of the test run.
fn parse(arguments: &[&str]) -> Result<CommandLine, Error> {
    let without_environment = |argument: Arg| argument.env(Resettable::Reset);
    let command = CommandLine::command().mut_subcommands(|subcommand| subcommand.mut_args(without_environment));
    CommandLine::parse(command, ["smtp-check"].iter().chain(arguments).map(OsString::from).collect())
}

/// The settings of `serve` or `demo`.
fn settings(arguments: &[&str]) -> ServeSettings {
    match parse(arguments).expect("good settings").command {
        Command::Serve(settings) | Command::Demo(settings) => *settings,
        other => panic!("{other:?}"),
    }
}

fn run(arguments: &[&str]) -> Run {
    match parse(arguments).expect("good usage").command {
        Command::Run(run) => *run,
        other => panic!("{other:?}"),
    }
}

/// A settings file for one test, removed at its end.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("smtp-check-config-{}-{name}.toml", std::process::id()));
        fs::write(&path, text).expect("a file in the temporary folder");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

#[test]
fn defaults_are_the_documented_ones() {
    assert!(matches!(parse(&[]).expect("nothing is required").command, Command::Serve(_)));
    let settings = settings(&[]);
    let (service, target) = (&settings.service, &settings.target);
    assert_eq!(service.listen.to_string(), "127.0.0.1:2580");
    assert_eq!((settings.max_checks, settings.max_checks_per_target), (1024, 16));
    assert_eq!((settings.max_connections(), &service.tls_cert, &service.tls_key), (1152, &None, &None));
    assert_eq!(settings.header_timeout, Duration::from_secs(10));
    assert_eq!(settings.body_timeout, Duration::from_secs(30));
    assert_eq!(target.max_timeout, Duration::from_secs(60));
    assert_eq!(settings.max_body, 1024 * 1024);
    assert_eq!(settings.shutdown_grace, Duration::from_secs(30));
    assert!(target.target_deny.is_empty() && target.target_allow.is_empty());
    assert!(target.target_deny_host.is_empty() && target.target_allow_host.is_empty());
    assert!(target.target_ports.is_empty() && target.dns_server.is_empty());
    assert_eq!((settings.telemetry.log_format, &target.ca_file, &settings.tokens_file), (None, &None, &None));
    assert!(!settings.allow_unauthenticated);
    assert!(settings.rate_limit.is_none() && settings.trusted_proxy.is_empty());
}

#[test]
fn a_setting_may_stand_before_or_after_the_subcommand() {
    for arguments in [&["--max-checks", "7"][..], &["serve", "--max-checks", "7"], &["--max-checks=7", "demo"]] {
        assert_eq!(settings(arguments).max_checks, 7, "{arguments:?}");
    }
}

#[test]
fn lists_are_comma_separated_or_repeated() {
    let target = settings(&[
        "--target-ports",
        "25,587",
        "--target-ports=465",
        "--target-deny",
        "10.0.0.0/8,192.0.2.7,2001:db8::/32",
    ])
    .target;
    assert_eq!(target.target_ports, [25, 587, 465]);
    let denied: Vec<String> = target.target_deny.iter().map(ToString::to_string).collect();
    assert_eq!(denied, ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]);
}

#[test]
fn spaces_around_the_elements_of_a_list_do_not_count() {
    let file = File::new("spaces", "trusted_proxy = '10.0.0.0/8, 192.0.2.7'\ntarget_ports = '25, 587'");
    let settings = settings(&[
        "--config",
        file.path(),
        "--target-deny= 10.0.0.0/8, 192.168.0.0/16 ",
        "--target-allow=10.0.0.1,\t10.0.0.2",
        "--target-deny-host=example.com, example.net",
        "--target-allow-host=mx.example.com , mx.example.net",
        "--dns-server=192.0.2.1, 192.0.2.2:5353",
    ]);
    let target = settings.target;
    assert_eq!((target.target_deny.len(), target.target_allow.len(), settings.trusted_proxy.len()), (2, 2, 2));
    assert_eq!((target.target_deny_host.len(), target.target_allow_host.len()), (2, 2));
    assert_eq!((target.dns_server.len(), target.target_ports), (2, vec![25, 587]));
    let run = run(&["run", "--to=a@b.test", "--nagios", "--warning=banner=1, duration=2"]);
    assert_eq!(run.thresholds.warning.len(), 2);
    assert!(parse(&["--target-ports=25, 65536"]).is_err() && parse(&["--target-deny=10.0.0.0 /8"]).is_err());
}

#[test]
fn a_dns_server_has_port_53_unless_given() {
    let written = ["192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:5353"];
    let servers: Vec<SocketAddr> = settings(&["--dns-server", &written.join(",")]).target.dns_server;
    let read: Vec<String> = servers.iter().map(ToString::to_string).collect();
    assert_eq!(read, ["192.0.2.1:53", "192.0.2.1:5353", "[2001:db8::1]:53", "[2001:db8::1]:53", "[2001:db8::1]:5353"]);
}

#[test]
fn a_bad_flag_is_named_and_ends_with_code_2() {
    for (flag, value) in [
        ("--listen", "localhost"),
        ("--max-checks", "0"),
        ("--max-connections", "0"),
        ("--max-checks-per-target", "-1"),
        ("--header-timeout", "0s"),
        ("--body-timeout", "30"),
        ("--max-timeout", "99ms"),
        ("--max-timeout", "25h"),
        ("--max-body", "12 bananas"),
        ("--max-body", "1"),
        ("--target-deny", "10.0.0.0/33"),
        ("--target-allow", "example.com"),
        ("--target-deny-host", ".example.com"),
        ("--target-allow-host", "example.com:25"),
        ("--target-ports", "25,0"),
        ("--dns-server", "dns.example.com"),
        ("--dns-server", "192.0.2.1:0"),
        ("--log-format", "xml"),
        ("--shutdown-grace", "soon"),
        ("--rate-limit", "0/s"),
        ("--rate-limit", "10/x"),
        ("--rate-limit", "abc"),
        ("--trusted-proxy", "proxy.example.com"),
    ] {
        let error = parse(&[&format!("{flag}={value}")]).expect_err(flag);
        assert_eq!(error.exit_code(), 2, "{flag}={value}");
        assert!(error.to_string().contains(flag), "{flag}={value}: {error}");
    }
}

#[test]
fn an_open_address_without_tokens_is_refused() {
    for (arguments, good) in [
        (&["--listen", "0.0.0.0:2580"][..], false),
        (&["--listen", "[::]:2580"], false),
        (&["--listen", "[::ffff:192.0.2.1]:2580"], false),
        (&["--listen", "[::ffff:127.0.0.1]:2580"], true),
        (&["--listen", "127.8.0.1:2580"], true),
        (&["--listen", "[::1]:2580"], true),
        (&["--listen", "0.0.0.0:2580", "--allow-unauthenticated"], true),
        (&["--listen", "0.0.0.0:2580", "--tokens-file", "tokens"], true),
        (&["demo", "--listen", "0.0.0.0:2580"], false),
        (&["--listen", "[::ffff:0.0.0.0]:2580"], false),
        (&["healthcheck", "--listen", "0.0.0.0:2580"], true),
    ] {
        match parse(arguments) {
            Ok(_) => assert!(good, "{arguments:?}"),
            Err(error) => {
                assert!(!good, "{arguments:?}: {error}");
                assert_eq!(error.exit_code(), 2);
                assert!(error.to_string().contains("--listen"), "{error}");
            }
        }
    }
}

#[test]
fn the_file_lies_between_flag_and_default() {
    let file = File::new(
        "good",
        "listen = '0.0.0.0:80'\nallow_unauthenticated = true\nmax_checks = 5\nmax_checks_per_target = 3\nmax_body = '2MiB'\n\
         target_ports = [25, '587']\ntarget_deny = '10.0.0.0/8,192.0.2.0/24'\nlog_format = 'json'\n",
    );
    let settings =
        settings(&["--config", file.path(), "serve", "--max-checks", "9", "--target-deny", "203.0.113.0/24"]);
    assert_eq!(settings.service.listen.to_string(), "0.0.0.0:80");
    assert!(settings.allow_unauthenticated);
    assert_eq!((settings.max_checks, settings.max_checks_per_target), (9, 3), "the flag wins over the file");
    assert_eq!(settings.max_body, 2 * 1024 * 1024);
    assert_eq!(settings.target.target_ports, [25, 587]);
    assert_eq!(settings.target.target_deny.len(), 1, "a list is replaced, not extended");
    assert_eq!(settings.telemetry.log_format, Some(LogFormat::Json));
    assert_eq!(settings.header_timeout, Duration::from_secs(10), "what the file leaves out keeps its default");
}

#[test]
fn a_bad_file_is_named_with_its_key() {
    for (name, text, expected) in [
        ("unknown", "max_check = 1", &["`max_check`", "did you mean `max_checks`?"][..]),
        ("dashes", "max-checks = 1", &["`max-checks`", "did you mean `max_checks`?"]),
        ("far", "zzz = 1", &["unknown key `zzz`"]),
        ("itself", "config = 'other.toml'", &["unknown key `config`"]),
        ("range", "max_checks = 0", &["`max_checks`", "invalid value '0'"]),
        ("element", "target_ports = [25, 70000]", &["`target_ports`", "70000"]),
        ("list", "max_checks = [1]", &["`max_checks`", "must be a string or a number, found array"]),
        ("table", "[max_checks]", &["`max_checks`", "found table"]),
        ("float", "max_checks = 1.5", &["`max_checks`", "found float"]),
        ("bool", "max_checks = true", &["`max_checks`", "found boolean"]),
        ("flag", "allow_unauthenticated = 'yes'", &["`allow_unauthenticated`", "must be true or false"]),
        ("nested", "target_ports = [[25]]", &["`target_ports`", "a list of strings or numbers"]),
        ("syntax", "max_checks =", &["is not TOML"]),
        ("format", "log_format = 'xml'", &["key `log_format`: invalid value 'xml' [possible values: text, json]"]),
        ("address", "listen = 'localhost:25'", &["key `listen`", "'localhost:25': must be", "127.0.0.1:25"]),
        ("module", "[module.x]\nport = 25", &["`module`", "did you mean `[modules.NAME]`?"]),
        ("parameter", "starttls = true", &["`starttls`", "go into a table `[modules.NAME]`"]),
    ] {
        let file = File::new(name, text);
        let error = parse(&["--config", file.path()]).expect_err(name);
        assert_eq!(error.exit_code(), 2);
        let error = error.to_string();
        assert!(error.contains(file.path()), "{name}: {error}");
        for part in expected {
            assert!(error.contains(part), "{name}: {error} should say {part}");
        }
    }
}

#[test]
fn a_bad_value_in_the_file_is_found_though_a_flag_hides_it() {
    let file = File::new("hidden", "max_checks = 0");
    let error = parse(&["--config", file.path(), "--max-checks", "5"]).expect_err("still a bad file");
    assert!(error.to_string().contains("max_checks"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let missing = Path::new("/nonexistent/smtp-check.toml");
    let error = parse(&["--config", missing.to_str().expect("UTF-8")]).expect_err("no such file");
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("/nonexistent/smtp-check.toml"), "{error}");
}

#[test]
fn the_parameters_of_run_are_flags() {
    let run = run(&["run", "--to", "a@example.com", "--port", "-1", "--starttls", "--json"]);
    assert!(run.json);
    let given = json!({"to": "a@example.com", "port": "-1", "starttls": true});
    assert_eq!(serde_json::Value::Object(run.parameters.0), given, "the check's own parser judges the values");
}

#[test]
fn an_unknown_flag_of_run_ends_with_code_2() {
    let error = parse(&["run", "--too", "a@example.com"]).expect_err("unknown flag");
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("--too"), "{error}");
}

#[test]
fn help_and_version_end_with_code_0() {
    for arguments in [&["--help"][..], &["run", "--help"], &["--version"]] {
        let shown = parse(arguments).expect_err("shown instead of run");
        assert_eq!(shown.exit_code(), 0);
        assert!(!shown.to_string().is_empty());
    }
    let help = CommandLine::parse_from(["smtp-check", "run", "--help"]).expect_err("help").to_string();
    for part in [
        "--to <TEXT>",
        "--port <N>",
        "--starttls[=<opportunistic>]\n",
        "--sasl-authentication <off|login|plain|cram-md5|scram-sha-256|xoauth2|oauthbearer|auto>",
        "[default: noit.local]",
    ] {
        assert!(help.contains(part), "{part} in {help}");
    }
    assert!(help.find("Parameters of the check:") < help.find("Settings:"), "{help}");
    assert!(help.contains("SMTP_CHECK_SASL_PASSWORD") && help.find("--to ") < help.find("--ehlo"), "{help}");
}

/// The flags that a subcommand's help lists.
fn flags_in_help(subcommand: &str) -> Vec<String> {
    let help = parse(&[subcommand, "--help"]).expect_err("help").to_string();
    let lines =
        help.lines().filter_map(|line| line.trim_start().strip_prefix("--").filter(|_| line.starts_with("      ")));
    lines.map(|line| line.split([' ', '[']).next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn help_lists_what_a_subcommand_uses() {
    let [run, serve, demo] = ["run", "serve", "demo"].map(flags_in_help);
    for flag in [
        "to",
        "json",
        "nagios",
        "cert-warning",
        "config",
        "target-allow",
        "target-ports",
        "dns-server",
        "ca-file",
        "max-timeout",
        "log-format",
    ] {
        assert!(run.iter().any(|listed| listed == flag), "{flag} in {run:?}");
    }
    for flag in ["listen", "tls-key", "tokens-file", "trusted-proxy", "max-checks", "header-timeout", "shutdown-grace"]
    {
        assert!(!run.iter().any(|listed| listed == flag), "{flag} in {run:?}");
        assert!(serve.iter().any(|listed| listed == flag), "{flag} in {serve:?}");
    }
    for flag in ["to", "json", "nagios"] {
        assert!(!serve.iter().any(|listed| listed == flag), "{flag} in {serve:?}");
    }
    assert_eq!(serve, demo);
    assert_eq!(flags_in_help("healthcheck"), ["config", "listen", "tls-cert", "tls-key"]);
    for (subcommand, used) in [("openapi", "uses no setting"), ("token", "--tokens-file")] {
        assert!(flags_in_help(subcommand).is_empty(), "{subcommand} has no setting");
        let help = parse(&[subcommand, "--help"]).expect_err("help").to_string();
        assert!(help.contains(used) && help.contains(&format!("smtp-check {subcommand}")), "{help}");
    }
}

#[test]
fn a_flag_of_the_service_is_refused_by_run_and_other_layers_are_not() {
    for arguments in
        [&["run", "--to=a@b.test", "--listen=127.0.0.1:80"][..], &["--listen=127.0.0.1:80", "run", "--to=a@b.test"]]
    {
        let error = parse(arguments).expect_err("no flag of run");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--listen is a setting of the service"), "{error}");
    }
    for arguments in
        [&["healthcheck", "--listen=127.0.0.1:80", "--max-checks=7"][..], &["token", "--max-checks=7", "ci"]]
    {
        let error = parse(arguments).expect_err("no flag of this subcommand");
        assert!(error.to_string().contains("--max-checks is a setting of the service"), "{error}");
    }
    let file =
        File::new("service", "listen = '127.0.0.1:80'\nmax_checks = 5\ntarget_ports = [2525]\nmax_timeout = '5s'\n");
    for arguments in [
        &["run", "--config", file.path(), "--to=a@b.test", "--target-deny=10.0.0.0/8"][..],
        &["--config", file.path(), "--target-deny", "10.0.0.0/8", "run", "--to=a@b.test"],
    ] {
        let target = run(arguments).target;
        assert_eq!((target.target_ports, target.max_timeout), (vec![2525], Duration::from_secs(5)));
        assert_eq!(target.target_deny.len(), 1);
    }
}

#[test]
fn the_command_is_well_formed() {
    CommandLine::command().debug_assert();
}

#[test]
fn a_password_on_the_command_line_is_not_printed() {
    let printed = format!("{:?}", run(&["run", "--to", "a@b.test", "--sasl-password", "hunter2"]));
    assert!(printed.contains("sasl_password") && !printed.contains("hunter2"), "{printed}");
}
