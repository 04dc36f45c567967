use std::{fs::write, time::Duration};

use super::*;

/// What glibc 2.36 makes of such files; most of these lines are met in the wild.
#[test]
fn resolv_conf_is_read_as_glibc_reads_it() {
    for (text, servers) in [
        (&b"nameserver 192.0.2.1\n"[..], &["192.0.2.1:53"][..]),
        (b"nameserver\t192.0.2.1", &["192.0.2.1:53"]),
        (b"nameserver   192.0.2.1 # the router\n", &["192.0.2.1:53"]),
        (b"nameserver 192.0.2.1\nsearch (none)\n", &["192.0.2.1:53"]),
        (b"domain (none)\nnameserver 192.0.2.1\n", &["192.0.2.1:53"]),
        (b"search ~. -x.lan a..b {{domain}} \"corp\" -- \xff\xfe\nnameserver 192.0.2.1\n", &["192.0.2.1:53"]),
        (b"options ndots:x timeout: edns0\nnameserver 192.0.2.1\n", &["192.0.2.1:53"]),
        (b"\xef\xbb\xbfnameserver 192.0.2.9\nnameserver 192.0.2.1\n", &["192.0.2.1:53"]),
        (b"# nameserver 192.0.2.9\n;nameserver 192.0.2.9\nnameserver 192.0.2.1\n", &["192.0.2.1:53"]),
        (
            b" nameserver 192.0.2.9\nnameservers 192.0.2.9\nNAMESERVER 192.0.2.9\nnameserver 192.0.2.1\n",
            &["192.0.2.1:53"],
        ),
        (b"nameserver dns.example\nnameserver 192.0.2.1:53\nnameserver 192.0.2.1\n", &["192.0.2.1:53"]),
        (b"nameserver 192.0.2.9\r\nnameserver 192.0.2.1\n", &["192.0.2.1:53"]),
        (b"nameserver 192.0.2.1\0junk\nnameserver 192.0.2.2\n", &["192.0.2.1:53", "192.0.2.2:53"]),
        (b"nameserver 127.1\nnameserver 0x7f.0.0.011\n", &["127.0.0.1:53", "127.0.0.9:53"]),
        (b"nameserver 2001:db8::1\nnameserver ::1%lo\n", &["[2001:db8::1]:53", "[::1]:53"]),
        (b"nameserver fe80::1%lo\nnameserver fe80::2%7\n", &["[fe80::1%1]:53", "[fe80::2%7]:53"]),
        (b"nameserver 2001:db8::1%7\nnameserver fe80::3%+7\n", &["[2001:db8::1%7]:53", "[fe80::3]:53"]),
        (b"nameserver fe80::1%\xff\nnameserver fe80::2%\n", &["[fe80::1]:53", "[fe80::2]:53"]),
        (b"nameserver [::1]\nnameserver 192.0.2.1\n", &["192.0.2.1:53"]),
        (
            b"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
            &["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"],
        ),
        (b"search corp.example\n", &["127.0.0.1:53"]),
        (b"nameserver\n", &["127.0.0.1:53"]),
        (b"", &["127.0.0.1:53"]),
    ] {
        let read: Vec<_> = resolv_conf::name_servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(read, servers, "{}", text.escape_ascii());
    }
}

const DEFAULTS: Options = Options { server_timeout: Duration::from_secs(2), ..Options::DEFAULT };

#[test]
fn options_are_read_as_glibc_reads_them() {
    let seconds = |seconds| Options { server_timeout: Duration::from_secs(seconds), ..DEFAULTS };
    let attempts = |attempts| Options { attempts, ..DEFAULTS };
    for (text, variable, options) in [
        (&b""[..], "", DEFAULTS),
        (b"options timeout:1\n", "", seconds(1)),
        (b"options\ttimeout:3\tndots:5 trust-ad single-request\n", "", seconds(3)),
        (b"options edns0 trust-ad\n", "", Options { edns: true, ..DEFAULTS }),
        (b"options timeout:31\n", "", seconds(30)),
        (b"options timeout:99999999999999999999\n", "", seconds(30)),
        (b"options timeout:0\n", "", seconds(1)),
        (b"options timeout:x\n", "", seconds(1)),
        (b"options timeout:-3\n", "", seconds(1)),
        (b"options timeout:4x\n", "", seconds(4)),
        (b"options timeout:+4\n", "", seconds(4)),
        (b"options timeout:+-4\n", "", seconds(1)),
        (b"options timeout: \t4 rotate\n", "", Options { rotate: true, ..seconds(4) }),
        (b"options attempts:3\n", "", attempts(3)),
        (b"options attempts:9\n", "", attempts(5)),
        (b"options attempts:0\n", "", attempts(1)),
        (b"options rotate use-vc\n", "", Options { rotate: true, tcp_only: true, ..DEFAULTS }),
        (b"options no-aaaa\n", "", Options { no_aaaa: true, ..DEFAULTS }),
        (b"options timeout:1 timeout:5\noptions rotated\n", "", Options { rotate: true, ..seconds(5) }),
        (b" options rotate\noption rotate\noptionsrotate\n#options rotate\noptions norotate\n", "", DEFAULTS),
        (b"options timeout:1\0rotate\n", "", seconds(1)),
        (b"options timeout:1\n", "timeout:7 attempts:2", Options { attempts: 2, ..seconds(7) }),
    ] {
        let read = resolv_conf::options(text, variable.as_bytes(), DEFAULTS);
        assert_eq!(read, options, "{} {variable}", text.escape_ascii());
    }
}

/// inet_aton(3).
#[test]
fn ipv4_addresses_have_many_forms() {
    for (text, address) in [
        ("1.2.3.4", Some("1.2.3.4")),
        ("1.2.772", Some("1.2.3.4")),
        ("1.131844", Some("1.2.3.4")),
        ("16909060", Some("1.2.3.4")),
        ("0x1020304", Some("1.2.3.4")),
        ("01.0x2.3.4", Some("1.2.3.4")),
        ("0", Some("0.0.0.0")),
        ("4294967295", Some("255.255.255.255")),
        ("4294967296", None),
        ("1.2.3.256", None),
        ("1.2.65536", None),
        ("256.1", None),
        ("08.1.1.1", None),
        ("0x", None),
        ("1.2.3.4.5", None),
        ("1..2", None),
        ("1.2.3.", None),
        ("+1.2.3.4", None),
        ("", None),
    ] {
        let line = format!("nameserver {text}\nnameserver 192.0.2.1\n");
        let read = resolv_conf::name_servers(line.as_bytes());
        let expected: IpAddr = address.unwrap_or("192.0.2.1").parse().expect("an address");
        assert_eq!(read[0].ip(), expected, "{text}");
    }
}

#[test]
fn hosts_are_read_as_glibc_reads_them() {
    let hosts = HostsFile::parse(
        b"# comment\n\
          192.0.2.1 One.example one # two.example\n\
          \t 192.0.2.2\tthree.example\r\n\
          192.0.2.300 four.example\n\
          192.0.2 four.example\n\
          fe80::1%lo four.example\n\
          192.0.2.3 \xff\xfe a..b (none) five.example\n\
          2001:db8::1 one.example\n\
          192.0.2.4 six.example\0 seven.example\n\
          192.0.2.5#eight.example\n\
          192.0.2.6\x0bnine.example",
    );
    for (name, addresses) in [
        ("one.example", &["192.0.2.1", "2001:db8::1"][..]),
        ("ONE", &["192.0.2.1"]),
        ("two.example", &[]),
        ("three.example", &["192.0.2.2"]),
        ("four.example", &[]),
        ("five.example", &["192.0.2.3"]),
        ("six.example", &["192.0.2.4"]),
        ("seven.example", &[]),
        ("eight.example", &[]),
        ("nine.example", &["192.0.2.6"]),
    ] {
        let found: Vec<_> = hosts.addresses(name).iter().map(ToString::to_string).collect();
        assert_eq!(found, addresses, "{name}");
    }
}

#[tokio::test]
async fn changed_files_are_read_again() {
    let folder = std::env::temp_dir().join(format!("smtp-check-system-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let (resolv_conf, hosts) = (folder.join("resolv.conf"), folder.join("hosts"));
    let files = Arc::new(SystemFiles::at(&resolv_conf, &hosts, Vec::new(), DEFAULTS));
    let now = async || {
        files.state().checked = None;
        let configuration = files.clone().configuration().await;
        (configuration.servers.addresses(), configuration.hosts.addresses("mail.corp").len())
    };
    let server = |text: &str| vec![text.parse::<SocketAddr>().expect("an address")];
    assert_eq!(now().await, (server("127.0.0.1:53"), 0), "before there are files");
    write(&resolv_conf, "nameserver 192.0.2.1\n").expect("written");
    assert_eq!(now().await, (server("192.0.2.1:53"), 0));
    write(&hosts, "127.0.0.1 mail.corp\n").expect("written");
    assert_eq!(now().await, (server("192.0.2.1:53"), 1));
    // As a DHCP client does it: another file in its place.
    write(folder.join("new"), "nameserver 192.0.2.2\n").expect("written");
    fs::rename(folder.join("new"), &resolv_conf).expect("renamed");
    let before = files.state().configuration.clone();
    assert_eq!(now().await, (server("192.0.2.2:53"), 1));
    assert!(Arc::ptr_eq(&before.hosts, &files.state().configuration.hosts), "what has not changed is not read again");
    fs::remove_file(&hosts).expect("removed");
    assert_eq!(now().await, (server("192.0.2.2:53"), 0));
    // Within the interval, and while another caller reads, what was read before serves.
    fs::remove_file(&resolv_conf).expect("removed");
    assert_eq!(files.clone().configuration().await.servers.addresses(), server("192.0.2.2:53"));
    // SIGHUP does not wait for the end of the interval.
    files.reload();
    assert_eq!(files.clone().configuration().await.servers.addresses(), server("127.0.0.1:53"));
    fs::remove_dir_all(&folder).expect("removed");
}
