//! What is said of flags that are wrong, each with the way out.

use super::*;

#[test]
fn complaints_say_what_was_given_and_what_is_taken() {
    let table = [
        (
            "watch --pol 1s",
            r#"watch: unknown flag: "--pol"; did you mean --poll?"#,
        ),
        (
            "watch -x",
            r#"watch: unknown flag: "-x"; tailcast help watch lists them"#,
        ),
        ("generate a b", r#"generate: takes one FILE; too many: "b""#),
        (
            "watch --mode udp",
            r#"--mode: not a mode: "udp"; give one of pubsub, stream, list"#,
        ),
        (
            "watch --from 0",
            r#"--from: not a place to begin: "0"; give one of start, end"#,
        ),
        (
            "watch --poll 0",
            r#"--poll: must be more than 0: "0"; give a number and a unit, as in 250ms, 3s, 5m"#,
        ),
        (
            "watch --batch-lines 0",
            r#"--batch-lines: must be more than 0: "0"; give a whole number from 1 up"#,
        ),
        (
            "watch --checkpoint-lines 0",
            r#"--checkpoint-lines: must be more than 0: "0"; give a whole number from 1 up"#,
        ),
    ];
    for (line, want) in table {
        assert_eq!(complaint(line), want, "{line}");
    }
    for line in [
        "watch --max-line 0",
        "watch --delivery never",
        "watch -",
        "status -",
        "watch --target=",
    ] {
        complaint(line);
    }
    for line in [
        "subscribe --type A,,B",
        "subscribe --type A,",
        "subscribe --type two:words",
    ] {
        assert!(
            complaint(line).starts_with("--type: not a list of types"),
            "{line}"
        );
    }
}

#[test]
fn so_do_those_about_what_piles_up_and_what_is_counted() {
    let table = [
        (
            "watch --mode list --max-backlog 0",
            r#"--max-backlog: must be more than 0: "0"; give a whole number from 1 up"#,
        ),
        (
            "watch --max-backlog 10",
            "--max-backlog: pub/sub keeps nothing that could pile up; it goes with --mode stream or list",
        ),
        (
            "watch --mode list --retain 1d --max-backlog 5",
            "--retain: what is taken from a list is gone; it goes with --mode stream",
        ),
        (
            "watch --mode stream --retain 5x",
            r#"--retain: neither a number nor a duration: "5x"; give a number of lines, or a duration, as in 10000, 36h, 7d"#,
        ),
        (
            "watch --mode list --when-full block",
            r#"--when-full: not a way to make room: "block"; give one of wait, drop-oldest"#,
        ),
        (
            "watch --type-field type,,level",
            r#"--type-field: a name is empty: "type,,level"; give the names of top-level JSON fields, as in type,level"#,
        ),
        ("watch --once=1", r#"--once: takes no value: "1""#),
        (
            "generate --count",
            "--count: needs a value; give a whole number",
        ),
        (
            "generate --count -1",
            r#"--count: not a number: "-1"; give a whole number"#,
        ),
        (
            "subscribe --udm-host web-1",
            "--udm-host: only events have one; it goes with --format udm",
        ),
        (
            "subscribe --format xml",
            r#"--format: not a format: "xml"; give one of raw, pretty, udm"#,
        ),
    ];
    for (line, want) in table {
        assert_eq!(complaint(line), want, "{line}");
    }
}

#[test]
fn subscribes_flags_that_make_no_sense_together_are_refused_with_the_way_out() {
    let table = [
        (
            "--group g",
            "--group: only streams have groups; add --mode stream",
        ),
        (
            "--mode list --group g",
            "--group: only streams have groups; add --mode stream",
        ),
        (
            "--consumer c",
            "--consumer: every subscriber of pubsub gets all",
        ),
        (
            "--mode stream --consumer c",
            "--consumer: a consumer is one of a group; add --group NAME",
        ),
        (
            "--mode stream --claim-after 1s",
            "--claim-after: only what a group has handed out can be claimed",
        ),
        ("--from end", "--from: only a stream keeps what was read"),
        (
            "--mode list --from end",
            "--from: only a stream keeps what was read",
        ),
        (
            "--output o --exec c",
            "--exec: the lines go to one place; give --exec or --output",
        ),
        ("--output -", "--output: lines go to standard output anyhow"),
        (
            "--mode stream a b",
            "subscribe: reads one stream; too many: \"b\"",
        ),
        (
            "--mode list logs:*",
            "subscribe: a list is named, not matched: \"logs:*\"",
        ),
        (
            "--mode heap",
            "--mode: not a mode: \"heap\"; give one of pubsub, stream, list",
        ),
        (
            "--mode stream --group g --claim-after 0",
            "--claim-after: must be more than 0",
        ),
    ];
    for (line, want) in table {
        let text = complaint(&format!("subscribe {line}"));
        assert!(text.starts_with(want), "{line}: {text}");
    }
}
