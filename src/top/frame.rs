//! What is known, as lines of a screen of some size, or as a plain table.
//!
//! Pure. No line is longer than the screen is wide, and there are no more of them than it is high.

use std::cmp::Reverse;
use std::collections::VecDeque;

use super::rates::{Rate, Rates};
use super::sources::LiveSource;
use crate::escape::escaped;
use crate::order;
use crate::table::{self, Column};
use crate::talk;

/// What there is to show.
pub struct View<'v> {
    pub redis: &'v str,
    /// Why it is old.
    pub trouble: Option<&'v str>,
    pub rates: &'v Rates,
    pub sources: &'v [LiveSource],
}

/// How it is to be shown.
pub struct Shape {
    /// Columns, and rows.
    pub width: usize,
    pub height: usize,
    pub is_coloured: bool,
    pub is_unicode: bool,
}

impl Shape {
    /// For a pipe: everything, without colours, and without the past, which has scrolled by.
    pub fn plain() -> Shape {
        Shape {
            width: usize::MAX,
            height: usize::MAX,
            is_coloured: false,
            is_unicode: false,
        }
    }

    fn is_plain(&self) -> bool {
        self.width == usize::MAX
    }
}

const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII_BARS: [char; 9] = [' ', '.', '.', ':', '-', '=', '+', '*', '#'];
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";
/// The head, and what is empty around the two tables.
const AROUND: usize = 5;
/// A name is not cut below this.
const SHORTEST_NAME: usize = 10;
/// What stands behind a source's name is so wide at least.
const NUMBERS: usize = 49;

/// All of it.
pub fn lines(view: &View<'_>, shape: &Shape) -> Vec<String> {
    let room = shape.height.saturating_sub(AROUND);
    let (types, sources) = (view.rates.types.len(), view.sources.len());
    // Half of the room each, and what the other does not need.
    let for_types = types.min((room / 2).max(room.saturating_sub(sources)));
    let for_sources = sources.min(room - for_types.min(room));
    let mut lines = vec![paint(escaped(&head(view)), BOLD, shape)];
    if let Some(trouble) = view.trouble {
        lines.push(paint(escaped(trouble), RED, shape));
    } else {
        lines.push(String::new());
    }
    lines.extend(type_lines(view.rates, for_types, shape));
    lines.push(String::new());
    lines.extend(source_lines(view.sources, for_sources, shape));
    lines.truncate(shape.height);
    lines
}

fn head(view: &View<'_>) -> String {
    let behind: u64 = view.sources.iter().filter_map(|source| source.lag).sum();
    let sources = match view.sources.len() {
        1 => "1 source".to_string(),
        more => format!("{more} sources"),
    };
    format!(
        "tailcast top  redis {}  {} lines/s  {sources}  {} behind",
        view.redis,
        talk::grouped(view.rates.now().round() as u64),
        talk::size(behind),
    )
}

fn type_lines(rates: &Rates, most: usize, shape: &Shape) -> Vec<String> {
    let mut types: Vec<(&String, &Rate)> = rates.types.iter().collect();
    // Rows that change places all the time cannot be read; only where not all are shown, the largest come first.
    if types.len() > most {
        order::sort_by_key(&mut types, |(_, rate)| Reverse(rate.total));
    }
    let row = |(name, rate): &(&String, &Rate)| {
        let [now, total] = [rate.now().round() as u64, rate.total].map(talk::grouped);
        vec![name.to_string(), now, total]
    };
    let rows = types.iter().take(most).map(row).collect();
    let mut lines = table("TYPE|LINES/S|TOTAL", &[9, 13], rows);
    for (line, (_, rate)) in lines[1..].iter_mut().zip(&types) {
        if !shape.is_plain() {
            let room = shape.width.saturating_sub(line.chars().count() + 2);
            *line += &format!("  {}", sparkline(&rate.history, room, shape.is_unicode));
        }
        line.truncate(line.trim_end().len());
    }
    fit(lines, types.len(), most, "types", shape)
}

fn source_lines(sources: &[LiveSource], most: usize, shape: &Shape) -> Vec<String> {
    let mut sources: Vec<_> = sources.iter().collect();
    order::sort_by_key(&mut sources, |source| source.name.clone());
    if sources.len() > most {
        order::sort_by_key(&mut sources, |source| Reverse(source.lag));
    }
    let room = shape.width.saturating_sub(NUMBERS).max(SHORTEST_NAME);
    let size = |bytes: Option<u64>| bytes.map_or("-".into(), talk::size);
    let row = |source: &&LiveSource| {
        vec![
            cut_front(&escaped(&source.name), room),
            source.rotations.to_string(),
            talk::grouped(source.offset),
            size(source.rate.map(|rate| rate.round() as u64)),
            size(source.lag),
        ]
    };
    let rows = sources.iter().take(most).map(row).collect();
    let lines = table("SOURCE|GEN|OFFSET|PER SECOND|LAG", &[4, 15, 11, 11], rows);
    fit(lines, sources.len(), most, "sources", shape)
}

/// Names, and numbers that are so wide at least, below their titles.
fn table(titles: &str, widths: &[usize], mut rows: Vec<Vec<String>>) -> Vec<String> {
    let mut columns = vec![Column::Left(SHORTEST_NAME)];
    columns.extend(widths.iter().map(|width| Column::Right(*width)));
    rows.insert(0, titles.split('|').map(String::from).collect());
    table::lines(&columns, &rows)
}

/// A table as wide as the screen; in the place of its last row, how many there are beside those that are shown.
fn fit(
    mut lines: Vec<String>,
    all: usize,
    shown: usize,
    things: &str,
    shape: &Shape,
) -> Vec<String> {
    for line in &mut lines[1..] {
        *line = cut(std::mem::take(line), shape.width);
    }
    lines[0] = paint(std::mem::take(&mut lines[0]), BOLD, shape);
    if shown < all && lines.len() > 1 {
        lines.pop();
        lines.push(format!("... and {} more {things}", all - shown + 1));
    }
    lines
}

/// The last rates as bars, the newest on the right, the highest one as high as can be.
fn sparkline(history: &VecDeque<f64>, room: usize, is_unicode: bool) -> String {
    let bars = if is_unicode { BARS } else { ASCII_BARS };
    let shown = history.iter().skip(history.len().saturating_sub(room));
    let highest = shown.clone().copied().fold(0.0, f64::max);
    let bar = |rate: &f64| {
        if *rate <= 0.0 {
            bars[0]
        } else {
            // Something is more than nothing, however little.
            let height = (rate / highest * 8.0).round() as usize;
            bars[height.clamp(1, 8)]
        }
    };
    shown.map(bar).collect()
}

fn paint(text: String, colour: &str, shape: &Shape) -> String {
    let text = cut(text, shape.width);
    if shape.is_coloured {
        format!("{colour}{text}{RESET}")
    } else {
        text
    }
}

fn cut(text: String, width: usize) -> String {
    if text.chars().count() <= width {
        return text;
    }
    text.chars().take(width).collect()
}

/// Of a path the end tells more.
fn cut_front(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.into();
    }
    let rest = text.chars().skip(length - width.saturating_sub(3));
    format!("...{}", rest.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::rates::Counts;
    use super::*;
    use crate::escape::is_hazard;
    use std::time::{Duration, Instant};

    fn rates(counts: &[(&str, u64)]) -> Rates {
        let start = Instant::now();
        let (mut all, mut rates) = (Counts::default(), Rates::new(start));
        for (kind, count) in counts {
            (0..*count).for_each(|_| all.add(kind.as_bytes()));
        }
        rates.take(&all, start + Duration::from_secs(1));
        rates
    }

    fn source(name: &str, lag: Option<u64>) -> LiveSource {
        LiveSource {
            name: name.into(),
            generation: 1_795_980_904_003,
            rotations: 3,
            offset: 1234567,
            rate: Some(2048.0),
            lag,
        }
    }

    fn view<'v>(rates: &'v Rates, sources: &'v [LiveSource]) -> View<'v> {
        View {
            redis: "h:1",
            trouble: None,
            rates,
            sources,
        }
    }

    fn shape(width: usize, height: usize) -> Shape {
        Shape {
            width,
            height,
            is_coloured: false,
            is_unicode: true,
        }
    }

    #[test]
    fn a_pipe_gets_plain_tables_with_everything_in_them() {
        let rates = rates(&[("INFO", 20), ("ERROR", 1500)]);
        let sources = [
            source("h:/a.log", Some(0)),
            source("x:/b.log", None),
            source("h:/c.log", Some(5)),
        ];
        let text = lines(&view(&rates, &sources), &Shape::plain()).join("\n");
        let want = "\
tailcast top  redis h:1  1,520 lines/s  3 sources  5 bytes behind

TYPE          LINES/S          TOTAL
ERROR           1,500          1,500
INFO               20             20

SOURCE       GEN           OFFSET   PER SECOND          LAG
h:/a.log       3        1,234,567      2.0 KiB      0 bytes
h:/c.log       3        1,234,567      2.0 KiB      5 bytes
x:/b.log       3        1,234,567      2.0 KiB            -";
        assert_eq!(text, want);
    }

    #[test]
    fn a_frame_is_never_larger_than_its_screen() {
        let kinds: Vec<_> = (0..30).map(|n| format!("TYPE{n}")).collect();
        let counts: Vec<_> = kinds.iter().map(|kind| (kind.as_str(), 3)).collect();
        let rates = rates(&counts);
        let long = "host:/very/long/path/to/some/application/that/logs/much.log";
        let sources: Vec<_> = (0..40)
            .map(|n| source(&format!("{long}{n}"), Some(n)))
            .collect();
        for (width, height) in [(200, 60), (80, 24), (40, 10), (10, 5), (3, 1), (1, 1)] {
            let lines = lines(&view(&rates, &sources), &shape(width, height));
            assert!(lines.len() <= height, "{width}x{height}: {}", lines.len());
            for line in &lines {
                assert!(line.chars().count() <= width, "{width}x{height}: {line}");
            }
        }
        let text = lines(&view(&rates, &sources), &shape(80, 24)).join("\n");
        assert!(
            text.contains("... and ") && text.contains(" more types"),
            "{text}"
        );
        assert!(text.contains(" more sources"), "{text}");
        assert!(
            text.contains("...") && text.contains("much.log39 "),
            "{text}"
        );
    }

    #[test]
    fn a_sparkline_ends_with_now_and_its_highest_bar_is_full() {
        let history = VecDeque::from([9.0, 0.0, 1.0, 4.0, 8.0]);
        assert_eq!(sparkline(&history, 4, true), " ▁▄█");
        assert_eq!(sparkline(&history, 9, false), "# .-*");
        assert_eq!(sparkline(&VecDeque::new(), 9, true), "");
    }

    #[test]
    fn trouble_is_said_and_no_name_moves_the_cursor() {
        let rates = rates(&[]);
        let sources = [source("h:/a\u{1b}[2J.log", None)];
        let mut view = view(&rates, &sources);
        view.trouble = Some("redis h:1: gone\u{1b}");
        view.redis = "h\u{202e}:1";
        let text = lines(&view, &shape(100, 20)).join("\n");
        assert!(
            !text.replace('\n', "").contains(is_hazard) && text.contains("redis h:1: gone"),
            "{text}"
        );
    }
}
