//! Words of strangers: what a file is called and what a server answers reach a terminal only as letters that one sees, and
//! no answer brings a password to light.

use crate::util::*;

/// Reorders, hides, ends a line, commands: none of it is for a terminal.
const HAZARDS: [char; 8] = [
    '\u{202e}',
    '\u{2066}',
    '\u{200b}',
    '\u{2028}',
    '\u{feff}',
    '\u{9b}',
    '\u{7f}',
    '\u{e0041}',
];

#[test]
fn a_name_that_hides_or_reorders_letters_is_shown_as_it_is_by_every_command() {
    let scene = Scene::new();
    let name = format!("gol{}.log", HAZARDS.iter().collect::<String>());
    scene.append(&name, text(0..3));
    scene.once(&name);
    scene.append(&name, text(3..5));
    let url = scene.redis.url();
    let common = ["--redis", &url];
    let with_file = |args: &[&str]| {
        let run = scene.tailcast(args).args(common).arg("--state-dir");
        run.arg(scene.state_dir()).arg(scene.path(&name)).run()
    };
    let top = ["top", "--interval", "10ms", "--count", "1"];
    for (what, run) in [
        ("status", with_file(&["status"])),
        ("status --json", with_file(&["status", "--json"])),
        ("check", with_file(&["check"])),
        ("check --json", with_file(&["check", "--json"])),
        ("watch", with_file(&["watch", "--once", "-v"])),
        ("top", scene.tailcast(&top).args(common).run()),
    ] {
        let said = String::from_utf8(run.stdout).expect("UTF-8") + &run.stderr;
        assert!(!said.contains(HAZARDS), "{what}: {said:?}");
        // Of an old name `top` shows the end.
        assert!(
            said.contains(r"\u{e0041}.log") || said.contains(r"\udb40\udc41.log"),
            "{what}: {said}"
        );
        assert!(
            !what.ends_with("json") || serde_json::from_str::<serde_json::Value>(&said).is_ok(),
            "{said}"
        );
    }
}
