//! The conditions as a table for a person, or as JSON for a program.

use serde_json::{Value, json};

use super::{Condition, Grade};
use crate::escape::{self, escaped};
use crate::table::{self, Column};

/// A row for each condition; below one that does not hold, what mends it.
pub fn table_text(conditions: &[Condition]) -> String {
    let mut rows = Vec::new();
    for one in conditions {
        rows.push(vec![
            word(one.grade).into(),
            one.name.into(),
            one.says.clone(),
        ]);
        let mend = one.mend.as_ref().map(|mend| format!("-> {mend}"));
        rows.extend(mend.map(|mend| vec![String::new(), String::new(), mend]));
    }
    let columns = [Column::Left(4), Column::Left(0), Column::Left(0)];
    let lines = table::lines(&columns, &rows);
    let (mut lines, mut text, mut subject) = (lines.iter(), String::new(), "");
    for one in conditions {
        if one.subject != subject {
            subject = &one.subject;
            text += &format!("{}\n", escaped(subject));
        }
        let own = lines.by_ref().take(1 + usize::from(one.mend.is_some()));
        own.for_each(|line| text += &format!("  {line}\n"));
    }
    text
}

fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::Ok => "ok",
        Grade::Warn => "warn",
        Grade::Fail => "FAIL",
        Grade::Unknown => "?",
    }
}

/// An object: whether none fails, and each condition.
pub fn json_text(conditions: &[Condition]) -> String {
    let object = |one: &Condition| {
        json!({
            "subject": one.subject,
            "condition": one.name,
            "state": match one.grade {
                Grade::Unknown => "unknown".to_string(),
                grade => word(grade).to_lowercase(),
            },
            "says": one.says,
            "mend": one.mend,
        })
    };
    let conditions_json: Vec<Value> = conditions.iter().map(object).collect();
    let holds = conditions.iter().all(|one| one.grade != Grade::Fail);
    let all = json!({ "ok": holds, "conditions": conditions_json });
    escape::json(&format!("{all:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::About;

    #[test]
    fn what_does_not_hold_has_its_mend_below_it() {
        let conditions = [
            About("redis h", "version").ok("Redis 7"),
            About("redis h", "role")
                .fail("a replica")
                .mend("name the master"),
            About("/a\u{1b}.log", "logrotate").unknown("closed"),
        ];
        assert_eq!(
            table_text(&conditions),
            "redis h\n  ok    version    Redis 7\n  FAIL  role       a replica\n                   -> name the master\n\
             /a\\x1b.log\n  ?     logrotate  closed\n"
        );
        let json: Value = serde_json::from_str(&json_text(&conditions)).unwrap();
        assert_eq!(json["ok"], json!(false));
        assert_eq!(json["conditions"][1]["state"], json!("fail"));
        assert_eq!(json["conditions"][2]["state"], json!("unknown"));
    }
}
