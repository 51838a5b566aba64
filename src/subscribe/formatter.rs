//! Which lines are passed on, and as what: `--type`, `--format`, `--count`.

use std::io::{self, IsTerminal};
use std::time::SystemTime;

use crate::broker::StreamEntry;
use crate::cli::{self, Format};
use crate::parse::{Origin, Style, Udm, parse_log};
use crate::route::Route;
use crate::talk;

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
        let colour = terminal && talk::wants_colour();
        let style = match (options.format, terminal) {
            (Some(Format::Pretty), _) | (None, true) => Style::Pretty {
                colour,
                type_field: &options.type_field,
            },
            (Some(Format::Udm), _) => Style::Udm(Udm {
                type_field: &options.type_field,
                host: options.udm_host.as_deref(),
                origin: None,
                came: 0,
            }),
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

    /// Appends what is to be passed on of a line. `entry` is the stream's that holds it, which knows where it stands in its
    /// log, and since when it is there.
    pub fn push(&mut self, line: &[u8], entry: Option<&StreamEntry>, out: &mut Vec<u8>) {
        if !self.wants(line) || self.is_full() {
            return;
        }
        self.passed += 1;
        let Style::Udm(udm) = self.style else {
            return parse_log(line, self.style, out);
        };
        let line_id = entry.and_then(|entry| entry.of.as_ref());
        let origin = line_id.map(|of| Origin {
            source: &of.source,
            generation: of.generation,
            offset: of.offset,
        });
        let came = entry.map_or_else(now, |entry| entry.id.ms);
        parse_log(
            line,
            Style::Udm(Udm {
                origin,
                came,
                ..udm
            }),
            out,
        );
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

/// In milliseconds since 1970.
fn now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_1970.unwrap_or_default().as_millis() as u64
}
