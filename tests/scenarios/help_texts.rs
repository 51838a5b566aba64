//! What is made of the help texts: the manual page renders, and each shell completes by its script.

use std::fs;
use std::process::{Command, Output};

use crate::util::*;

const COMMANDS: [&str; 6] = ["generate", "watch", "subscribe", "status", "check", "top"];

/// `tailcast help ...`, which must succeed.
fn help(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tailcast"))
        .arg("help")
        .args(args)
        .output()
        .expect("run tailcast");
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The long flags that a command's help names.
fn flags_of(command: &str) -> Vec<String> {
    let text = help(&[command]);
    let words = text.split([' ', ',', '\n', ':']);
    let flags = words.filter(|word| word.starts_with("--") && word.len() > 2);
    flags.map(String::from).collect()
}

fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|e| panic!("run {program}: {e}"))
}

/// A folder with the page or script in it, and its path there.
fn saved(name: &str, args: &[&str]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, help(args)).unwrap();
    let path = path.to_str().expect("UTF-8").to_owned();
    (folder, path)
}

#[test]
fn the_manual_page_renders_and_has_every_flag() {
    if !installed("man") {
        return skip("man is not installed");
    }
    let (_folder, page) = saved("tailcast.1", &["--man"]);
    let output = run("man", &["--warnings=w", "-l", &page]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for heading in [
        "NAME",
        "SYNOPSIS",
        "EXIT CODES",
        "THE COMMAND WATCH",
        "SEE ALSO",
    ] {
        assert!(
            text.lines().any(|line| line == heading),
            "{heading} in {text}"
        );
    }
    for command in COMMANDS {
        for flag in flags_of(command) {
            assert!(text.contains(&flag), "{command} {flag}");
        }
    }
    // The shell takes no typographic dashes.
    assert!(
        !text.contains(['\u{2010}', '\u{2013}', '\u{2212}']),
        "{text}"
    );
}

/// What bash offers behind these words.
fn bash(script: &str, words: &[&str]) -> Vec<String> {
    let typed = words.join("' '");
    let ask = format!(
        "source {script} && COMP_WORDS=('{typed}') COMP_CWORD={} && _tailcast 2>/dev/null; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.len() - 1
    );
    let output = run("bash", &["--norc", "-c", &ask]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines()
        .filter(|l| !l.is_empty())
        .map(String::from)
        .collect()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let (_folder, script) = saved("tailcast", &["--completions", "bash"]);
    assert_eq!(bash(&script, &["tailcast", "wa"]), ["watch"]);
    assert_eq!(bash(&script, &["tailcast", "watch", "--mo"]), ["--mode"]);
    let modes = ["pubsub", "stream", "list"];
    assert_eq!(bash(&script, &["tailcast", "watch", "--mode", ""]), modes);
    // --mode=st is three words to bash.
    let split = ["tailcast", "watch", "--mode", "=", "st"];
    assert_eq!(bash(&script, &split), ["stream"]);
    // Files are bash's own business.
    assert_eq!(
        bash(&script, &["tailcast", "watch", "app"]),
        [] as [&str; 0]
    );
    for command in COMMANDS {
        let offered = bash(&script, &["tailcast", command, "--"]);
        for flag in flags_of(command) {
            assert!(offered.contains(&flag), "{command} {flag}: {offered:?}");
        }
    }
}

#[test]
fn fish_completes_commands_flags_and_values() {
    if !installed("fish") {
        return skip("fish is not installed");
    }
    let (folder, script) = saved("tailcast.fish", &["--completions", "fish"]);
    let complete = |typed: &str| {
        let ask = format!("source {script}; complete --do-complete '{typed}'");
        let output = Command::new("fish")
            .args(["--no-config", "-c", &ask])
            .env("HOME", folder.path())
            .output()
            .expect("run fish");
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let words = text.lines().filter_map(|line| line.split('\t').next());
        words.map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(complete("tailcast wa"), ["watch"]);
    assert_eq!(complete("tailcast watch --mode s"), ["stream"]);
    for command in COMMANDS {
        let offered = complete(&format!("tailcast {command} --"));
        for flag in flags_of(command) {
            assert!(offered.contains(&flag), "{command} {flag}: {offered:?}");
        }
    }
}

/// A zsh with a terminal, in which what is typed is completed by the tab key; prints what the terminal shows. The words
/// that are waited for are typed in two halves, as the terminal shows what is typed as well; what is typed before the
/// prompt is there is not read as keys.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell 'TERM=dumb zsh -f -i'
zpty -w shell "PS1='now''>'; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; print re''ady"
zpty -r shell out '*ready*now>*'
zpty -w -n shell $2$'\t'
zpty -w shell $' # d\'\'one'
zpty -r shell out "*d''one*"
print -r -- $out
zpty -d shell
"#;

#[test]
fn zsh_completes_commands_flags_and_values() {
    if !installed("zsh") {
        return skip("zsh is not installed");
    }
    let (folder, script) = saved("_tailcast", &["--completions", "zsh"]);
    let driver = format!("{script}.driver");
    fs::write(&driver, ZSH).unwrap();
    let folder = folder.path().to_str().expect("UTF-8");
    let complete = |typed: &str| {
        let output = run("timeout", &["60", "zsh", "-f", &driver, folder, typed]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for (typed, want) in [
        ("tailcast wa", "tailcast watch "),
        ("tailcast watch --mode st", "tailcast watch --mode stream "),
        (
            "tailcast help --completions f",
            "tailcast help --completions fish ",
        ),
    ] {
        let shown = complete(typed);
        assert!(shown.contains(want), "{typed}: {shown}");
    }
    for command in COMMANDS {
        let shown = complete(&format!("tailcast {command} --"));
        for flag in flags_of(command) {
            assert!(shown.contains(&flag), "{command} {flag}: {shown}");
        }
    }
}
