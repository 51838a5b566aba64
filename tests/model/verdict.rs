//! What must have arrived of a log, what may have, and what was said to be missing.

use std::collections::HashSet;

use crate::log::{Arrived, Generation, Line, Log, Setup, Style};
use crate::naming::Naming;
use crate::util::*;

impl Generation {
    /// Whether a watcher had anything of it: what came and went unseen, nobody can say to be missing. Of an empty file that
    /// is written and truncated between two looks there is no trace: neither its inode nor a byte before an offset tells.
    /// And where it was removed while no watcher ran, the archive of the next one may be its own.
    fn is_known(&self, arrived: &Arrived) -> bool {
        self.seen && !self.untold
            || self
                .lines
                .iter()
                .any(|l| arrived.contains(l.text.as_bytes()))
    }
}

impl Log {
    fn lines(&self) -> impl Iterator<Item = &Line> {
        self.generations.iter().flat_map(|g| &g.lines)
    }

    /// How many lines must have arrived.
    pub fn required(&self) -> usize {
        self.lines().filter(|l| !l.doubtful).count()
    }

    /// Those that must have arrived, and have not.
    pub fn missing(&self, arrived: &Arrived) -> Vec<&str> {
        self.lines()
            .filter(|l| !l.doubtful && !arrived.contains(l.text.as_bytes()))
            .map(|l| l.text.as_str())
            .collect()
    }

    /// Ends without a newline that may have been published as lines, once. It cannot be told what is a copy where both
    /// styles are mixed.
    fn allowed_ends(&self) -> impl Iterator<Item = &str> {
        let ends = self.generations.iter().filter_map(|g| g.end.as_ref());
        ends.filter(|end| !end.torn || self.setup.style == Style::Both)
            .map(|end| end.text.as_str())
    }

    /// Everything of it that may arrive.
    pub fn known_texts(&self) -> impl Iterator<Item = &str> {
        self.lines()
            .map(|l| l.text.as_str())
            .chain(self.allowed_ends())
    }

    /// Every line that must have arrived has, once; all that arrived are in order; what is missing was said; and nothing
    /// was said to be missing where nothing could be. Returns how much of `arrived` is of this log.
    pub fn check(&self, arrived: &[Vec<u8>], said: &str, path: &str) -> usize {
        let all: Arrived = arrived.iter().cloned().collect();
        let expected: Vec<&Line> = self
            .lines()
            .filter(|l| !l.doubtful || all.contains(l.text.as_bytes()))
            .collect();
        let late: HashSet<&[u8]> = texts(self.lines().filter(|l| l.late));
        let own: HashSet<&[u8]> = texts(self.lines());
        let got: Vec<&[u8]> = of(arrived, &own).collect();
        assert_exactly(
            &sorted(expected.iter().map(|l| l.text.as_bytes())),
            &sorted(got.iter().copied()),
        );
        // In order, but for late lines among those of newer files.
        let punctual: Vec<_> = expected
            .iter()
            .filter(|l| !l.late)
            .map(|l| &l.text)
            .collect();
        let got_punctual: Vec<_> = got.iter().filter(|l| !late.contains(**l)).collect();
        assert_exactly(&punctual, &got_punctual);
        self.check_late(arrived, &all);
        self.check_gaps(&all, said, path);
        got.len() + self.check_ends(arrived)
    }

    /// Within one file, late lines are in order as well.
    fn check_late(&self, arrived: &[Vec<u8>], all: &Arrived) {
        for generation in self
            .generations
            .iter()
            .filter(|g| g.lines.iter().any(|l| l.late))
        {
            let own = texts(generation.lines.iter());
            let written: Vec<_> = generation
                .lines
                .iter()
                .map(|l| l.text.as_bytes())
                .filter(|l| all.contains(*l))
                .collect();
            assert_exactly(&written, &of(arrived, &own).collect::<Vec<_>>());
        }
    }

    fn check_gaps(&self, all: &Arrived, said: &str, path: &str) {
        let gaps: Vec<&str> = gaps(said)
            .into_iter()
            .filter(|l| l.contains(path))
            .collect();
        assert!(
            self.destroyed || gaps.is_empty(),
            "all of {path} was readable all the time: {gaps:?}"
        );
        // Whether a rotated file that was read to its end got another line before it was destroyed, nobody can say.
        let lost: Vec<&str> = self
            .generations
            .iter()
            .filter(|g| g.is_known(all))
            .flat_map(|g| g.lines.iter().filter(|l| !l.late && !l.unseen))
            .map(|l| l.text.as_str())
            .filter(|l| !all.contains(l.as_bytes()))
            .collect();
        assert!(
            lost.is_empty() || !gaps.is_empty(),
            "{} lines of {path} are lost without a word, first {}",
            lost.len(),
            lost[0]
        );
    }

    /// Each at most once; returns how many came.
    fn check_ends(&self, arrived: &[Vec<u8>]) -> usize {
        let mut came = 0;
        for end in self.allowed_ends() {
            let times = arrived.iter().filter(|l| *l == end.as_bytes()).count();
            assert!(times <= 1, "an end came {times} times: {end}");
            came += times;
        }
        came
    }
}

fn texts<'a>(lines: impl Iterator<Item = &'a Line>) -> HashSet<&'a [u8]> {
    lines.map(|l| l.text.as_bytes()).collect()
}

fn of<'a>(arrived: &'a [Vec<u8>], own: &HashSet<&[u8]>) -> impl Iterator<Item = &'a [u8]> {
    arrived
        .iter()
        .map(Vec::as_slice)
        .filter(|l| own.contains(l))
}

fn sorted<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<&'a [u8]> {
    let mut lines: Vec<_> = lines.collect();
    lines.sort_unstable();
    lines
}

#[test]
fn the_verdict_finds_what_is_wrong() {
    let scene = Scene::new();
    let setup = Setup {
        name: "app.log".into(),
        target: None,
        olddir: None,
        naming: Naming::Numbered,
        style: Style::Rename,
        packer: None,
        holes: false,
        late: false,
    };
    let mut log = Log::new(&scene, setup);
    log.write(&scene, 3);
    let all: Vec<Vec<u8>> = published_lines(&scene.read("app.log"));
    let verdict = |log: &Log, arrived: &[usize], said: &str| {
        let arrived: Vec<Vec<u8>> = arrived.iter().map(|n| all[*n].clone()).collect();
        let check = || log.check(&arrived, said, "/app.log");
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_ok()
    };
    let gap = "tailcast: /app.log: gap: generation 0, from offset 9: 5 bytes";
    assert!(verdict(&log, &[0, 1, 2], ""));
    assert!(!verdict(&log, &[0, 2], ""), "lost");
    assert!(!verdict(&log, &[0, 1, 2, 1], ""), "repeated");
    assert!(!verdict(&log, &[0, 2, 1], ""), "out of order");
    assert!(!verdict(&log, &[0, 1, 2], gap), "nothing can be missing");
    let arrived = [all[0].clone()].into();
    log.delete_live(&scene, &arrived);
    assert!(verdict(&log, &[0], gap));
    assert!(verdict(&log, &[0, 1, 2], ""), "it was held, and read");
    assert!(!verdict(&log, &[0, 1], ""), "lost without a word");
    assert!(!verdict(&log, &[1, 2], gap), "this one had arrived");
}
