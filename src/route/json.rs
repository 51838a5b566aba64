//! The top-level members of a line that should be a JSON object, as `serde_json` finds them: slices of the line, no tree.
//!
//! What `serde_json` does not take is not JSON: among it a line that is not UTF-8, and half of a surrogate pair in a
//! name. Of a member that is there twice the last one counts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Looks up members by name.
type Lookup<'m, 'l> = &'m dyn Fn(&str) -> Option<&'l RawValue>;

/// What `pick` makes of the members. None also where the line is not a JSON object.
pub fn search<'l, T>(line: &'l [u8], pick: impl Fn(Lookup<'_, 'l>) -> Option<T>) -> Option<T> {
    // Once for the whole line: `from_slice` would look at each name and value by itself.
    let text = std::str::from_utf8(line).ok()?;
    match serde_json::from_str::<BTreeMap<&str, &RawValue>>(text) {
        Ok(members) => pick(&|name| members.get(name).copied()),
        // A name with an escape cannot be borrowed from the line.
        Err(_) if line.contains(&b'\\') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
            pick(&|name| members.get(name).copied())
        }
        Err(_) => None,
    }
}

/// All members, in their order in the line. None: the line is not a JSON object.
pub fn members(line: &[u8]) -> Option<Vec<(String, &RawValue)>> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(line).ok()?;
    let mut members: Vec<_> = members.into_iter().collect();
    members.sort_by_key(|(_, value)| value.get().as_ptr());
    Some(members)
}

/// What a string means; None: the value is something else. Half of a surrogate pair, which means nothing, leaves it as it
/// stands between its quotes.
pub fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let inner = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\')
        && let Ok(text) = serde_json::from_str(value.get())
    {
        return Some(Cow::Owned(text));
    }
    Some(Cow::Borrowed(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member<'l>(line: &'l [u8], name: &str) -> Option<&'l RawValue> {
        search(line, |member| member(name))
    }

    fn names(line: &str) -> Option<Vec<String>> {
        let found = members(line.as_bytes())?;
        Some(found.into_iter().map(|(name, _)| name).collect())
    }

    /// Whether it is taken for JSON, by the way that borrows names and by the way that does not.
    fn is_object(members: &str) -> bool {
        let find = |line: String| member(line.as_bytes(), "last").is_some();
        let is_valid = find(format!(r#"{{{members}"last":0}}"#));
        let escaped = find(format!(r#"{{{members}"la\u0073t":0}}"#));
        assert_eq!(is_valid, escaped, "{members}");
        is_valid
    }

    #[test]
    fn members_come_in_order_as_they_stand() {
        let line = br#" { "z" : "x\"y" , "a\u0062":1.50,"o":{"a":[1, {}]},"e":[ ],"t":true } "#;
        let found = members(line).unwrap();
        let found: Vec<_> = found.iter().map(|(k, v)| (k.as_str(), v.get())).collect();
        let expected = [
            ("z", r#""x\"y""#),
            ("ab", "1.50"),
            ("o", r#"{"a":[1, {}]}"#),
            ("e", "[ ]"),
            ("t", "true"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn only_whole_objects_are_accepted() {
        for line in ["{}", " {\t}\r\n", r#"{"a":1,"a":2}"#, r#"{"":{}}"#] {
            assert!(names(line).is_some(), "{line}");
        }
        let bad = [
            "", " ", "[]", "1", "\"a\"", "null", "{", "}", "{}{}", "{} x", "{,}",
        ];
        let worse = [
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1 "b":2}"#,
            r#"{a:1}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":[}]}"#,
            r#"{"a":[1}"#,
        ];
        for line in bad.iter().chain(&worse) {
            assert_eq!(names(line), None, "{line}");
            assert!(member(line.as_bytes(), "a").is_none(), "{line}");
        }
    }

    #[test]
    fn values_are_checked_against_the_grammar() {
        let good = [
            "0", "-0", "10", "0.5", "1e5", "1E+05", "-1.25e-3", "1e308", "0e999", "1e-999",
            "1e999", "true", "null",
        ];
        let strings = [
            r#""""#,
            r#""\n\/\u00e9""#,
            r#""\ud83d\ude00""#,
            r#""\ud83d""#,
            r#""\ude00\n""#,
            "\"\u{7f}\u{e9}\"",
        ];
        for value in good.iter().chain(&strings) {
            assert!(is_object(&format!(r#""a":{value},"#)), "{value}");
        }
        let numbers = [
            "", "-", "+1", "01", "-01", ".5", "1.", "1e", "1e+", "1.e5", "0x1", "NaN", "--1",
        ];
        let others = [
            "tru",
            "True",
            "nul",
            r#""\x""#,
            r#""\u12g4""#,
            r#""\u123""#,
            "\"\t\"",
            "\"\0\"",
            "'a'",
        ];
        for value in numbers.iter().chain(&others) {
            assert!(!is_object(&format!(r#""a":{value},"#)), "{value}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_left_as_it_stands_in_a_value_and_no_json_in_a_name() {
        let half = member(br#"{"a":"x\ud83d"}"#, "a").unwrap();
        assert_eq!(text(half).unwrap(), r"x\ud83d");
        assert_eq!(names(r#"{"a\ud83d":1}"#), None);
    }

    #[test]
    fn nesting_of_any_depth_is_read_without_recursion() {
        for (open, close) in [("[", "]"), (r#"{"a":["#, "]}")] {
            let (open, close) = (open.repeat(1 << 20), close.repeat(1 << 20));
            assert!(is_object(&format!(r#""a":{open}{close},"#)));
            assert!(!is_object(&format!(r#""a":{open},"#)));
        }
    }
}
