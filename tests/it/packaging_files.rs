//! The files for systemd, Docker and Kubernetes, as far as they can be tested without these.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use super::support::temp_dir::TempDir;

fn shipped(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The values of this key in the unit.
fn of_the_unit(key: &str) -> Vec<String> {
    let unit = shipped("deploy/systemd/smtp-check.service");
    unit.lines().filter_map(|line| Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned())).collect()
}

/// Runs a command of the unit with these folders in place of `/etc/smtp-check` and `/run`.
fn run_as_systemd(command: &str, etc: &Path, run: &Path) {
    let script = command.strip_prefix("+/bin/sh -ec '").and_then(|rest| rest.strip_suffix('\'')).expect("a script");
    let script = script.replace("$$", "$").replace("/etc/smtp-check", &etc.display().to_string());
    let script = script.replace("%t", &run.display().to_string());
    assert!(Command::new("/bin/sh").args(["-ec", &script]).status().expect("a shell").success(), "{script}");
}

#[test]
fn a_reload_of_the_unit_passes_on_the_new_files() {
    let (etc, run) = (TempDir::new(), TempDir::new());
    let copies = run.path().join("smtp-check");
    fs::create_dir(&copies).expect("a folder");
    let (start, reload) = (of_the_unit("ExecStartPre"), of_the_unit("ExecReload"));
    assert_eq!((start.len(), reload.len(), reload[1].as_str()), (1, 2, "+/bin/kill -HUP $MAINPID"));
    assert!(of_the_unit("LoadCredential").is_empty(), "those are copied at the start only");
    assert_eq!(of_the_unit("RuntimeDirectory"), ["smtp-check"]);
    assert_eq!(of_the_unit("Environment"), ["SMTP_CHECK_CONFIG=%t/smtp-check/smtp-check.toml"]);
    etc.write("tokens", b"old\n");
    etc.write("a name.pem", b"key\n");
    run_as_systemd(&start[0], etc.path(), run.path());
    etc.write("tokens", b"new\n");
    run_as_systemd(&reload[0], etc.path(), run.path());
    let read = |name: &str| fs::read_to_string(copies.join(name)).expect("a copy");
    assert_eq!((read("tokens"), read("a name.pem")), ("new\n".to_owned(), "key\n".to_owned()));
    let mode = fs::metadata(copies.join("tokens")).expect("a copy").permissions().mode();
    assert_eq!(mode & 0o077, 0, "passwords are for the service alone: {mode:o}");
    assert_eq!(fs::read_dir(&copies).expect("a folder").count(), 2, "no temporary file is left");
}

/// The files below a folder, with what is in them.
fn files_below(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).expect("an entry");
        let name = name.to_string_lossy().into_owned();
        if path.is_dir() {
            files.extend(files_below(&path).into_iter().map(|(below, content)| (format!("{name}/{below}"), content)));
        } else {
            files.push((name, fs::read_to_string(&path).expect("a file")));
        }
    }
    files.sort();
    files
}

#[test]
fn the_copies_of_the_unit_are_what_is_there_now() {
    let (etc, run) = (TempDir::new(), TempDir::new());
    let copies = run.path().join("smtp-check");
    fs::create_dir(&copies).expect("a folder");
    let (start, reload) = (of_the_unit("ExecStartPre"), of_the_unit("ExecReload"));
    let file = |name: &str, content: &str| (name.to_owned(), content.to_owned());
    let read_again = |command: &str| {
        run_as_systemd(command, etc.path(), run.path());
        files_below(&copies)
    };
    assert_eq!(read_again(&start[0]), [], "an empty folder");

    for folder in ["tls", "tls/old", "ca"] {
        fs::create_dir(etc.path().join(folder)).expect("a folder");
    }
    etc.write("tls/key.pem", b"key");
    etc.write("tls/old/key.pem", b"old key");
    // As certbot does.
    std::os::unix::fs::symlink("tls/key.pem", etc.path().join("link.pem")).expect("a link");
    etc.write("-f", b"an odd name");
    etc.write("tokens", b"old");
    let kept = [file("-f", "an odd name"), file("link.pem", "key"), file("tls/key.pem", "key")];
    let removed = [file("tls/old/key.pem", "old key"), file("tokens", "old")];
    assert_eq!(read_again(&start[0]), [&kept[..], &removed].concat());

    fs::remove_file(etc.path().join("tokens")).expect("a file");
    fs::remove_dir_all(etc.path().join("tls/old")).expect("a folder");
    fs::create_dir(copies.join(".new")).expect("a folder that a copy left that was interrupted");
    fs::write(copies.join(".new/tokens"), "old").expect("a file");
    assert_eq!(read_again(&reload[0]), kept, "what was removed is no longer read");
}

#[test]
fn the_lines_for_kubernetes_make_what_they_use() {
    let page = shipped("src/manual/operations.md");
    let (_, section) = page.split_once("# Kubernetes\n").expect("a section");
    let lines: Vec<&str> = section.split("```").nth(1).expect("lines").lines().skip(1).collect();
    let image = concat!("smtp-check:", env!("CARGO_PKG_VERSION"));
    assert!(lines[0].starts_with("docker build ") && lines[0].contains(&format!("-t {image} ")), "{lines:?}");
    assert!(shipped("deploy/kubernetes/smtp-check.yaml").contains(&format!("image: {image}\n")));
    let mut used = 0;
    for (index, line) in lines.iter().enumerate() {
        for file in line.split_whitespace().filter_map(|word| word.strip_prefix("--from-file=")) {
            let is_made = lines[..index].iter().any(|earlier| earlier.ends_with(&format!(">{file}")));
            let is_shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists();
            assert!(is_made || is_shipped, "{line}: nothing makes {file}");
            used += 1;
        }
        if let Some(file) = line.strip_prefix("kubectl apply -f ") {
            shipped(file);
            used += 1;
        }
    }
    assert_eq!(used, 3, "{lines:?}");
}

#[test]
fn the_image_has_labels() {
    let file = shipped("Dockerfile");
    for label in [
        concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""),
        concat!("licenses=\"", env!("CARGO_PKG_LICENSE"), "\""),
        "title=\"smtp-check\"",
        "description=\"",
        "revision=\"$SMTP_CHECK_REVISION\"",
    ] {
        assert!(file.contains(&format!("org.opencontainers.image.{label}")), "{label}");
    }
    let (_, last_stage) = file.split_once("FROM scratch").expect("a last stage");
    assert!(last_stage.contains("ARG SMTP_CHECK_REVISION"), "an argument of another stage is empty here");
}
