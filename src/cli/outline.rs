//! Reads a help text back into its pieces: paragraphs, headings, flags with what is said of them.
//!
//! So the manual page and the completions have one source with `--help`, and cannot fall behind it. Pure.

/// A piece of a help text, in its order.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Without the colon.
    Heading(&'t str),
    Paragraph(String),
    Definition(Definition<'t>),
    /// The lines of an example, or of the usage, as they stand.
    Verbatim(Vec<&'t str>),
}

/// A flag, a command or a variable, and what it is for.
#[derive(Debug, PartialEq, Eq)]
pub struct Definition<'t> {
    /// As in `-q, --quiet` or `--poll DURATION`.
    pub head: &'t str,
    pub text: String,
}

/// One flag of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag<'t> {
    pub short: Option<char>,
    /// Without its dashes.
    pub long: &'t str,
    /// What its value is called, as in `FILE` or `start|end`; None: it takes none.
    pub value: Option<&'t str>,
}

/// What is indented further than this goes on with the definition above.
const DEEPEST_HEAD: usize = 6;

/// The pieces of a help text.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for block in text.split("\n\n") {
        read_block(block, &mut pieces);
    }
    pieces
}

fn read_block<'t>(block: &'t str, pieces: &mut Vec<Piece<'t>>) {
    let mut lines: Vec<&str> = block.lines().collect();
    if lines.first().is_some_and(|line| line.starts_with("Usage:")) {
        return pieces.push(Piece::Verbatim(lines));
    }
    if let Some(heading) = lines.first().and_then(|line| line.strip_suffix(':')) {
        pieces.push(Piece::Heading(heading));
        lines.remove(0);
        if heading == "Examples" {
            return pieces.push(Piece::Verbatim(lines));
        }
    }
    for (at, line) in lines.iter().enumerate() {
        read_line(line, at == 0, pieces);
    }
}

/// `begins`: it is the first of its block.
fn read_line<'t>(line: &'t str, begins: bool, pieces: &mut Vec<Piece<'t>>) {
    let words = line.trim_start();
    let indent = line.len() - words.len();
    match pieces.last_mut() {
        Some(Piece::Definition(definition)) if indent > DEEPEST_HEAD => {
            add(&mut definition.text, words)
        }
        Some(Piece::Paragraph(text)) if indent == 0 && !begins => add(text, words),
        _ if indent == 0 => pieces.push(Piece::Paragraph(words.to_owned())),
        _ => {
            let (head, text) = words.split_once("  ").unwrap_or((words, ""));
            let text = text.trim_start().to_owned();
            pieces.push(Piece::Definition(Definition { head, text }));
        }
    }
}

fn add(text: &mut String, words: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(words);
}

impl<'t> Definition<'t> {
    /// The flags that it names; none for a command or a variable.
    pub fn flags(&self) -> Vec<Flag<'t>> {
        let mut short = None;
        let mut flags = Vec::new();
        for word in self.head.split(", ") {
            let (name, value) = match word.split_once(' ') {
                Some((name, value)) => (name, Some(value)),
                None => (word, None),
            };
            if let Some(long) = name.strip_prefix("--") {
                let short = short.take();
                flags.push(Flag { short, long, value });
            } else if let Some(letter) = name.strip_prefix('-') {
                short = letter.chars().next();
            }
        }
        flags
    }

    /// The first clause of its text: short enough for a line in a menu.
    pub fn gist(&self) -> &str {
        let ends = ["; ", " (", ". "].map(|end| self.text.find(end));
        let end = ends.into_iter().flatten().min().unwrap_or(self.text.len());
        &self.text[..end]
    }

    pub fn is_repeatable(&self) -> bool {
        self.text.contains("repeatable")
    }
}

/// The definitions of a help text.
pub fn definitions(text: &str) -> impl Iterator<Item = Definition<'_>> {
    pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Definition(definition) => Some(definition),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Usage: tool run [FLAGS]
       tool help

Runs it, and
waits. Then ends.

How:
      --from start|end      where to begin (default: start)
      --cert FILE, --key FILE
                            whom to trust; repeatable
  -q, --quiet               say less

Exit codes: 0 done.

Examples:
  tool run --quiet
";

    #[test]
    fn a_help_text_has_pieces() {
        let definition = |head, text: &str| {
            let text = text.to_owned();
            Piece::Definition(Definition { head, text })
        };
        let want = [
            Piece::Verbatim(vec!["Usage: tool run [FLAGS]", "       tool help"]),
            Piece::Paragraph("Runs it, and waits. Then ends.".into()),
            Piece::Heading("How"),
            definition("--from start|end", "where to begin (default: start)"),
            definition("--cert FILE, --key FILE", "whom to trust; repeatable"),
            definition("-q, --quiet", "say less"),
            Piece::Paragraph("Exit codes: 0 done.".into()),
            Piece::Heading("Examples"),
            Piece::Verbatim(vec!["  tool run --quiet"]),
        ];
        assert_eq!(pieces(TEXT), want);
    }

    #[test]
    fn a_definition_has_flags_and_a_gist() {
        let mut found = Vec::new();
        for definition in definitions(TEXT) {
            let gist = definition.gist().to_owned();
            let told = |flag: Flag<'static>| {
                (
                    flag.short,
                    flag.long,
                    flag.value,
                    gist.clone(),
                    definition.is_repeatable(),
                )
            };
            found.extend(definition.flags().into_iter().map(told));
        }
        let want = [
            (None, "from", Some("start|end"), "where to begin", false),
            (None, "cert", Some("FILE"), "whom to trust", true),
            (None, "key", Some("FILE"), "whom to trust", true),
            (Some('q'), "quiet", None, "say less", false),
        ]
        .map(|(short, long, value, gist, again)| (short, long, value, gist.to_owned(), again));
        assert_eq!(found, want);
    }
}
