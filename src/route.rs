//! Line to channel: finds a line's type and fills it into the target.
//!
//! Runs once per line on the publishing path, so it reads each byte once and allocates only for escapes. It
//! never changes a line and never fails: what has no usable type is `UNKNOWN`.

use std::borrow::Cow;

pub mod json;

/// The type of a line that is not a JSON object, or has no usable type.
pub const UNKNOWN: &[u8] = b"UNKNOWN";

/// What `--target` holds where the type goes.
const PLACEHOLDER: &str = "{type}";

/// The longest type, in bytes. Types make channel names, so nobody's log may make them long.
const MAX_TYPE: usize = 64;

/// A compiled `--target` and `--type-field`.
#[derive(Debug, Clone)]
pub struct Route {
    /// The target's pieces around each `{type}`: one more than there are places for the type.
    pieces: Vec<Vec<u8>>,
    type_field: Vec<u8>,
}

impl Route {
    pub fn new(target: &str, type_field: &str) -> Route {
        let pieces = target
            .split(PLACEHOLDER)
            .map(|piece| piece.as_bytes().to_vec())
            .collect();
        Route {
            pieces,
            type_field: type_field.as_bytes().to_vec(),
        }
    }

    /// Whether the target names `{type}`. Where it does not, `type_of` need not be asked for its sake.
    pub fn is_typed(&self) -> bool {
        self.pieces.len() > 1
    }

    /// The line's type: the top-level field's string if that is 1 to 64 of `A-Za-z0-9_.-`, else [`UNKNOWN`].
    /// Of a field that stands there twice the last one counts, as in most JSON readers.
    pub fn type_of<'l>(&self, line: &'l [u8]) -> Cow<'l, [u8]> {
        let mut found = None;
        let valid = json::members(line, |key, value| {
            if key.is(&self.type_field) {
                found = Some(value);
            }
        });
        match (valid, found) {
            (Some(()), Some(json::Value::Text(text))) => {
                Some(text.decoded()).filter(|kind| is_type(kind))
            }
            _ => None,
        }
        .unwrap_or(Cow::Borrowed(UNKNOWN))
    }

    /// Appends the channel or key for a line of this type.
    pub fn push_target(&self, kind: &[u8], out: &mut Vec<u8>) {
        for (index, piece) in self.pieces.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(kind);
            }
            out.extend_from_slice(piece);
        }
    }

    /// The channel or key for a line of this type.
    pub fn target(&self, kind: &[u8]) -> Cow<'_, [u8]> {
        match self.pieces.as_slice() {
            [whole] => Cow::Borrowed(whole),
            _ => {
                let mut target = Vec::with_capacity(self.target_len(kind));
                self.push_target(kind, &mut target);
                Cow::Owned(target)
            }
        }
    }

    /// How many bytes `push_target` appends.
    pub fn target_len(&self, kind: &[u8]) -> usize {
        let pieces: usize = self.pieces.iter().map(Vec::len).sum();
        pieces + kind.len() * (self.pieces.len() - 1)
    }
}

/// Whether these bytes can be a line's type: 1 to 64 of `A-Za-z0-9_.-`.
pub fn is_type(kind: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    (1..=MAX_TYPE).contains(&kind.len()) && kind.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::value::RawValue;

    fn type_of(line: &[u8]) -> String {
        let route = Route::new("logs:{type}", "type");
        String::from_utf8(route.type_of(line).into_owned()).unwrap()
    }

    #[test]
    fn the_top_level_string_is_the_type() {
        let longest = "x".repeat(64);
        let table = [
            (
                r#"{"timestamp":"2026-01-31T08:15:30Z","type":"INFO","message":"hi"}"#,
                "INFO",
            ),
            (r#" { "type" : "a_B.9-" } "#, "a_B.9-"),
            (r#"{"type":"A","type":"B"}"#, "B"),
            (
                r#"{"x":{"type":"INNER"},"y":[{"type":"INNER"}],"type":"OUTER"}"#,
                "OUTER",
            ),
            (r#"{"t\u0079pe":"KEY"}"#, "KEY"),
            (r#"{"n":1e999,"m":-1E-9999,"type":"BIG"}"#, "BIG"),
            (r#"{"type":"\u0049NFO"}"#, "INFO"),
            (&format!(r#"{{"type":"{longest}"}}"#), &longest),
        ];
        for (line, want) in table {
            assert_eq!(type_of(line.as_bytes()), want, "{line}");
        }
    }

    #[test]
    fn anything_else_is_unknown() {
        let too_long = format!(r#"{{"type":"{}"}}"#, "x".repeat(65));
        let table = [
            "",
            "plain text",
            "{}",
            r#"{"message":"type"}"#,
            r#"{"x":{"type":"INNER"}}"#,
            r#"["type","INFO"]"#,
            r#"{"type":7}"#,
            r#"{"type":["INFO"]}"#,
            r#"{"type":"INFO","type":null}"#,
            r#"{"type":""}"#,
            r#"{"type":"two words"}"#,
            r#"{"type":"logs:*"}"#,
            r#"{"type":"é"}"#,
            r#"{"type":"INFO"} trailing"#,
            r#"{"type":"INFO""#,
            r#"{"Type":"INFO"}"#,
            &too_long,
        ];
        for line in table {
            assert_eq!(type_of(line.as_bytes()), "UNKNOWN", "{line}");
        }
        assert_eq!(type_of(b"{\"type\":\"INFO\",\"m\":\"\xff\"}"), "UNKNOWN");
        assert_eq!(type_of(b"\xef\xbb\xbf{\"type\":\"INFO\"}"), "UNKNOWN");
    }

    #[test]
    fn another_field_can_be_the_type() {
        let line = br#"{"type":"no","level":"warn"}"#;
        assert_eq!(*Route::new("{type}", "level").type_of(line), *b"warn");
    }

    #[test]
    fn the_type_goes_wherever_the_target_names_it() {
        let table = [
            ("logs:{type}", true, "logs:INFO"),
            ("{type}", true, "INFO"),
            ("{type}:{type}.", true, "INFO:INFO."),
            ("logs", false, "logs"),
            ("{Type}", false, "{Type}"),
        ];
        for (target, typed, want) in table {
            let route = Route::new(target, "type");
            let mut out = b"before ".to_vec();
            route.push_target(b"INFO", &mut out);
            assert_eq!(out, format!("before {want}").as_bytes());
            assert_eq!(route.target_len(b"INFO"), want.len());
            assert_eq!(route.is_typed(), typed, "{target}");
        }
    }

    /// The line's members as `serde_json` finds them, numbers of any size among them.
    fn members(line: &[u8]) -> Option<BTreeMap<String, &RawValue>> {
        serde_json::from_slice(line).ok()
    }

    fn oracle(line: &[u8]) -> String {
        let members = members(line).unwrap_or_default();
        let kind = members.get("type").map_or("", |kind| kind.get());
        let kind: String = serde_json::from_str(kind).unwrap_or_default();
        if is_type(kind.as_bytes()) {
            kind
        } else {
            "UNKNOWN".to_owned()
        }
    }

    fn assert_agreement(line: &[u8]) -> Result<(), TestCaseError> {
        let whole: Option<&RawValue> = serde_json::from_slice(line).ok();
        let is_object = whole.is_some_and(|whole| whole.get().starts_with('{'));
        let got = json::members(line, |_, _| {}).is_some();
        prop_assert_eq!(got, is_object, "validity of {}", line.escape_ascii());
        // A key that is half a surrogate pair is no `String`: there the oracle does not know.
        prop_assume!(!is_object || members(line).is_some());
        prop_assert_eq!(
            type_of(line),
            oracle(line),
            "type of {}",
            line.escape_ascii()
        );
        Ok(())
    }

    fn space() -> impl Strategy<Value = &'static str> {
        prop_oneof![6 => Just(""), 1 => Just(" "), 1 => Just("\t\r\n ")]
    }

    fn string() -> impl Strategy<Value = String> {
        let pieces = vec![
            "INFO",
            "type",
            "a",
            "\\u0049",
            "\\ud83d\\ude00",
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "é",
            "\u{1f600}",
            "\u{7f}",
            "{",
            "]",
            ",",
            ":",
            " ",
            "longer than a word of eight",
        ];
        let piece = prop::sample::select(pieces);
        prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
    }

    fn number() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<i64>().prop_map(|number| number.to_string()),
            any::<f64>()
                .prop_filter("JSON has none of these", |number| number.is_finite())
                .prop_map(|number| format!("{number:e}")),
            ("-?[1-9][0-9]{0,3}(\\.[0-9]{1,3})?[eE][+-]?[0-9]{1,4}"),
            (1_usize..400).prop_map(|digits| "7".repeat(digits)),
            (250_usize..350, 0_u32..99)
                .prop_map(|(digits, power)| format!("0.{}1e{power}", "0".repeat(digits))),
        ]
    }

    fn value() -> impl Strategy<Value = String> {
        let literal = prop::sample::select(&["true", "false", "null", "0", "-0.0"][..])
            .prop_map(str::to_owned);
        let leaf = prop_oneof![literal, string(), number()];
        leaf.prop_recursive(5, 40, 5, |inner| {
            let array = prop::collection::vec((space(), inner.clone(), space()), 0..5);
            let array = array.prop_map(|items| {
                let items: Vec<_> = items
                    .iter()
                    .map(|(before, item, after)| format!("{before}{item}{after}"))
                    .collect();
                format!("[{}]", items.join(","))
            });
            prop_oneof![array, object(inner)]
        })
    }

    fn object(value: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = String> {
        let names = vec!["\"type\"", "\"t\\u0079pe\"", "\"message\"", "\"\""];
        let name = prop_oneof![
            prop::sample::select(names).prop_map(str::to_owned),
            string()
        ];
        let member = (space(), name, space(), space(), value, space());
        prop::collection::vec(member, 0..5).prop_map(|members| {
            let member = |(a, name, b, c, value, d): &(&str, String, &str, &str, String, &str)| {
                format!("{a}{name}{b}:{c}{value}{d}")
            };
            let members: Vec<_> = members.iter().map(member).collect();
            format!("{{{}}}", members.join(","))
        })
    }

    fn line() -> impl Strategy<Value = String> {
        let value = prop_oneof![3 => string(), 2 => value()];
        (space(), object(value.boxed()), space())
            .prop_map(|(before, object, after)| format!("{before}{object}{after}"))
    }

    /// A change to a line at a place: a byte put over another, put in, or taken out; or the rest of the line
    /// cut off.
    fn mutate(line: &mut Vec<u8>, change: u8, place: prop::sample::Index, byte: u8) {
        let place = place.index(line.len() + 1);
        match change {
            _ if place == line.len() => line.push(byte),
            0 => line[place] = byte,
            1 => line.insert(place, byte),
            2 => drop(line.remove(place)),
            _ => line.truncate(place),
        }
    }

    fn telling_byte() -> impl Strategy<Value = u8> {
        prop_oneof![
            prop::sample::select(
                &b"{}[]:,\"\\ \t0123456789.eE+-tfnu\x00\x1f\x7f\x80\xc3\xa9\xed\xff"[..]
            ),
            any::<u8>()
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn valid_lines_route_as_serde_json_reads_them(line in line()) {
            assert_agreement(line.as_bytes())?;
        }

        #[test]
        fn damaged_lines_route_as_serde_json_reads_them(
            line in line(),
            changes in prop::collection::vec((0_u8..4, any::<prop::sample::Index>(), telling_byte()), 1..4),
        ) {
            let mut line = line.into_bytes();
            for (change, place, byte) in changes {
                mutate(&mut line, change, place, byte);
            }
            assert_agreement(&line)?;
        }

        #[test]
        fn damaged_values_route_as_serde_json_reads_them(bytes in prop::collection::vec(telling_byte(), 0..12)) {
            let around = [(r#"{"type":"#, "}"), (r#"{"type":""#, r#""}"#), (r#"{"a":["#, r#"],"type":"INFO"}"#)];
            for (before, after) in around {
                assert_agreement(&[before.as_bytes(), &bytes, after.as_bytes()].concat())?;
            }
        }

        #[test]
        fn raw_bytes_route_as_serde_json_reads_them(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            assert_agreement(&bytes)?;
        }
    }
}
