//! What logrotate does to a log, going by the words of its configuration.
//!
//! A plain scan of the files that name the log, and of the first one, which has the defaults. Sections are not told apart,
//! nor is what a later word takes back: so a warning may be given once too often. What cannot be read is not known, and no
//! failure.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use super::files::is_installed;
use super::{About, Condition, Grade};
use crate::error::describe;
use crate::file::packing_program;
use crate::watch::{Glob, matches};

/// Files that include each other have an end.
const MOST: usize = 1000;
/// Names in a folder that an editor or a package manager has left behind: logrotate's `tabooext`, in short.
const LEFT_BEHIND: [&str; 6] = [".dpkg-", ".rpm", ".bak", ".old", ".disabled", "~"];

/// All that is configured.
#[derive(Debug, Default)]
pub struct Configuration {
    /// The words of each file's lines.
    files: Vec<(PathBuf, Vec<Vec<String>>)>,
    /// What could not be read, and why.
    unread: Vec<(PathBuf, String)>,
}

impl Configuration {
    /// Reads a file and all that it includes.
    pub fn read(path: &Path) -> Configuration {
        let (mut all, mut todo) = (
            Configuration::default(),
            VecDeque::from([path.to_path_buf()]),
        );
        while let Some(path) = todo.pop_front().filter(|_| all.files.len() < MOST) {
            let read = if path.is_dir() {
                fs::read_dir(&path).map(|entries| {
                    let paths = entries.flatten().map(|entry| entry.path());
                    todo.extend(paths.filter(|path| !is_left_behind(path)));
                })
            } else {
                fs::read(&path).map(|text| {
                    let lines: Vec<_> = String::from_utf8_lossy(&text).lines().map(words).collect();
                    let others = lines
                        .iter()
                        .filter(|words| words.len() > 1 && words[0] == "include");
                    todo.extend(others.map(|words| PathBuf::from(&words[1])));
                    all.files.push((path.clone(), lines));
                })
            };
            if let Err(error) = read {
                all.unread.push((path, describe(&error)));
            }
        }
        all
    }

    /// What could not be read.
    pub fn troubles(&self) -> Vec<Condition> {
        let unread = self.unread.iter().map(|(path, why)| {
            let says = format!("{why}: how logs are rotated by it is not known");
            About(&format!("logrotate's {}", path.display()), "readable").unknown(says)
        });
        unread.collect()
    }

    /// Where a log is named first, and each word that may be about it with the one behind it. None: nothing names it.
    fn words_about(&self, log: &Path) -> Option<(String, BTreeSet<(&str, &str)>)> {
        let names = [Some(log.to_path_buf()), fs::canonicalize(log).ok()];
        let is_it = |word: &String| {
            let is_one = |glob: Glob| names.iter().flatten().any(|name| matches(&glob, name));
            word.starts_with('/') && is_one(Glob::new(word.into()))
        };
        let (mut place, mut pairs) = (None, BTreeSet::new());
        for (number, (path, lines)) in self.files.iter().enumerate() {
            let named = lines.iter().position(|words| words.iter().any(is_it));
            place = place.or(named.map(|line| format!("{}:{}", path.display(), line + 1)));
            for words in lines.iter().filter(|_| number == 0 || named.is_some()) {
                let behind = words.iter().skip(1).map(String::as_str).chain([""]);
                pairs.extend(words.iter().map(String::as_str).zip(behind));
            }
        }
        place.map(|place| (place, pairs))
    }

    /// What that means to a watcher that looks for rotated files in these folders too.
    pub fn of_log(&self, log: &Path, rotated: &[PathBuf]) -> Vec<Condition> {
        let subject = log.display().to_string();
        let about = About(&subject, "logrotate");
        let Some((place, pairs)) = self.words_about(log) else {
            let says = "not all of its configuration could be read";
            return vec![match self.unread.is_empty() {
                true => about.ok("it does not rotate this log"),
                false => about.unknown(says),
            }];
        };
        let with = |name: &'static str| pairs.iter().filter(move |(word, _)| *word == name);
        let has = |name| with(name).next().is_some();
        let mut all = Vec::new();
        let mut say = |grade, what: &str, mend: &str| {
            all.push(about.is(grade, format!("{place}: {what}")).mend(mend));
        };
        for (_, olddir) in with("olddir").filter(|(_, olddir)| !is_among(olddir, rotated, log)) {
            let what = format!("olddir {olddir}: rotated files are not looked for there");
            say(
                Grade::Fail,
                &what,
                &format!("watch with --rotated {olddir}"),
            );
        }
        if has("copytruncate") {
            let what = "copytruncate loses what is written between the copy and the truncation";
            let mend = "use create, and have the program open its log anew in postrotate";
            say(Grade::Warn, what, mend);
        }
        let ending = with("compressext")
            .next()
            .map_or(".gz", |(_, ending)| ending);
        match packing_program(ending) {
            _ if !has("compress") => {}
            None => {
                let what = format!("archives that end in {ending} cannot be read");
                let mend = "compresscmd gzip, zstd, xz or bzip2, with its compressext";
                say(Grade::Fail, &what, mend);
            }
            Some(program) if !is_installed(program) => {
                let what =
                    format!("compress, and there is no {program} here to read archives with");
                say(Grade::Fail, &what, &format!("install {program}"));
            }
            Some(_) if !has("delaycompress") => {
                let what = "compress without delaycompress: what the program still writes to the old file is lost, \
                    and a watcher that comes late reads archives";
                say(Grade::Warn, what, "add delaycompress");
            }
            Some(_) => {}
        }
        if !has("rotate") || pairs.contains(&("rotate", "0")) {
            let what = "rotate 0: a rotated file is removed at once, and with it what no watcher has read by then";
            say(Grade::Warn, what, "rotate 2, or more");
        }
        if all.is_empty() {
            all.push(about.ok(format!("{place}: nothing that stands in the way")));
        }
        all
    }
}

fn is_left_behind(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    !path.is_file() || name.starts_with('.') || LEFT_BEHIND.iter().any(|end| name.contains(end))
}

/// A line's words, up to a comment: quotes keep one together, braces and `=` stand between two.
fn words(line: &str) -> Vec<String> {
    let plain = line.split('#').next().unwrap_or_default();
    let parts = plain.split(['"', '\'']).enumerate();
    let words = parts.flat_map(|(index, part)| match index % 2 {
        1 => vec![part],
        _ => part.split([' ', '\t', '{', '}', '=']).collect(),
    });
    words
        .filter(|word| !word.is_empty())
        .map(String::from)
        .collect()
}

/// Whether `olddir`, which is relative to the log's folder as `--rotated` is, is one of these.
fn is_among(olddir: &str, rotated: &[PathBuf], log: &Path) -> bool {
    let folder = log.parent().unwrap_or(Path::new("/"));
    let whole = |dir: &Path| {
        let dir = folder.join(dir);
        fs::canonicalize(&dir).unwrap_or_else(|_| dir.components().collect())
    };
    rotated
        .iter()
        .any(|dir| whole(dir) == whole(Path::new(olddir)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_log_stands_in_the_files_that_name_it_and_in_the_first() {
        let file = |name: &str, text: &str| (name.into(), text.lines().map(words).collect());
        let all = Configuration {
            files: vec![
                file("/conf", "# it isn't\nweekly\nrotate 4\ncompress\n"),
                file(
                    "/d/a",
                    "\n/var/log/a.log \"/var/log/with space.log\" {\n rotate=7\n delaycompress # so\n}\n/srv/*/b.log{copytruncate}\n",
                ),
                file("/d/b", "/c.log {\n olddir '/x y'\n"),
            ],
            unread: Vec::new(),
        };
        for (log, place, has, has_not) in [
            (
                "/var/log/a.log",
                "/d/a:2",
                ("rotate", "7"),
                ("olddir", "/x y"),
            ),
            (
                "/var/log/with space.log",
                "/d/a:2",
                ("delaycompress", ""),
                ("so", ""),
            ),
            (
                "/srv/x/b.log",
                "/d/a:6",
                ("copytruncate", ""),
                ("olddir", "/x y"),
            ),
            ("/c.log", "/d/b:1", ("olddir", "/x y"), ("copytruncate", "")),
            ("/c.log", "/d/b:1", ("rotate", "4"), ("rotate", "7")),
        ] {
            let (at, pairs) = all.words_about(Path::new(log)).unwrap();
            assert_eq!(at, place, "{log}");
            assert!(
                pairs.contains(&has) && !pairs.contains(&has_not),
                "{log}: {pairs:?}"
            );
        }
        assert!(all.words_about(Path::new("/e.log")).is_none());
    }

    #[test]
    fn olddir_is_one_of_the_folders_however_it_is_written() {
        let log = Path::new("/no/such/app.log");
        let is = |olddir: &str, rotated: &str| is_among(olddir, &[rotated.into()], log);
        assert!(is("old", "/no/such/old"));
        assert!(is("/no/such/old", "old/"));
        assert!(!is("old", "older"));
        assert!(!is_among("old", &[], log));
    }
}
