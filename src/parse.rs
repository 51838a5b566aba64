//! `parse_log`: what a subscriber makes of a received line. The place where parsers are added.
//!
//! Pure: bytes in, bytes out. Whether standard output is a terminal, and whether to use colour, is settled by
//! the caller.

mod pretty;
mod time;
mod udm;

use crate::escape::push_escaped;

pub use udm::{Origin, Udm, is_machine};

/// How a line is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style<'a> {
    /// Byte for byte, for pipes and files.
    Bytes,
    /// As it is, but safe on a terminal: control characters are shown, not sent.
    Escaped,
    /// For a person: time, type, message, other fields; as safe as `Escaped`.
    Pretty {
        colour: bool,
        /// The top-level fields that may be the type, with commas between them.
        type_field: &'a str,
    },
    /// An event of Google SecOps' Unified Data Model, in JSON.
    Udm(Udm<'a>),
}

/// Appends what is to be printed for the line, and a newline.
pub fn parse_log(line: &[u8], style: Style, out: &mut Vec<u8>) {
    match style {
        Style::Bytes => out.extend_from_slice(line),
        Style::Escaped => push_escaped(line, out),
        Style::Udm(udm) => udm::push_event(line, &udm, out),
        Style::Pretty { colour, type_field } => pretty::push_pretty(line, type_field, colour, out),
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Style = Style::Pretty {
        colour: false,
        type_field: "type",
    };
    const COLOURED: Style = Style::Pretty {
        colour: true,
        type_field: "type",
    };

    fn parsed(line: &[u8], style: Style) -> String {
        let mut out = b"before\n".to_vec();
        parse_log(line, style, &mut out);
        String::from_utf8(out.split_off(7)).unwrap()
    }

    #[test]
    fn bytes_stay_bytes() {
        let line = b"\x1b[31m\0\xff\r{\"type\":\"INFO\"}";
        let mut out = Vec::new();
        parse_log(line, Style::Bytes, &mut out);
        assert_eq!(out, [&line[..], b"\n"].concat());
    }

    #[test]
    fn escaped_lines_keep_all_but_what_commands_a_terminal() {
        let line = br#"{"message":"a\u001b"} caf"#;
        assert_eq!(
            parsed(line, Style::Escaped),
            "{\"message\":\"a\\u001b\"} caf\n"
        );
        assert_eq!(parsed(b"\x1b[2J\xe9", Style::Escaped), "\\x1b[2J\\xe9\n");
    }

    #[test]
    fn pretty_lines_are_time_type_message_and_the_rest() {
        for (line, want) in [
            (
                r#"{"timestamp":"2026-01-31T08:15:30.123456Z","type":"INFO","message":"User logged in"}"#,
                "08:15:30.123 INFO    User logged in",
            ),
            (
                r#"{"message":"hi","type":"WARNING","timestamp":"Jan 31 08:15","id":1.50,"user":"ann","o":{"a": 1}}"#,
                r#"Jan 31 08:15 WARNING hi id=1.50 user=ann o={"a": 1}"#,
            ),
            (
                r#"{"timestamp":1769847330,"type":"AUDIT_TRAIL","message":{"a":1}}"#,
                r#"1769847330 AUDIT_TRAIL {"a":1}"#,
            ),
            (
                r#"{"timestamp":"2026-02-29T08:15:30Z","message":"there is no such day"}"#,
                "2026-02-29T08:15:30Z there is no such day",
            ),
            (r#"{"type":"INFO"}"#, "INFO"),
            (r#"{"message":"alone"}"#, "alone"),
            (r#"{"type":"é","message":"x"}"#, "é       x"),
            (r#"{"type":"A","type":"B","message":"x"}"#, "B       x"),
            (
                r#"{"message":"m","a":"two words","b":"","c":"x=y","d":"q\"q","e e":"f"}"#,
                r#"m a="two words" b="" c="x=y" d="q\"q" "e e"=f"#,
            ),
            (
                r#"{"message":"line 1\nline 2\ttab \u001b[31m \u202e"}"#,
                r"line 1\nline 2\ttab \x1b[31m \u{202e}",
            ),
        ] {
            assert_eq!(parsed(line.as_bytes(), PLAIN), format!("{want}\n"));
        }
    }

    #[test]
    fn what_is_not_a_log_record_is_printed_whole() {
        for line in [
            "",
            "plain text",
            r#"{"type":"INFO""#,
            r#"["type"]"#,
            "{}",
            r#"{"level":"info","msg":"x"}"#,
        ] {
            assert_eq!(parsed(line.as_bytes(), PLAIN), format!("{line}\n"));
            assert_eq!(parsed(line.as_bytes(), COLOURED), format!("{line}\n"));
        }
        assert_eq!(parsed(b"bell \x07 \xff", COLOURED), "bell \\x07 \\xff\n");
    }

    #[test]
    fn another_field_can_be_the_type() {
        let style = Style::Pretty {
            colour: false,
            type_field: "level",
        };
        assert_eq!(
            parsed(br#"{"type":"x","level":"warn","message":"m"}"#, style),
            "warn    m type=x\n"
        );
    }

    #[test]
    fn of_several_fields_the_first_one_with_a_type_is_shown() {
        let style = Style::Pretty {
            colour: false,
            type_field: "type,level,lvl",
        };
        for (line, want) in [
            (r#"{"level":30,"message":"m"}"#, "INFO    m"),
            (r#"{"lvl":"x","level":4,"message":"m"}"#, "WARNING m lvl=x"),
            (
                r#"{"type":"é","level":"warn","message":"m"}"#,
                "warn    m type=é",
            ),
            (r#"{"level":35,"message":"m"}"#, "35      m"),
        ] {
            assert_eq!(parsed(line.as_bytes(), style), format!("{want}\n"));
        }
    }

    #[test]
    fn types_have_their_colours() {
        for (kind, colour) in [
            ("ERROR", 31),
            ("WARNING", 33),
            ("WARN", 33),
            ("INFO", 32),
            ("DEBUG", 34),
            ("AUDIT", 36),
            ("error", 31),
            ("fatal", 31),
            ("NOTICE", 32),
            ("trace", 34),
        ] {
            let line = format!(r#"{{"type":"{kind}","message":"m"}}"#);
            let want = format!("\x1b[{colour}m{kind}\x1b[0m{:1$} m\n", "", 7 - kind.len());
            assert_eq!(parsed(line.as_bytes(), COLOURED), want);
        }
        let line = br#"{"timestamp":"2026-01-31T08:15:30Z","message":"m","k":"v"}"#;
        assert_eq!(
            parsed(line, COLOURED),
            "\x1b[2m08:15:30.000\x1b[0m m \x1b[2mk=v\x1b[0m\n"
        );
    }

    /// What is left for the terminal to obey, once our own colours and the newline are taken away.
    fn hazards(shown: &str) -> String {
        let mut rest = shown.strip_suffix('\n').unwrap().to_owned();
        for colour in ["0", "2", "31", "32", "33", "34", "36"] {
            rest = rest.replace(&format!("\x1b[{colour}m"), "");
        }
        rest.chars()
            .filter(|letter| crate::escape::is_hazard(*letter))
            .collect()
    }

    fn nasty() -> impl Strategy<Value = String> {
        let letters =
            "\u{0}\u{7}\t\n\r\u{1b}[]31m;\\\"\u{7f}\u{85}\u{9b}\u{9f}\u{202e}\u{2069}é =x";
        let letters: Vec<char> = letters.chars().collect();
        prop::collection::vec(prop::sample::select(letters), 0..12)
            .prop_map(|letters| letters.into_iter().collect())
    }

    proptest! {
        #[test]
        fn no_record_gets_a_hazard_through(
            (time, kind, message, key, value) in (nasty(), nasty(), nasty(), nasty(), nasty()),
        ) {
            let line = serde_json::json!({
                "timestamp": time, "type": kind, "message": message,
                key.clone(): value.clone(), "nested": {key: [value]},
            });
            let line = line.to_string();
            for style in [PLAIN, Style::Escaped] {
                let shown = parsed(line.as_bytes(), style);
                prop_assert!(!shown.trim_end_matches('\n').contains(crate::escape::is_hazard), "{shown:?}");
            }
            prop_assert_eq!(hazards(&parsed(line.as_bytes(), COLOURED)), "");
        }

        #[test]
        fn no_bytes_get_a_hazard_through(line in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(hazards(&parsed(&line, Style::Escaped)), "");
            prop_assert_eq!(hazards(&parsed(&line, COLOURED)), "");
        }
    }
}
