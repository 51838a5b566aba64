//! Archives as logrotate makes them: packed beside the file, given its times, and only then is the file removed.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use super::{Scene, installed, skip};

/// A program that packs, and how the names of its archives end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packer {
    pub program: &'static str,
    pub extension: &'static str,
}

pub const GZIP: Packer = Packer {
    program: "gzip",
    extension: "gz",
};

const PACKERS: [Packer; 4] = [
    GZIP,
    Packer {
        program: "zstd",
        extension: "zst",
    },
    Packer {
        program: "xz",
        extension: "xz",
    },
    Packer {
        program: "bzip2",
        extension: "bz2",
    },
];

/// Those that are installed; the others are named in a notice.
pub fn packers() -> Vec<Packer> {
    let (here, missing): (Vec<_>, Vec<_>) = PACKERS.into_iter().partition(|p| installed(p.program));
    for packer in missing {
        skip(&format!("{} is not installed", packer.program));
    }
    here
}

impl Scene {
    /// Packs a file and removes it; returns the archive's name.
    pub fn compress(&self, name: &str, packer: Packer) -> String {
        let archive = self.pack(name, packer);
        self.remove(name);
        archive
    }

    /// Makes an archive beside a file; returns its name.
    pub fn pack(&self, name: &str, packer: Packer) -> String {
        let archive = format!("{name}.{}", packer.extension);
        let to = File::create_new(self.path(&archive))
            .unwrap_or_else(|e| panic!("create {archive}: {e}"));
        let packed = self
            .packing(name, packer)
            .stdout(to.try_clone().expect("clone a file"))
            .status();
        assert!(packed.is_ok_and(|s| s.success()), "{packer:?} {name}");
        let modified = fs::metadata(self.path(name)).and_then(|m| m.modified());
        to.set_modified(modified.expect("stat"))
            .expect("set the time");
        archive
    }

    /// What an archive of a file would be.
    pub fn packed(&self, name: &str, packer: Packer) -> Vec<u8> {
        let packed = self.packing(name, packer).output().expect("pack");
        assert!(packed.status.success(), "{packer:?} {name}");
        packed.stdout
    }

    fn packing(&self, name: &str, packer: Packer) -> Command {
        let from = File::open(self.path(name)).unwrap_or_else(|e| panic!("open {name}: {e}"));
        let mut command = Command::new(packer.program);
        command.args(["-c", "-1"]).stdin(from).stderr(Stdio::null());
        command
    }

    /// Renames NAME.1 to NAME.2 and so on, archives as well, the oldest first, as logrotate does.
    pub fn shift(&self, name: &str) {
        let path = self.path(name);
        let own = path
            .file_name()
            .and_then(|own| own.to_str())
            .expect("UTF-8");
        let folder = path.parent().expect("a folder");
        let beside = fs::read_dir(folder).expect("list the folder");
        let mut rotated: Vec<(u32, String)> = beside
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|it| {
                let rest = it.strip_prefix(own)?.strip_prefix('.')?;
                let (number, ending) = rest
                    .split_once('.')
                    .map_or((rest, ""), |(n, _)| (n, &rest[n.len()..]));
                let is_archive = ["", ".gz", ".zst", ".xz", ".bz2"].contains(&ending);
                let number = number.parse().ok().filter(|_| is_archive)?;
                Some((number, ending.to_string()))
            })
            .collect();
        rotated.sort();
        for (n, ending) in rotated.into_iter().rev() {
            let from = format!("{name}.{n}{ending}");
            self.rename(&from, &format!("{name}.{}{ending}", n + 1));
        }
    }

    /// Rotates `NAME` to `NAME.1` by rename, the older ones before it.
    pub fn rotate(&self, name: &str) {
        self.shift(name);
        self.rename(name, &format!("{name}.1"));
    }

    /// Rotates `NAME` to `NAME.1` by copytruncate, the older ones before it.
    pub fn rotate_by_copy(&self, name: &str) {
        self.shift(name);
        self.copytruncate(name, &format!("{name}.1"));
    }
}
