//! Lines and the events that they must become, and what every event must be, whatever the line.

mod limits;
mod lines;

use std::net::IpAddr;

use serde_json::{Value, json};

use super::*;
use crate::escape::is_hazard;

const CAME: u64 = 1_769_900_000_123;

const BARE: Udm = Udm {
    type_field: "type",
    host: None,
    origin: None,
    came: CAME,
};

fn event(line: &[u8], udm: &Udm) -> Value {
    let mut out = b"before ".to_vec();
    push_event(line, udm, &mut out);
    let text = std::str::from_utf8(&out[7..]).expect("UTF-8");
    assert!(
        !text.contains(is_hazard),
        "one line that no terminal obeys: {text:?}"
    );
    let event = serde_json::from_str(text).expect("JSON");
    check(&event);
    event
}

fn text<'e>(event: &'e Value, pointer: &str) -> Option<&'e str> {
    let value = event.pointer(pointer)?;
    Some(
        value
            .as_str()
            .unwrap_or_else(|| panic!("{pointer}: text: {event}")),
    )
}

/// Whether a noun tells which machine it is.
fn has_machine(event: &Value, noun: &str) -> bool {
    let has = |field: &str| event.pointer(&format!("/{noun}/{field}")).is_some();
    has("hostname") || has("ip")
}

/// What the API checks of an event, as far as ours can be of a kind.
#[track_caller]
fn check(event: &Value) {
    let within = |pointer: &str, most: usize| {
        let length = text(event, pointer).map_or(0, str::len);
        assert!(length <= most, "{pointer}: {length} bytes");
    };
    within("/metadata/product_event_type", 64);
    within("/metadata/product_log_id", 256);
    within("/metadata/product_name", 256);
    within("/metadata/vendor_name", 256);
    within("/metadata/description", 1024);
    assert!(
        event.to_string().len() < 1 << 20,
        "an API takes a few MiB at most"
    );
    let time = text(event, "/metadata/event_timestamp").expect("a timestamp");
    assert_eq!(Time::parse(time).expect("RFC 3339").to_string(), time);
    for name in event.as_object().expect("an object").keys() {
        let known = [
            "metadata",
            "additional",
            "principal",
            "target",
            "about",
            "observer",
            "security_result",
            "network",
            "extensions",
        ];
        assert!(known.contains(&name.as_str()), "{name}");
    }
    check_type(event);
    check_nouns(event);
    let severity = text(event, "/security_result/0/severity").expect("a severity");
    assert!(["UNKNOWN_SEVERITY", "INFORMATIONAL", "LOW", "ERROR"].contains(&severity));
    check_struct(&event["additional"], 0);
}

/// The fields that each type must have, by the usage guide.
#[track_caller]
fn check_type(event: &Value) {
    let user = event.pointer("/target/user");
    match text(event, "/metadata/event_type").expect("a type") {
        "USER_LOGIN" => {
            assert!(
                user.is_some_and(|user| user["userid"].is_string()),
                "{event}"
            );
            assert!(
                has_machine(event, "principal") || has_machine(event, "target"),
                "{event}"
            );
            assert!(text(event, "/extensions/auth/type").is_some());
            assert!(event.pointer("/extensions/auth/mechanism/0").is_some());
        }
        "NETWORK_HTTP" => {
            assert!(has_machine(event, "target"), "{event}");
            assert!(text(event, "/target/url").is_some(), "{event}");
            assert_eq!(text(event, "/network/ip_protocol"), Some("TCP"));
            assert!(text(event, "/network/application_protocol").is_some());
        }
        "STATUS_UNCATEGORIZED" => assert!(has_machine(event, "principal"), "{event}"),
        "GENERIC_EVENT" => {}
        other => panic!("{other}"),
    }
    assert_eq!(event.get("extensions").is_some(), user.is_some());
    let nouns = ["principal", "target", "about", "observer"];
    assert!(
        nouns.iter().any(|noun| event.get(noun).is_some()),
        "a noun: {event}"
    );
}

#[track_caller]
fn check_nouns(event: &Value) {
    for noun in ["principal", "target", "about/0"] {
        if let Some(name) = text(event, &format!("/{noun}/hostname")) {
            assert!(
                is_machine(name) && name.parse::<IpAddr>().is_err(),
                "{name}"
            );
        }
        if let Some(ips) = event.pointer(&format!("/{noun}/ip")) {
            for ip in ips.as_array().expect("repeated") {
                ip.as_str().unwrap().parse::<IpAddr>().expect("an address");
            }
        }
    }
    if let Some(url) = text(event, "/target/url") {
        assert!(
            url.contains("://") && url.bytes().all(|byte| byte.is_ascii_graphic()),
            "{url}"
        );
    }
    if let Some(code) = event.pointer("/network/http/response_code") {
        assert!(code.as_u64().is_some_and(|code| (100..600).contains(&code)));
    }
}

/// A `google.protobuf.Struct`: finite doubles, and not nested without end.
#[track_caller]
fn check_struct(value: &Value, depth: usize) {
    assert!(depth < 20, "nested too deep");
    match value {
        Value::Number(number) => {
            let double = number.as_f64().expect("a double");
            assert!(double.is_finite());
            if let Some(whole) = number.as_u64() {
                assert!(whole <= 1 << 53, "{whole} has more digits than a double");
            }
        }
        Value::Array(items) => items.iter().for_each(|item| check_struct(item, depth + 1)),
        Value::Object(members) => members
            .values()
            .for_each(|item| check_struct(item, depth + 1)),
        _ => {}
    }
}

/// The generator's five messages, with a type each, and what their events have in common.
const MESSAGES: [(&str, &str, &str); 5] = [
    ("User logged in", "INFO", "INFORMATIONAL"),
    ("Failed login attempt", "WARNING", "LOW"),
    ("Database connection error", "ERROR", "ERROR"),
    ("API request received", "DEBUG", "INFORMATIONAL"),
    ("Data processing completed", "INFO", "INFORMATIONAL"),
];

/// What the line's further fields make of an event: of a login's, and of any other.
fn shapes() -> Vec<(Value, Value, Value)> {
    let user = json!({"userid": "ann"});
    let url = "https://shop.example.com/cart?x=1";
    let auth =
        json!({"auth": {"type": "AUTHTYPE_UNSPECIFIED", "mechanism": ["MECHANISM_UNSPECIFIED"]}});
    let network = json!({"ip_protocol": "TCP", "application_protocol": "HTTPS"});
    let server = json!({"hostname": "shop.example.com", "url": url});
    let generic = json!({"type": "GENERIC_EVENT", "observer": {"application": "tailcast"}});
    let generic_user = json!({"type": "GENERIC_EVENT", "principal": {"user": user}});
    let status = json!({"type": "STATUS_UNCATEGORIZED", "principal": {"hostname": "web-1"}});
    let http = json!({"type": "NETWORK_HTTP", "target": server, "network": network});
    vec![
        (json!({}), generic.clone(), generic),
        (json!({"user": "ann"}), generic_user.clone(), generic_user),
        (json!({"host": "web-1"}), status.clone(), status),
        (
            json!({"user": "ann", "host": "web-1"}),
            json!({"type": "USER_LOGIN", "target": {"user": user, "hostname": "web-1"}, "extensions": auth}),
            json!({"type": "STATUS_UNCATEGORIZED", "principal": {"hostname": "web-1", "user": user}}),
        ),
        (json!({"url": url}), http.clone(), http.clone()),
        (json!({"url": url, "host": "web-1"}), http.clone(), http),
        (
            json!({"user": "ann", "url": url, "host": "web-1"}),
            json!({
                "type": "USER_LOGIN", "network": network, "extensions": auth,
                "target": {"user": user, "hostname": "web-1", "url": url},
            }),
            json!({
                "type": "NETWORK_HTTP", "network": network, "principal": {"user": user}, "target": server,
            }),
        ),
    ]
}

#[test]
fn the_generators_messages_become_events_by_the_fields_that_are_there() {
    for (message, kind, severity) in MESSAGES {
        for (fields, of_login, of_others) in shapes() {
            let mut line = json!({"timestamp": "2026-01-31T08:15:30.123456Z", "type": kind, "message": message});
            line.as_object_mut()
                .unwrap()
                .extend(fields.as_object().unwrap().clone());
            let mut result = json!({"severity": severity, "severity_details": kind});
            let is_login = match message {
                "User logged in" => {
                    result["action"] = json!(["ALLOW"]);
                    true
                }
                "Failed login attempt" => {
                    result["action"] = json!(["BLOCK"]);
                    result["category"] = json!(["AUTH_VIOLATION"]);
                    true
                }
                _ => false,
            };
            let mut want = if is_login { of_login } else { of_others };
            let event_type = want.as_object_mut().unwrap().remove("type");
            want["security_result"] = json!([result]);
            want["metadata"] = json!({
                "event_timestamp": "2026-01-31T08:15:30.123456Z",
                "event_type": event_type,
                "product_event_type": kind,
                "description": message,
                "product_name": "tailcast",
                "vendor_name": "tailcast",
            });
            assert_eq!(event(line.to_string().as_bytes(), &BARE), want, "{line}");
        }
    }
}

#[test]
fn text_that_is_not_json_or_not_utf_8_is_the_description() {
    let origin = Origin {
        source: b"web-1:/var/log/app.log",
        generation: 2,
        offset: 750,
    };
    let udm = Udm {
        origin: Some(origin),
        ..BARE
    };
    for (line, description) in [
        (&b"plain \x1b[31mtext"[..], "plain \u{1b}[31mtext"),
        (b"caf\xe9", "caf\u{fffd}"),
        ("\u{9b}31m \u{202e}é".as_bytes(), "\u{9b}31m \u{202e}é"),
        (b"{\"message\":\"\xff\"}", "{\"message\":\"\u{fffd}\"}"),
        (b"Failed password for root", "Failed password for root"),
    ] {
        let event = event(line, &udm);
        let metadata = json!({
            "event_timestamp": "2026-01-31T22:53:20.123Z",
            "event_type": "STATUS_UNCATEGORIZED",
            "product_event_type": "UNKNOWN",
            "product_log_id": "web-1:/var/log/app.log:2:750",
            "description": description,
            "product_name": "tailcast",
            "vendor_name": "tailcast",
        });
        assert_eq!(event["metadata"], metadata);
        assert_eq!(event["principal"], json!({"hostname": "web-1"}));
        let is_failed = description.contains("password");
        let category = event.pointer("/security_result/0/category/0");
        assert_eq!(category == Some(&json!("AUTH_VIOLATION")), is_failed);
    }
}

#[test]
fn the_machine_is_the_lines_else_its_sources_else_the_one_that_is_given() {
    let machine = |line: &str, source: Option<&str>, host| {
        let origin = source.map(|source| Origin {
            source: source.as_bytes(),
            generation: 0,
            offset: 1,
        });
        let event = event(
            line.as_bytes(),
            &Udm {
                host,
                origin,
                ..BARE
            },
        );
        event.pointer("/principal/hostname").cloned()
    };
    let given = Some("given");
    assert_eq!(
        machine(r#"{"host":"line"}"#, Some("src:/a"), given),
        Some(json!("line"))
    );
    assert_eq!(machine("{}", Some("src:/a"), given), Some(json!("src")));
    assert_eq!(machine("{}", Some("a name"), given), Some(json!("given")));
    assert_eq!(
        machine("{}", Some("bad_host:/a"), given),
        Some(json!("given"))
    );
    assert_eq!(machine("{}", None, given), Some(json!("given")));
    assert_eq!(machine("{}", None, None), None);
}

#[test]
fn numbers_are_types_where_the_fields_say_so() {
    let udm = Udm {
        type_field: "type,level",
        ..BARE
    };
    for (line, kind, severity) in [
        (r#"{"level":50}"#, "ERROR", "ERROR"),
        (r#"{"level":4}"#, "WARNING", "LOW"),
        (r#"{"level":"fatal"}"#, "fatal", "ERROR"),
        (
            r#"{"type":"AUDIT","level":30}"#,
            "AUDIT",
            "UNKNOWN_SEVERITY",
        ),
    ] {
        let event = event(line.as_bytes(), &udm);
        assert_eq!(text(&event, "/metadata/product_event_type"), Some(kind));
        assert_eq!(
            text(&event, "/security_result/0/severity_details"),
            Some(kind)
        );
        assert_eq!(
            text(&event, "/security_result/0/severity"),
            Some(severity),
            "{line}"
        );
    }
}
