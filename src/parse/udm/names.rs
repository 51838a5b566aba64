//! What loggers call the things that an event has a place for. The one place to add a name to.
//!
//! Of several names in a line the first one of a table counts whose value will do.

/// Who.
pub const USER: &[&str] = &[
    "user",
    "username",
    "user_name",
    "userid",
    "user_id",
    "email",
];
/// The machine that somebody comes from.
pub const IP: &[&str] = &["ip", "client_ip", "clientip", "remote_addr", "remote_ip"];
/// What was asked for; a path will do where the host is known.
pub const URL: &[&str] = &["url", "uri"];
/// The same, where a method or a status is beside it: some log the paths of files by this name.
pub const PATH: &[&str] = &["path"];
/// The machine that it happened on.
pub const HOST: &[&str] = &["host", "hostname"];
pub const TIME: &[&str] = &["timestamp", "@timestamp", "time", "ts"];
pub const MESSAGE: &[&str] = &["message", "msg"];
pub const METHOD: &[&str] = &["method", "http_method"];
pub const STATUS: &[&str] = &["status", "status_code"];
pub const AGENT: &[&str] = &["user_agent", "http_user_agent"];
pub const SCHEME: &[&str] = &["scheme"];

/// Parts of messages, in lower case, that tell of a login.
const LOGGED_IN: &[&str] = &[
    "logged in",
    "login succeeded",
    "login successful",
    "successful login",
    "signed in",
    "accepted password",
];
const LOGIN_FAILED: &[&str] = &[
    "failed login",
    "login failed",
    "login failure",
    "failed to log in",
    "failed password",
    "authentication failed",
    "authentication failure",
    "invalid credentials",
];

/// How a login went, of which a message tells. None: it tells of none.
pub fn login(message: &str) -> Option<Login> {
    let message = message.to_lowercase();
    let tells = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
    if tells(LOGIN_FAILED) {
        Some(Login::Failed)
    } else {
        tells(LOGGED_IN).then_some(Login::Succeeded)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    Succeeded,
    Failed,
}

/// UDM's severity for a line's type. Its LOW and above are for what may be malicious, which no level of a log tells; a
/// warning is the least of these, as other parsers have it.
pub fn severity(kind: &str) -> &'static str {
    match kind.to_ascii_uppercase().as_str() {
        "TRACE" | "DEBUG" | "INFO" | "INFORMATION" | "NOTICE" => "INFORMATIONAL",
        "WARN" | "WARNING" => "LOW",
        "ERROR" | "ERR" | "SEVERE" | "FATAL" | "CRIT" | "CRITICAL" | "ALERT" | "EMERG"
        | "EMERGENCY" | "PANIC" => "ERROR",
        _ => "UNKNOWN_SEVERITY",
    }
}
