//! logrotate's configuration, as far as it decides what a watcher can read: which logs it rotates, how, and where to.
//!
//! The format is logrotate(8)'s: directives outside of sections are the defaults of those that come behind, and `include`
//! reads another file, or all of a folder. `parse` is pure. What cannot be read is not known, and no failure.

use std::fs;
use std::path::{Path, PathBuf};

use super::Condition;
use super::files::is_installed;
use crate::error::describe;
use crate::file::packing_program;
use crate::watch::{Glob, matches};

/// How a log is rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rules {
    compress: bool,
    delays: bool,
    copytruncate: bool,
    olddir: Option<PathBuf>,
    /// How many rotated files are kept; below 0: all.
    rotate: i64,
    ending: String,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            compress: false,
            delays: false,
            copytruncate: false,
            olddir: None,
            rotate: 0,
            ending: ".gz".into(),
        }
    }
}

/// Logs with the same rules.
#[derive(Debug, PartialEq, Eq)]
struct Section {
    patterns: Vec<String>,
    rules: Rules,
    /// Where it begins.
    file: PathBuf,
    line: usize,
}

/// What a file says.
#[derive(Debug, PartialEq, Eq)]
enum Item {
    Section(Section),
    Include(PathBuf),
}

/// All that is configured.
#[derive(Debug, Default)]
pub struct Configuration {
    sections: Vec<Section>,
    /// What could not be read, and why.
    unread: Vec<(PathBuf, String)>,
}

/// Files that include each other without end.
const DEEPEST: usize = 10;
/// Files in an included folder that are left out: logrotate's `tabooext`.
const TABOO: [&str; 12] = [
    ".bak",
    ".disabled",
    ".dpkg-old",
    ".dpkg-dist",
    ".dpkg-new",
    ".rpmnew",
    ".rpmorig",
    ".rpmsave",
    ".swp",
    ".old",
    ",v",
    "~",
];

impl Configuration {
    /// Reads a file and all that it includes.
    pub fn read(path: &Path) -> Configuration {
        let mut all = Configuration::default();
        all.read_file(path, &mut Rules::default(), 0);
        all
    }

    fn read_file(&mut self, path: &Path, defaults: &mut Rules, depth: usize) {
        let text = match fs::read(path) {
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => return self.unread.push((path.into(), describe(&error))),
        };
        // An included file changes the defaults of what stands behind the include, so the order is kept.
        parse(&text, path, defaults, &mut |item, defaults| match item {
            Item::Section(section) => self.sections.push(section),
            Item::Include(_) if depth == DEEPEST => {}
            Item::Include(other) if other.is_dir() => self.read_folder(&other, defaults, depth),
            Item::Include(other) => self.read_file(&other, defaults, depth + 1),
        });
    }

    fn read_folder(&mut self, folder: &Path, defaults: &mut Rules, depth: usize) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.unread.push((folder.into(), describe(&error))),
        };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_taboo = name.starts_with('.') || TABOO.iter().any(|end| name.ends_with(end));
            if !is_taboo && path.is_file() {
                self.read_file(&path, defaults, depth + 1);
            }
        }
    }

    /// What could not be read.
    pub fn troubles(&self) -> Vec<Condition> {
        let unread = self.unread.iter();
        unread
            .map(|(path, why)| {
                let says = format!("{why}: how logs are rotated by it is not known");
                Condition::unknown(&format!("logrotate's {}", path.display()), "readable", says)
            })
            .collect()
    }

    /// What the rules for a log mean to a watcher that looks for rotated files in these folders too.
    pub fn of_log(&self, log: &Path, rotated: &[PathBuf]) -> Vec<Condition> {
        let subject = log.display().to_string();
        let target = fs::canonicalize(log).ok();
        let is_of = |section: &&Section| {
            let mut globs = section
                .patterns
                .iter()
                .map(|pattern| Glob::new(pattern.into()));
            globs.any(|glob| {
                matches(&glob, log) || target.as_ref().is_some_and(|path| matches(&glob, path))
            })
        };
        match self.sections.iter().find(is_of) {
            Some(section) => section.conditions(&subject, log, rotated),
            None if self.unread.is_empty() => {
                vec![Condition::ok(&subject, NAME, "it does not rotate this log")]
            }
            None => vec![Condition::unknown(
                &subject,
                NAME,
                "not all of its configuration could be read",
            )],
        }
    }
}

const NAME: &str = "logrotate";

impl Section {
    fn conditions(&self, subject: &str, log: &Path, rotated: &[PathBuf]) -> Vec<Condition> {
        let place = format!("{}:{}", self.file.display(), self.line);
        let rules = &self.rules;
        let mut all = Vec::new();
        if let Some(olddir) = &rules.olddir
            && !is_among(olddir, rotated, log)
        {
            let olddir = olddir.display();
            let says = format!("{place}: olddir {olddir}: rotated files are not looked for there");
            let mend = format!("watch with --rotated {olddir}");
            all.push(Condition::fail(subject, NAME, says).mend(mend));
        }
        if rules.copytruncate {
            let says = format!(
                "{place}: copytruncate loses what is written between the copy and the truncation"
            );
            let mend = "use create, and have the program open its log anew in postrotate";
            all.push(Condition::warn(subject, NAME, says).mend(mend));
        }
        all.extend(self.packing(subject, &place));
        if rules.rotate == 0 {
            let says = format!(
                "{place}: rotate 0: a rotated file is removed at once, and with it what no watcher has read by then"
            );
            all.push(Condition::warn(subject, NAME, says).mend("rotate 2, or more"));
        }
        if all.is_empty() {
            all.push(Condition::ok(
                subject,
                NAME,
                format!("{place}: nothing that stands in the way"),
            ));
        }
        all
    }

    fn packing(&self, subject: &str, place: &str) -> Option<Condition> {
        let rules = &self.rules;
        if !rules.compress {
            return None;
        }
        let ending = &rules.ending;
        match packing_program(ending) {
            None => {
                let says = format!("{place}: archives that end in {ending} cannot be read");
                let mend = "compresscmd gzip, zstd, xz or bzip2, with its compressext";
                Some(Condition::fail(subject, NAME, says).mend(mend))
            }
            Some(program) if !is_installed(program) => {
                let says = format!(
                    "{place}: compress, and there is no {program} here to read archives with"
                );
                Some(Condition::fail(subject, NAME, says).mend(format!("install {program}")))
            }
            Some(_) if !rules.delays => {
                let says = format!(
                    "{place}: compress without delaycompress: what the program still writes to the old file is lost, \
                     and a watcher that comes late reads archives"
                );
                Some(Condition::warn(subject, NAME, says).mend("add delaycompress"))
            }
            Some(_) => None,
        }
    }
}

/// Whether `olddir`, which is relative to the log's folder as `--rotated` is, is one of these.
fn is_among(olddir: &Path, rotated: &[PathBuf], log: &Path) -> bool {
    let folder = log.parent().unwrap_or(Path::new("/"));
    let whole = |dir: &Path| {
        let dir = folder.join(dir);
        fs::canonicalize(&dir).unwrap_or_else(|_| dir.components().collect())
    };
    rotated.iter().any(|dir| whole(dir) == whole(olddir))
}

/// Where in a file the parser is.
enum Within {
    Nothing,
    /// Patterns, until their `{`; they began in this line.
    Patterns(Vec<String>, usize),
    Section(Section),
    /// A script, until its `endscript`.
    Script(Box<Within>),
}

/// Reads a file's text; calls `found` for what it finds, in order, with the defaults as they are there.
fn parse(text: &str, file: &Path, defaults: &mut Rules, found: &mut dyn FnMut(Item, &mut Rules)) {
    let mut within = Within::Nothing;
    for (index, line) in text.lines().enumerate() {
        let mut rest = line.trim();
        while !rest.is_empty() && !rest.starts_with('#') {
            (within, rest) = step(within, rest, (file, index + 1), defaults, found);
        }
    }
}

/// Takes what stands first in a line. Returns where the parser is then, and the line's rest.
fn step<'t>(
    within: Within,
    line: &'t str,
    (file, number): (&Path, usize),
    defaults: &mut Rules,
    found: &mut dyn FnMut(Item, &mut Rules),
) -> (Within, &'t str) {
    match within {
        Within::Script(outer) if line.split_whitespace().next() == Some("endscript") => {
            (*outer, "")
        }
        Within::Script(outer) => (Within::Script(outer), ""),
        Within::Nothing if line.starts_with(['/', '"', '\'', '~']) => {
            (Within::Patterns(Vec::new(), number), line)
        }
        Within::Nothing => {
            let words = words(line);
            match &words[..] {
                [name, other, ..] if name == "include" => {
                    found(Item::Include(other.into()), defaults);
                    (Within::Nothing, "")
                }
                _ if is_script(&words) => (Within::Script(Box::new(Within::Nothing)), ""),
                _ => {
                    defaults.set(&words);
                    (Within::Nothing, "")
                }
            }
        }
        Within::Patterns(mut patterns, began) => match line.split_once('{') {
            None => {
                patterns.extend(words(line));
                (Within::Patterns(patterns, began), "")
            }
            Some((before, behind)) => {
                patterns.extend(words(before));
                let section = Section {
                    patterns,
                    rules: defaults.clone(),
                    file: file.into(),
                    line: began,
                };
                (Within::Section(section), behind.trim_start())
            }
        },
        Within::Section(section) => step_in_section(section, line, defaults, found),
    }
}

/// The same, between the braces.
fn step_in_section<'t>(
    mut section: Section,
    line: &'t str,
    defaults: &mut Rules,
    found: &mut dyn FnMut(Item, &mut Rules),
) -> (Within, &'t str) {
    if let Some(behind) = line.strip_prefix('}') {
        found(Item::Section(section), defaults);
        return (Within::Nothing, behind.trim_start());
    }
    let (directive, behind) = match line.split_once('}') {
        Some((directive, _)) => (directive, &line[directive.len()..]),
        None => (line, ""),
    };
    let words = words(directive);
    if is_script(&words) {
        return (Within::Script(Box::new(Within::Section(section))), "");
    }
    section.rules.set(&words);
    (Within::Section(section), behind)
}

fn is_script(words: &[String]) -> bool {
    const SCRIPTS: [&str; 5] = [
        "prerotate",
        "postrotate",
        "firstaction",
        "lastaction",
        "preremove",
    ];
    words
        .first()
        .is_some_and(|word| SCRIPTS.contains(&word.as_str()))
}

impl Rules {
    fn set(&mut self, words: &[String]) {
        let [name, values @ ..] = words else {
            return;
        };
        match (name.as_str(), values.first()) {
            ("compress", _) => self.compress = true,
            ("nocompress", _) => self.compress = false,
            ("delaycompress", _) => self.delays = true,
            ("nodelaycompress", _) => self.delays = false,
            ("copytruncate", _) => self.copytruncate = true,
            ("nocopytruncate", _) => self.copytruncate = false,
            ("olddir", Some(folder)) => self.olddir = Some(folder.into()),
            ("noolddir", _) => self.olddir = None,
            ("rotate", Some(count)) => self.rotate = count.parse().unwrap_or(self.rotate),
            ("compressext", Some(ending)) => self.ending = ending.clone(),
            _ => {}
        }
    }
}

/// Words as logrotate splits them: at blanks and `=`, but not in quotes or behind a backslash; up to a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut began) = (Vec::new(), String::new(), None, false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            (_, Some(end)) if letter == end => quote = None,
            ('\\', _) => word.extend(letters.next()),
            (_, Some(_)) => word.push(letter),
            ('"' | '\'', None) => (quote, began) = (Some(letter), true),
            ('#', None) if word.is_empty() && !began => break,
            (' ' | '\t' | '=', None) => {
                if began || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                began = false;
            }
            (_, None) => word.push(letter),
        }
    }
    if began || !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests;
