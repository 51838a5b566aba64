//! What an event has no place for: kept under its own name, as what every reader of a `google.protobuf.Struct` takes.
//!
//! There a number is a double, nesting has an end, and a request that is too large is refused whole.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::route::json;

/// So many bytes of fields; a whole request to the API may have a few times as many.
pub const MOST: usize = 256 * 1024;
/// Readers give up at a hundred levels, of which each of ours takes three.
const DEEPEST: usize = 16;
/// From here on a double has no place for every whole number.
const LARGEST: u64 = 1 << 53;
/// How many fields there was no room for.
const LEFT_OUT: &str = "tailcast_left_out";

/// These fields, as many as there is room for.
pub fn collect(fields: &[(String, &RawValue)]) -> Map<String, Value> {
    let (mut kept, mut bytes, mut left_out) = (Map::new(), 0, 0);
    for (name, value) in fields {
        let size = name.len() + value.get().len();
        if bytes + size > MOST {
            left_out += 1;
        } else {
            bytes += size;
            kept.insert(name.clone(), convert(value));
        }
    }
    if left_out > 0 {
        kept.insert(LEFT_OUT.to_owned(), left_out.into());
    }
    kept
}

fn convert(value: &RawValue) -> Value {
    let as_it_stands = || Value::String(value.get().to_owned());
    if let Some(text) = json::text(value) {
        return Value::String(text.into_owned());
    }
    // What has more digits than a double is kept digit by digit; so is what is no number to `serde_json`, as 1e999.
    let digits = value.get().bytes().filter(u8::is_ascii_digit).count();
    let is_number = value
        .get()
        .starts_with(|first: char| first == '-' || first.is_ascii_digit());
    match serde_json::from_str::<Value>(value.get()) {
        Ok(_) if is_number && digits > 15 => as_it_stands(),
        Ok(tree) if !is_deeper(&tree, DEEPEST) => in_doubles(tree),
        _ => as_it_stands(),
    }
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| is_deeper(item, levels - 1)),
        Value::Object(members) => {
            levels == 0 || members.values().any(|member| is_deeper(member, levels - 1))
        }
        _ => false,
    }
}

/// Whole numbers that no double holds as text.
fn in_doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let whole = number.as_u64().or(number.as_i64().map(i64::unsigned_abs));
            match whole {
                Some(whole) if whole > LARGEST => Value::String(number.to_string()),
                _ => Value::Number(number),
            }
        }
        Value::Array(items) => items.into_iter().map(in_doubles).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            members
                .map(|(name, value)| (name, in_doubles(value)))
                .collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn collected(line: &str) -> Value {
        Value::Object(collect(&json::members(line.as_bytes()).unwrap()))
    }

    #[test]
    fn values_are_kept_as_a_struct_can_hold_them() {
        for (value, want) in [
            (r#""a\u00e9""#, json!("aé")),
            ("1.50", json!(1.5)),
            ("-7", json!(-7)),
            ("true", json!(true)),
            ("null", json!(null)),
            (r#"{"a":[1,{"b":null}]}"#, json!({"a":[1,{"b":null}]})),
            ("9007199254740993", json!("9007199254740993")),
            ("[9007199254740993]", json!(["9007199254740993"])),
            ("[-9007199254740993]", json!(["-9007199254740993"])),
            ("0.12345678901234567", json!("0.12345678901234567")),
            ("1e999", json!("1e999")),
            ("[1e999]", json!("[1e999]")),
            (r#"["\ud83d"]"#, json!(r#"["\ud83d"]"#)),
        ] {
            assert_eq!(
                collected(&format!(r#"{{"k":{value}}}"#))["k"],
                want,
                "{value}"
            );
        }
    }

    #[test]
    fn what_is_nested_too_deep_is_kept_as_text() {
        for (levels, is_text) in [(16, false), (17, true), (100_000, true)] {
            let value = "[".repeat(levels) + &"]".repeat(levels);
            let kept = collected(&format!(r#"{{"k":{value}}}"#));
            assert_eq!(kept["k"] == json!(value), is_text, "{levels}");
        }
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let large = "x".repeat(MOST - 100);
        let kept = collected(&format!(
            r#"{{"a":"{large}","b":"{large}","c":1,"d":"{large}"}}"#
        ));
        assert_eq!(kept["a"].as_str().map(str::len), Some(large.len()));
        assert_eq!((&kept["b"], &kept["c"]), (&Value::Null, &json!(1)));
        assert_eq!(kept[LEFT_OUT], json!(2));
    }
}
