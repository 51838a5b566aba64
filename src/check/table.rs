//! The conditions as a table for a person, or as JSON for a program.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Condition, State};
use crate::talk;

/// A row for each condition; below one that does not hold, what mends it.
pub fn table(conditions: &[Condition]) -> String {
    let width = |column: fn(&Condition) -> &str| {
        let widths = conditions.iter().map(|one| column(one).chars().count());
        widths.max().unwrap_or(0)
    };
    let name_width = width(|one| one.name);
    let mut text = String::new();
    let mut subject = "";
    for one in conditions {
        if one.subject != subject {
            subject = &one.subject;
            let _ = writeln!(text, "{}", talk::printable(subject));
        }
        let says = talk::printable(&one.says);
        let _ = writeln!(
            text,
            "  {:<4}  {:<name_width$}  {says}",
            word(one.state),
            one.name
        );
        if let Some(mend) = &one.mend {
            let mend = talk::printable(mend);
            let _ = writeln!(text, "  {:<4}  {:<name_width$}  -> {mend}", "", "");
        }
    }
    text
}

fn word(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Warn => "warn",
        State::Fail => "FAIL",
        State::Unknown => "?",
    }
}

/// An object: whether none fails, and each condition.
pub fn json_text(conditions: &[Condition]) -> String {
    let object = |one: &Condition| {
        json!({
            "subject": one.subject,
            "condition": one.name,
            "state": match one.state {
                State::Unknown => "unknown".to_string(),
                state => word(state).to_lowercase(),
            },
            "says": one.says,
            "mend": one.mend,
        })
    };
    let conditions_json: Vec<Value> = conditions.iter().map(object).collect();
    let holds = conditions.iter().all(|one| one.state != State::Fail);
    format!(
        "{:#}\n",
        json!({ "ok": holds, "conditions": conditions_json })
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_hold_has_its_mend_below_it() {
        let conditions = [
            Condition::ok("redis h", "version", "Redis 7"),
            Condition::fail("redis h", "role", "a replica").mend("name the master"),
            Condition::unknown("/a\u{1b}.log", "logrotate", "closed"),
        ];
        assert_eq!(
            table(&conditions),
            "redis h\n  ok    version    Redis 7\n  FAIL  role       a replica\n                   -> name the master\n\
             /a\\u{1b}.log\n  ?     logrotate  closed\n"
        );
        let json: Value = serde_json::from_str(&json_text(&conditions)).unwrap();
        assert_eq!(json["ok"], json!(false));
        assert_eq!(json["conditions"][1]["state"], json!("fail"));
        assert_eq!(json["conditions"][2]["state"], json!("unknown"));
    }
}
