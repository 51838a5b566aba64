//! Which lines are passed on, and as what: `--type`, `--format`, `--count`.

use std::io::{self, IsTerminal};

use crate::cli::{self, Format};
use crate::parse::{Style, parse_log};
use crate::route::Route;

/// Filters and formats lines.
pub struct Formatter<'a> {
    options: &'a cli::Subscribe,
    style: Style<'a>,
    route: Route,
    passed: u64,
}

impl<'a> Formatter<'a> {
    pub fn new(options: &'a cli::Subscribe) -> Formatter<'a> {
        let is_stdout = options.output.is_none() && options.exec.is_none();
        let terminal = is_stdout && io::stdout().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let style = match (options.format, terminal) {
            (Some(Format::Pretty), _) | (None, true) => Style::Pretty {
                colour,
                type_field: &options.type_field,
            },
            (Some(Format::Raw), true) => Style::Escaped,
            (Some(Format::Raw), false) | (None, false) => Style::Bytes,
        };
        Formatter {
            options,
            style,
            route: Route::new("{type}", &options.type_field),
            passed: 0,
        }
    }

    /// Appends what is to be passed on of a line.
    pub fn push(&mut self, line: &[u8], out: &mut Vec<u8>) {
        if self.wants(line) && !self.is_full() {
            parse_log(line, self.style, out);
            self.passed += 1;
        }
    }

    pub fn wants(&self, line: &[u8]) -> bool {
        let types = &self.options.types;
        types.is_empty() || {
            let kind = self.route.type_of(line);
            types.iter().any(|wanted| wanted.as_bytes() == &*kind)
        }
    }

    /// How many lines may still be passed on. None: as many as come.
    pub fn left(&self) -> Option<u64> {
        self.options
            .count
            .map(|count| count.saturating_sub(self.passed))
    }

    /// `--count` lines have been passed on.
    pub fn is_full(&self) -> bool {
        self.left() == Some(0)
    }
}
