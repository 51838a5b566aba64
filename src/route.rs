//! Line to channel: finds a line's type and fills it into the target.
//!
//! Runs once per line on the publishing path. It never changes a line and never fails: what has no usable type is
//! `UNKNOWN`.

use std::borrow::Cow;

use serde_json::value::RawValue;

pub mod json;
mod level;

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
    /// In the order in which they are looked for.
    type_fields: Vec<String>,
}

impl Route {
    /// `type_fields` are names with commas between them.
    pub fn new(target: &str, type_fields: &str) -> Route {
        let pieces = target
            .split(PLACEHOLDER)
            .map(|piece| piece.as_bytes().to_vec())
            .collect();
        Route {
            pieces,
            type_fields: type_fields.split(',').map(str::to_owned).collect(),
        }
    }

    /// Whether the target names `{type}`. Where it does not, `type_of` need not be asked for its sake.
    pub fn is_typed(&self) -> bool {
        self.pieces.len() > 1
    }

    /// The line's type: that of the first field that has one, else [`UNKNOWN`].
    /// Of a field that stands there twice the last one counts, as in most JSON readers.
    pub fn type_of<'l>(&self, line: &'l [u8]) -> Cow<'l, [u8]> {
        let fields = &self.type_fields;
        let found = json::search(line, |member| {
            let mut fields = fields.iter();
            fields.find_map(|field| type_in(field, member(field)?))
        });
        match found {
            Some(Cow::Borrowed(kind)) => Cow::Borrowed(kind.as_bytes()),
            Some(Cow::Owned(kind)) => Cow::Owned(kind.into_bytes()),
            None => Cow::Borrowed(UNKNOWN),
        }
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

/// The type that a field's value is: a string if it is 1 to 64 of `A-Za-z0-9_.-`, the name of a level if it is a number.
pub fn type_in<'l>(field: &str, value: &'l RawValue) -> Option<Cow<'l, str>> {
    match json::text(value) {
        Some(kind) => Some(kind).filter(|kind| is_type(kind.as_bytes())),
        None => level::name(field, value.get()).map(Cow::Borrowed),
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
    fn the_first_field_that_has_a_type_counts() {
        let route = Route::new("{type}", "type,level,severity,lvl");
        for (line, want) in [
            (r#"{"lvl":"a","severity":"b","level":"c","type":"d"}"#, "d"),
            (r#"{"lvl":"a","severity":"b","level":"c"}"#, "c"),
            (r#"{"lvl":"a","level":"two words"}"#, "a"),
            (r#"{"lvl":"a","type":null,"level":{"type":"x"}}"#, "a"),
            (r#"{"type":7,"level":30}"#, "INFO"),
            (r#"{"level":35,"severity":3}"#, "ERROR"),
            (r#"{"LEVEL":"x"}"#, "UNKNOWN"),
            (r#"{"level":"error"}"#, "error"),
            (r#"{"level":"ERROR"}"#, "ERROR"),
            (r#"{"le\u0076el":40}"#, "WARN"),
            (r#"{"message":"level"}"#, "UNKNOWN"),
        ] {
            let kind = route.type_of(line.as_bytes());
            assert_eq!(String::from_utf8_lossy(&kind), want, "{line}");
        }
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
}
