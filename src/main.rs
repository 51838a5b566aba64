//! tailcast: tails log files into Redis, every line exactly once.
//!
//! Data flows one way, and the modules stand in its order:
//! file -> lines -> route -> broker -> checkpoint, put together by `watch`.
#![deny(unsafe_code)]

mod backoff;
mod calendar;
mod child;
mod cli;
mod error;
mod escape;
mod fault;
mod order;
mod position;
mod signal;
mod stdout;
mod table;
mod talk;

mod lines;

mod file;

mod route;

mod broker;
mod checkpoint;

mod watch;

mod check;
mod generate;
mod parse;
mod status;
mod subscribe;
mod top;

use std::process::ExitCode;

use cli::Command;
use error::{Error, Result};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match &error {
                Error::ClosedPipe => {}
                Error::NothingAsked(text) => talk::text(text),
                error => talk::warn(&error.to_string()),
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run() -> Result<()> {
    let command = cli::parse(std::env::args_os().skip(1).collect(), &|name| {
        std::env::var_os(name)
    })?;
    let stop = signal::stop_flag();
    match command {
        Command::Generate(options) => {
            signal::end_though_blocked(stop);
            generate::run(&options, stop)
        }
        Command::Watch(options) => {
            talk::set_verbosity(options.verbosity);
            signal::raise_open_files_limit();
            watch::run(&options, stop)
        }
        Command::Subscribe(options) => {
            match options.exec {
                Some(_) => signal::end_at_the_second(),
                None => signal::end_though_blocked(stop),
            }
            subscribe::run(&options, stop)
        }
        Command::Status(options) => {
            signal::end_at_once();
            status::run(&options)
        }
        Command::Check(options) => {
            signal::end_at_once();
            check::run(&options)
        }
        Command::Top(options) => {
            signal::end_though_blocked(stop);
            top::run(&options, stop)
        }
        Command::Page(text) => stdout::write(text.as_bytes()),
        Command::Version => {
            stdout::write(concat!("tailcast ", env!("CARGO_PKG_VERSION"), "\n").as_bytes())
        }
    }
}
