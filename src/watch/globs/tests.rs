//! What matches, on paper and in folders that change.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;

#[test]
fn a_name_matches_as_in_the_shell() {
    let cases = [
        ("*.log", "app.log", true),
        ("*.log", ".log", false),
        (".*", ".log", true),
        ("*.log", "app.log.1", false),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-b-b-", false),
        ("app?.log", "app1.log", true),
        ("app?.log", "app.log", false),
        ("app[0-9].log", "app7.log", true),
        ("app[!0-9].log", "app7.log", false),
        ("app[]x].log", "app].log", true),
        ("app[.log", "app[.log", true),
        (r"app\*.log", "app*.log", true),
        (r"app\*.log", "appx.log", false),
        ("*", "", true),
    ];
    for (pattern, name, is) in cases {
        let matches = matches_name(OsStr::new(pattern), OsStr::new(name));
        assert_eq!(matches, is, "{pattern} {name}");
    }
}

#[test]
fn a_path_matches_component_by_component() {
    let cases = [
        ("/var/*/app.log", "/var/log/app.log", true),
        ("/var/*/app.log", "/var/log/x/app.log", false),
        ("/var/*/app.log", "/var/.log/app.log", false),
        ("/v?r/[kl]og/*.log", "/var/log/app.log", true),
        ("/var/**/app.log", "/var/app.log", true),
        ("/var/**/app.log", "/var/a/app.log", true),
        ("/var/**/app.log", "/var/a/b/c/app.log", true),
        ("/var/**/app.log", "/var/a/.b/c/app.log", false),
        ("/var/**/.b/*.log", "/var/a/.b/app.log", true),
        ("/var/**/**/app.log", "/var/app.log", true),
        ("/**/b/**/*.log", "/a/b/c/b/app.log", true),
        ("/**/b/**/*.log", "/a/c/app.log", false),
        ("/var/**", "/var/a/b", true),
        ("/var/**", "/var/.hidden", false),
        ("/var/**", "/var", false),
        ("/var/a**.log", "/var/app.log", true),
        ("/var/a**.log", "/var/a/p.log", false),
        ("/var/app.log", "/var/app.log", true),
    ];
    for (pattern, path, is) in cases {
        let glob = Glob::new(pattern.into());
        assert_eq!(matches(&glob, Path::new(path)), is, "{pattern} {path}");
    }
}

#[test]
fn many_double_stars_are_no_burden() {
    let glob = Glob::new(format!("/{}x", "**/a/".repeat(20)).into());
    let path = format!("/{}y", "a/".repeat(500));
    assert!(!matches(&glob, Path::new(&path)));
}

/// A folder with empty files in it.
fn tree(files: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        put(&root, file);
    }
    root
}

fn put(root: &TempDir, file: &str) {
    let path = root.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "").unwrap();
}

fn walk(root: &TempDir, globs: &[&str], excludes: &[&str]) -> Walk {
    let glob = |glob: &&str| Glob::new(root.path().join(glob));
    let exclude = |pattern: &&str| match pattern.contains('/') {
        true => Exclude::parse(&root.path().join(pattern)).unwrap(),
        false => Exclude::parse(Path::new(pattern)).unwrap(),
    };
    let globs: Vec<_> = globs.iter().map(glob).collect();
    let excludes: Vec<_> = excludes.iter().map(exclude).collect();
    Walk::new(&globs, &excludes)
}

/// The matches below the root, one space between them.
fn found(root: &TempDir, walk: &mut Walk) -> String {
    let scan = walk.scan();
    assert!(scan.errors.is_empty(), "{:?}", scan.errors);
    let names = scan.matches.iter().map(|path| {
        let name = path.strip_prefix(root.path()).unwrap();
        name.to_str().unwrap().to_owned()
    });
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_walk_finds_what_matches_in_every_component() {
    let files = [
        "a/app.log",
        "a/x/app.log",
        "a/x/y/app.log",
        "b/app.log",
        "b/app.log.gz",
        "c.log",
        ".h/app.log",
        "a/.h/app.log",
        "a/x/.app.log",
        "a/x/app.txt",
    ];
    let root = tree(&files);
    let cases: [(&[&str], &[&str], &str); 10] = [
        (&["*/app.log"], &[], "a/app.log b/app.log"),
        (
            &["**/app.log"],
            &[],
            "a/app.log a/x/app.log a/x/y/app.log b/app.log",
        ),
        (&["**/*.log"], &["app.log"], "c.log"),
        (&["**/*.log"], &["a/x/**"], "a/app.log b/app.log c.log"),
        (&["*/*"], &["*.gz"], "a/app.log b/app.log"),
        (&["b/**"], &[], "b/app.log b/app.log.gz"),
        (
            &["*.log", "*/*.log", "b/*"],
            &[],
            "a/app.log b/app.log b/app.log.gz c.log",
        ),
        (&["**/x/*.log", "**/.*"], &[], "a/x/.app.log a/x/app.log"),
        (&[".*/*.log"], &[], ".h/app.log"),
        (&["nothing/*.log", "c.log/*"], &[], ""),
    ];
    for (globs, excludes, want) in cases {
        let mut walk = walk(&root, globs, excludes);
        assert_eq!(found(&root, &mut walk), want, "{globs:?} {excludes:?}");
        assert_eq!(
            found(&root, &mut walk),
            want,
            "once more: {globs:?} {excludes:?}"
        );
    }
}

#[test]
fn a_link_to_a_file_matches_and_double_star_follows_no_link_to_a_folder() {
    let root = tree(&["a/app.log"]);
    symlink(root.path().join("a/app.log"), root.path().join("link.log")).unwrap();
    symlink(root.path(), root.path().join("a/loop")).unwrap();
    symlink(root.path().join("a"), root.path().join("l")).unwrap();
    symlink("nowhere", root.path().join("dangling.log")).unwrap();
    let mut deep = walk(&root, &["**/*.log"], &[]);
    assert_eq!(found(&root, &mut deep), "a/app.log link.log");
    let mut flat = walk(&root, &["*/*.log"], &[]);
    assert_eq!(found(&root, &mut flat), "a/app.log l/app.log");
    put(&root, "nowhere");
    assert_eq!(found(&root, &mut deep), "a/app.log dangling.log link.log");
}

/// As if it had been so for long: then a clock's coarseness is no reason to list it again.
fn settle(root: &TempDir, walk: &mut Walk) {
    let long_ago = SystemTime::now() - Duration::from_secs(60);
    let mut folders = vec![root.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap().flatten();
        folders.extend(
            entries
                .map(|entry| entry.path())
                .filter(|path| path.is_dir()),
        );
        fs::File::open(folder)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
    }
    walk.scan();
}

#[test]
fn what_comes_and_goes_is_seen_and_only_what_changed_is_listed() {
    let root = tree(&["a/1.log", "b/1.log"]);
    let mut walk = walk(&root, &["*/*.log", "new/**/*.txt"], &[]);
    settle(&root, &mut walk);
    assert!(!walk.scan().changed);
    put(&root, "a/2.log");
    assert_eq!(found(&root, &mut walk), "a/1.log a/2.log b/1.log");
    put(&root, "new/x/y.txt");
    assert_eq!(
        found(&root, &mut walk),
        "a/1.log a/2.log b/1.log new/x/y.txt"
    );
    fs::remove_dir_all(root.path().join("a")).unwrap();
    assert_eq!(found(&root, &mut walk), "b/1.log new/x/y.txt");
    settle(&root, &mut walk);
    assert!(!walk.scan().changed);
    assert_eq!(found(&root, &mut walk), "b/1.log new/x/y.txt");
}

#[test]
fn a_folder_that_changed_just_now_is_listed_again() {
    let root = tree(&["1.log"]);
    let mut walk = walk(&root, &["*.log"], &[]);
    settle(&root, &mut walk);
    let before = fs::metadata(root.path()).unwrap().modified().unwrap();
    put(&root, "2.log");
    walk.scan();
    // A second change within the clock's tick leaves the time as it is.
    let tick = fs::metadata(root.path()).unwrap().modified().unwrap();
    assert_ne!(before, tick);
    assert!(walk.scan().changed);
    settle(&root, &mut walk);
    assert!(!walk.scan().changed);
}

#[test]
fn a_folder_that_cannot_be_listed_is_named_and_the_others_are_walked() {
    let root = tree(&["a/1.log", "b/1.log"]);
    let mut walk = walk(&root, &["a/*.log", "b/*.log"], &[]);
    assert_eq!(found(&root, &mut walk), "a/1.log b/1.log");
    // A link to itself, as root may list any folder whatever its mode.
    let (folder, aside) = (root.path().join("a"), root.path().join("aside"));
    fs::rename(&folder, &aside).unwrap();
    symlink(&folder, &folder).unwrap();
    put(&root, "b/2.log");
    for _ in 0..2 {
        let scan = walk.scan();
        let named: Vec<_> = scan.errors.iter().map(|(path, _)| path).collect();
        assert_eq!(named, [&folder]);
        let names = ["a/1.log", "b/1.log", "b/2.log"];
        assert_eq!(scan.matches, names.map(|name| root.path().join(name)));
    }
    fs::remove_file(&folder).unwrap();
    fs::rename(&aside, &folder).unwrap();
    assert_eq!(found(&root, &mut walk), "a/1.log b/1.log b/2.log");
}

#[test]
fn a_folder_that_may_only_be_searched_is_no_hindrance_to_who_knows_the_name() {
    let root = tree(&["a/logs/app.log", "b/logs/app.log"]);
    let mut walk = walk(&root, &["*/logs/app.log"], &[]);
    fs::set_permissions(root.path().join("a"), fs::Permissions::from_mode(0o111)).unwrap();
    assert_eq!(found(&root, &mut walk), "a/logs/app.log b/logs/app.log");
}

#[test]
fn a_path_that_exists_is_no_glob() {
    let root = tree(&["app[1].log"]);
    let path = root.path().join("app[1].log");
    assert_eq!(Files::parse(path.clone()), Files::One(path));
    let path = root.path().join("app[2].log");
    assert_eq!(Files::parse(path.clone()), Files::Glob(Glob::new(path)));
    let folder = root.path().join("*/app.log");
    assert!(matches!(Files::parse(folder), Files::Glob(_)));
}
