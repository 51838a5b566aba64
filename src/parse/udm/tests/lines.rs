//! Lines as other programs write them, each with its event.

use super::*;

/// The event without what all have: its type and its nouns, its network, and what is additional.
fn told(event: &Value) -> Value {
    let mut told = event.clone();
    let told = told.as_object_mut().unwrap();
    let metadata = told.remove("metadata").unwrap();
    told.remove("security_result");
    told.insert("type".into(), metadata["event_type"].clone());
    Value::Object(told.clone())
}

#[track_caller]
fn assert_become(table: &[(&str, Value)]) {
    for (line, want) in table {
        assert_eq!(told(&event(line.as_bytes(), &BARE)), *want, "{line}");
    }
}

#[test]
fn the_lines_of_other_programs_become_events() {
    let auth =
        json!({"auth": {"type": "AUTHTYPE_UNSPECIFIED", "mechanism": ["MECHANISM_UNSPECIFIED"]}});
    let table = [
        // An access log: who asked whom for what.
        (
            r#"{"remote_addr":"203.0.113.9","method":"get","path":"/a?b","status":404,"user_agent":"curl/8","host":"shop.example.com","bytes":12}"#,
            json!({
                "type": "NETWORK_HTTP",
                "principal": {"ip": ["203.0.113.9"]},
                "target": {"hostname": "shop.example.com", "url": "http://shop.example.com/a?b"},
                "network": {
                    "ip_protocol": "TCP", "application_protocol": "HTTP",
                    "http": {"method": "GET", "response_code": 404, "user_agent": "curl/8"},
                },
                "additional": {"bytes": 12},
            }),
        ),
        // A path of a file is not one of a web server.
        (
            r#"{"message":"opened","path":"/etc/passwd","host":"db1"}"#,
            json!({
                "type": "STATUS_UNCATEGORIZED", "principal": {"hostname": "db1"},
                "additional": {"path": "/etc/passwd"},
            }),
        ),
        // A login from elsewhere, by e-mail address, and a port behind the host.
        (
            r#"{"message":"Login failed: bad password","email":"ann@example.com","ip":"2001:db8::1","hostname":"auth:8443"}"#,
            json!({
                "type": "USER_LOGIN",
                "principal": {"ip": ["2001:db8::1"]},
                "target": {
                    "hostname": "auth",
                    "user": {"userid": "ann@example.com", "email_addresses": ["ann@example.com"]},
                },
                "extensions": auth,
                "additional": {"hostname": "auth:8443"},
            }),
        ),
    ];
    assert_become(&table);
}

#[test]
fn the_hosts_of_other_programs_become_those_of_events() {
    let table = [
        // A host that is an address, and a client that is another machine.
        (
            r#"{"msg":"m","host":"10.0.0.1","client_ip":"10.0.0.2:5000","userid":42}"#,
            json!({
                "type": "STATUS_UNCATEGORIZED",
                "principal": {"ip": ["10.0.0.1"], "user": {"userid": "42"}},
                "about": [{"ip": ["10.0.0.2"]}],
                "additional": {"client_ip": "10.0.0.2:5000"},
            }),
        ),
        // pino, whose time is a number.
        (
            r#"{"level":30,"time":1769847330000,"pid":7,"hostname":"web-1","msg":"m","req":{"id":1}}"#,
            json!({
                "type": "STATUS_UNCATEGORIZED", "principal": {"hostname": "web-1"},
                "additional": {"level": 30, "pid": 7, "req": {"id": 1}},
            }),
        ),
    ];
    assert_become(&table);
}

#[test]
fn lines_that_say_little_are_events_of_no_kind() {
    let observer = json!({"application": "tailcast"});
    let table = [
        // Nobody, and nowhere.
        (
            r#"{"message":"User logged in","user":"-","ip":"unknown","host":"not a host"}"#,
            json!({
                "type": "GENERIC_EVENT", "observer": observer,
                "additional": {"user": "-", "ip": "unknown", "host": "not a host"},
            }),
        ),
        // A user that is a tree, and numbers that a double cannot hold.
        (
            r#"{"user":{"id":9007199254740993},"n":1e999,"id":12345678901234567890}"#,
            json!({
                "type": "GENERIC_EVENT", "observer": observer,
                "additional": {"user": {"id": "9007199254740993"}, "n": "1e999", "id": "12345678901234567890"},
            }),
        ),
        // A time without a zone is no time.
        (
            r#"{"timestamp":"2026-01-31 08:15:30,123","message":""}"#,
            json!({
                "type": "GENERIC_EVENT", "observer": observer,
                "additional": {"timestamp": "2026-01-31 08:15:30,123"},
            }),
        ),
        (
            "plain text",
            json!({"type": "GENERIC_EVENT", "observer": observer}),
        ),
        ("", json!({"type": "GENERIC_EVENT", "observer": observer})),
        ("{}", json!({"type": "GENERIC_EVENT", "observer": observer})),
        (
            r#"["a list"]"#,
            json!({"type": "GENERIC_EVENT", "observer": observer}),
        ),
    ];
    for (line, want) in table {
        assert_eq!(told(&event(line.as_bytes(), &BARE)), want, "{line}");
    }
}
