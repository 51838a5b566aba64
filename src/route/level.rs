//! The names of the numbers that some loggers write for a level.
//!
//! What a number means is told by its value, as no two of these agree on a name for the field. A field called `type` holds
//! kinds of things, though, and a number there is no level.

/// pino and bunyan count up in tens: <https://getpino.io/#/docs/api?id=loggerlevels-object>,
/// <https://github.com/trentm/node-bunyan#levels>.
const TENS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

/// syslog counts down to the worst: <https://www.rfc-editor.org/rfc/rfc5424#section-6.2.1>.
const SEVERITIES: [&str; 8] = [
    "EMERG", "ALERT", "CRIT", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG",
];

/// The level that a number in a field stands for. `json` is any value.
pub fn name(field: &str, json: &str) -> Option<&'static str> {
    if field == "type" {
        return None;
    }
    match json.as_bytes() {
        [digit @ b'0'..=b'7'] => Some(SEVERITIES[usize::from(digit - b'0')]),
        [digit @ b'1'..=b'6', b'0'] => Some(TENS[usize::from(digit - b'1')]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tens_are_of_pino_and_single_digits_of_syslog() {
        let table = [
            ("10", "TRACE"),
            ("20", "DEBUG"),
            ("30", "INFO"),
            ("40", "WARN"),
            ("50", "ERROR"),
            ("60", "FATAL"),
            ("0", "EMERG"),
            ("1", "ALERT"),
            ("2", "CRIT"),
            ("3", "ERROR"),
            ("4", "WARNING"),
            ("5", "NOTICE"),
            ("6", "INFO"),
            ("7", "DEBUG"),
        ];
        for (number, level) in table {
            assert_eq!(name("level", number), Some(level), "{number}");
            assert_eq!(name("type", number), None, "{number}");
        }
    }

    #[test]
    fn other_numbers_and_other_values_are_no_levels() {
        for value in [
            "8", "9", "11", "35", "70", "00", "-1", "-0", "6.0", "1e1", "100", "300", "true",
            "null", "[3]", "{}", "\"3\"", "\"30\"", "",
        ] {
            assert_eq!(name("level", value), None, "{value}");
        }
    }
}
