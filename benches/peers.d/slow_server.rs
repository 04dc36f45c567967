//! A mail server with a known delay: each reply has the microseconds that it was delayed, measured between the arrival
//! of the command and the write. What a checker reports beyond that is its own error, and the kernel's.
//!
//! Built by `rustc` alone. A thread per connection: the sleep of a thread is the most precise one.

use std::{
    env,
    io::{BufRead, BufReader, Result, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

fn main() -> Result<()> {
    let address = env::args().nth(1).expect("usage: slow_server ADDRESS:PORT");
    for stream in TcpListener::bind(address)?.incoming() {
        let (stream, accepted) = (stream?, Instant::now());
        // A client that disconnects early ends its connection only.
        thread::Builder::new().stack_size(64 * 1024).spawn(move || drop(serve(stream, accepted)))?;
    }
    Ok(())
}

fn serve(mut stream: TcpStream, accepted: Instant) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    reply(&mut stream, accepted, "220", 20)?;
    let mut in_message = false;
    while let Some(line) = lines.next() {
        let (line, arrived) = (line?, Instant::now());
        let verb = line.split([' ', ':']).next().unwrap_or_default();
        match (in_message, verb) {
            (true, ".") => reply(&mut stream, arrived, "250", 30)?,
            (true, _) => continue,
            (false, "EHLO") => reply(&mut stream, arrived, "250", 15)?,
            (false, "MAIL") => reply(&mut stream, arrived, "250", 10)?,
            (false, "RCPT") => reply(&mut stream, arrived, "250", 25)?,
            (false, "DATA") => reply(&mut stream, arrived, "354", 5)?,
            (false, "QUIT") => return reply(&mut stream, arrived, "221", 0),
            (false, _) => reply(&mut stream, arrived, "500", 0)?,
        }
        in_message = verb == "DATA";
    }
    Ok(())
}

fn reply(stream: &mut TcpStream, since: Instant, code: &str, delay_ms: u64) -> Result<()> {
    thread::sleep(Duration::from_millis(delay_ms).saturating_sub(since.elapsed()));
    let line = format!("{code} {}\r\n", since.elapsed().as_micros());
    stream.write_all(line.as_bytes())
}
