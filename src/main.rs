//! tailcast: tails log files into Redis, every line exactly once.

mod cli;
mod lines;
mod position;
mod error;
mod file;
mod talk;
mod route;
mod generate;
mod parse;

fn main() {}
