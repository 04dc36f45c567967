//! Load benchmarks of the program in processes of its own. `benches/soak` and `benches/fairness` start it.

#[path = "../../tests/it/support"]
#[expect(dead_code, unused_imports, reason = "the fixtures are there for all tests, and this is none")]
mod support {
    pub(crate) mod pki;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod scenarios;
    pub(crate) mod smtpd;
    pub(crate) mod temp_dir;
}

mod caller;
mod fairness;
mod figures;
mod soak;

use std::{env, process::ExitCode, time::Duration};

use figures::Figures;

const USAGE: &str = "usage: cargo bench --bench load -- soak [MINUTES] | fairness";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    // Cargo adds a flag.
    let words: Vec<_> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let figures: Figures = match words[..] {
        ["fairness"] => fairness::measure().await,
        ["soak"] => soak::run(Duration::from_secs(600)).await,
        ["soak", minutes] => match minutes.parse::<f64>().map(|minutes| Duration::try_from_secs_f64(minutes * 60.0)) {
            Ok(Ok(duration)) => soak::run(duration).await,
            _ => return usage(),
        },
        // All benches of the crate were requested; this one takes too long for that.
        [] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => return usage(),
    };
    figures.print();
    if figures.all_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}
