//! Commands, help and complaints, as a user sees them.

use super::*;

mod options;

fn parse_words(line: &str) -> Result<Command> {
    parse(
        line.split_whitespace().map(OsString::from).collect(),
        &|_| None,
    )
}

fn complaint(line: &str) -> String {
    match parse_words(line) {
        Err(Error::Usage(text)) => text,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn help_and_version_are_found_wherever_they_stand() {
    let table = [
        ("help", "tailcast"),
        ("--help", "tailcast"),
        ("-h", "tailcast"),
        ("help help", "tailcast"),
        ("help --help", "tailcast"),
        ("help generate", "generate"),
        ("help watch", "watch"),
        ("help subscribe", "subscribe"),
        ("help status", "status"),
        ("watch --help", "watch"),
        ("watch --poll 5x --nonsense app.log -h", "watch"),
        ("status -h -V", "status"),
    ];
    for (line, want) in table {
        let text = match want {
            "tailcast" => help::TAILCAST.to_owned(),
            name => (find_subcommand(OsStr::new(name)).unwrap().help)(),
        };
        assert_eq!(parse_words(line).unwrap(), Command::Page(text), "{line}");
    }
    for line in ["--version", "-V", "watch --version", "generate a -V"] {
        assert_eq!(parse_words(line).unwrap(), Command::Version, "{line}");
    }
}

#[test]
fn behind_two_dashes_help_is_a_file() {
    let Command::Generate(options) = parse_words("generate -- --help").unwrap() else {
        panic!("not generate");
    };
    assert_eq!(options.file, PathBuf::from("--help"));
}

#[test]
fn what_is_not_a_command_gets_the_list() {
    let list = "the commands are generate, watch, subscribe, status, check, top, help";
    assert_eq!(
        complaint("tail"),
        format!(r#"unknown command: "tail"; {list}"#)
    );
    assert_eq!(
        complaint("wach"),
        format!(r#"unknown command: "wach"; did you mean watch? {list}"#)
    );
    assert_eq!(
        complaint("sub"),
        format!(r#"unknown command: "sub"; did you mean subscribe? {list}"#)
    );
    assert_eq!(
        complaint("--once watch"),
        format!(r#"unknown command: "--once"; {list}"#)
    );
    assert_eq!(
        complaint("help tail"),
        format!(r#"unknown command: "tail"; {list}"#)
    );
    assert_eq!(
        complaint("help watch x"),
        r#"help: takes one COMMAND; too many: "x""#
    );
    assert!(matches!(
        parse_words(""),
        Err(Error::NothingAsked(help::USAGE))
    ));
}

#[test]
fn help_makes_the_manual_page_and_completions() {
    for (line, has) in [
        ("help --man", ".SH THE COMMAND WATCH\n"),
        (
            "help --completions bash",
            "watch;--mode;;pubsub|stream|list;;how: PUBLISH",
        ),
        ("help --completions=zsh", "#compdef tailcast\n"),
        (
            "help --completions fish",
            "watch;--delivery;;exactly-once|at-least-once;;",
        ),
    ] {
        let Ok(Command::Page(page)) = parse_words(line) else {
            panic!("{line}");
        };
        assert!(page.contains(has), "{line}: {page}");
    }
    assert_eq!(
        complaint("help --completions tcsh"),
        r#"--completions: not a shell that we know: "tcsh"; give one of bash, zsh, fish"#
    );
    assert_eq!(
        complaint("help --completions"),
        "--completions: needs a value; give one of bash, zsh, fish"
    );
    assert_eq!(
        complaint("help --manual"),
        r#"help: unknown flag: "--manual"; give --man, --completions, or a COMMAND"#
    );
    assert_eq!(
        complaint("help --man watch"),
        r#"help: nothing goes with it: "watch""#
    );
}

#[test]
fn no_complaint_shows_a_password() {
    for line in [
        "redis://:secret@host",
        "help redis://:secret@host",
        "generate a redis://:secret@host",
        "watch --redisredis://:secret@host",
        "watch --poll redis://:secret@host",
        "watch --once=redis://:secret@host",
        "watch --mode=redis+unix:///run/redis.sock?pass=secret",
        "subscribe --type redis://:secret@host",
    ] {
        assert!(!complaint(line).contains("secret"), "{line}");
    }
}

#[test]
fn help_fits_eighty_columns_and_ends_with_examples() {
    let texts = SUBCOMMANDS.map(|command| (command.help)());
    for text in texts.iter().chain([&help::TAILCAST.to_owned()]) {
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert_eq!(line.trim_end(), line);
        }
        assert!(
            text.rsplit("\n\n").next().unwrap().starts_with("Examples:"),
            "{text}"
        );
        assert!(text.ends_with('\n'));
    }
}
