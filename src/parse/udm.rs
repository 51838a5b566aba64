//! A line as an event of Google SecOps' Unified Data Model, in JSON: never one that its API refuses, as that refuses a
//! whole batch for one.
//!
//! The event's type follows from the fields that are there, as each type has fields that it must have:
//! <https://docs.cloud.google.com/chronicle/docs/unified-data-model/udm-usage>. `names` knows what loggers call them, `network`
//! and `time` which values will do; what has no place, or will not do, is `additional`.

mod additional;
mod fields;
mod names;
mod network;

use std::borrow::Cow;
use std::net::IpAddr;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::time::Time;
use crate::escape;
use crate::position::fnv1a;
use crate::route::{UNKNOWN, json as line_json};
use fields::{Read, find, take, take_type};
use names::Login;
use network::{Machine, Url};

/// What a line does not say of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Udm<'a> {
    /// The top-level fields that may be the type, with commas between them.
    pub type_field: &'a str,
    /// The machine that lines come from, where neither they nor their source tell.
    pub host: Option<&'a str>,
    /// Where the line stands in its log, where that is known.
    pub origin: Option<Origin<'a>>,
    /// When the line came, in milliseconds since 1970; of a stream's entry it is the time in its id.
    pub came: u64,
}

/// Where a line stands in its log: what the entries of a stream say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    pub source: &'a [u8],
    pub generation: u64,
    pub offset: u64,
}

/// Whether it will do for `Udm::host`.
pub fn is_machine(text: &str) -> bool {
    Machine::parse(text).is_some()
}

/// The most bytes of `metadata.product_log_id`, `metadata.description` and a user's name.
const LOG_ID: usize = 256;
const DESCRIPTION: usize = 1024;
const USER: usize = 256;
const AGENT: usize = 1024;

/// Appends the event, without a newline.
pub fn push_event(line: &[u8], udm: &Udm, out: &mut Vec<u8>) {
    let event = Value::Object(Said::read(line, udm).into_event(udm)).to_string();
    out.extend_from_slice(escape::json(&event).as_bytes());
}

/// What a line says that an event has a place for, and what else it says.
struct Said<'l> {
    rest: Vec<(String, &'l RawValue)>,
    time: Option<Time>,
    kind: Cow<'l, str>,
    message: Option<String>,
    user: Option<String>,
    ip: Option<IpAddr>,
    host: Option<Machine>,
    url: Option<Url>,
    login: Option<Login>,
}

impl<'l> Said<'l> {
    fn read(line: &'l [u8], udm: &Udm) -> Said<'l> {
        let members = line_json::members(line);
        // What is no JSON object says what it says as text.
        let text = (members.is_none()).then(|| String::from_utf8_lossy(line).into_owned());
        let rest = &mut members.unwrap_or_default();
        let kind = take_type(rest, udm.type_field);
        let time = take(rest, names::TIME, |text| {
            let time = Time::parse(text).or_else(|| Time::from_number(text));
            time.map(Read::Whole)
        });
        let message = take(rest, names::MESSAGE, |text| {
            Some(match text.len() <= DESCRIPTION {
                true => Read::Whole(text.to_owned()),
                false => Read::InPart(text.to_owned()),
            })
        });
        let message = text.or(message);
        let host = take(rest, names::HOST, read_machine).or_else(|| host_of(udm));
        let scheme = find(rest, names::SCHEME, |text| {
            (text == "https").then_some("https")
        });
        let scheme = scheme.unwrap_or("http");
        let read_url = |text: &str| Url::parse(text, host.as_ref(), scheme).map(Read::Whole);
        let mut url = take(rest, names::URL, read_url);
        let is = |names| find(rest, names, |_| Some(())).is_some();
        if url.is_none() && (is(names::METHOD) || is(names::STATUS)) {
            url = take(rest, names::PATH, read_url);
        }
        Said {
            time,
            kind,
            login: message.as_deref().and_then(names::login),
            message,
            user: take(rest, names::USER, read_user),
            ip: take(rest, names::IP, read_address),
            host,
            url,
            rest: std::mem::take(rest),
        }
    }

    /// The type whose required fields are there.
    fn event_type(&self) -> &'static str {
        let has_machine = self.ip.is_some() || self.host.is_some() || self.url.is_some();
        match self {
            // Without a machine on either side it would be refused.
            Said {
                login: Some(_),
                user: Some(_),
                ..
            } if has_machine => "USER_LOGIN",
            Said { url: Some(_), .. } => "NETWORK_HTTP",
            Said { host: Some(_), .. } => "STATUS_UNCATEGORIZED",
            _ => "GENERIC_EVENT",
        }
    }

    fn into_event(mut self, udm: &Udm) -> Map<String, Value> {
        let event_type = self.event_type();
        let mut event = Map::new();
        let mut put = |name: &str, value: Value| {
            event.insert(name.to_owned(), value);
        };
        put("metadata", self.metadata(event_type, udm));
        put("security_result", json!([self.security_result()]));
        match event_type {
            "USER_LOGIN" => {
                if let Some(ip) = self.ip {
                    put("principal", json!({"ip": [ip.to_string()]}));
                }
                let url = self.url.as_ref();
                let machine = self.host.as_ref().or(url.map(|url| &url.host));
                put("target", noun(machine, url, self.user()));
                // How somebody has logged in, a line does not say.
                let auth =
                    json!({"type": "AUTHTYPE_UNSPECIFIED", "mechanism": ["MECHANISM_UNSPECIFIED"]});
                put("extensions", json!({"auth": auth}));
            }
            "NETWORK_HTTP" => {
                if let Some(client) = self.client() {
                    put("principal", client);
                }
                let url = self.url.as_ref();
                put("target", noun(url.map(|url| &url.host), url, None));
            }
            "STATUS_UNCATEGORIZED" => {
                put("principal", noun(self.host.as_ref(), None, self.user()));
                if let Some(ip) = self.ip {
                    put("about", json!([{"ip": [ip.to_string()]}]));
                }
            }
            _ => match self.client() {
                Some(client) => put("principal", client),
                // An event without any noun is none.
                None => put("observer", json!({"application": "tailcast"})),
            },
        }
        if let Some(url) = &self.url {
            put("network", network(url.is_encrypted(), &mut self.rest));
        }
        let mut additional = additional::collect(&self.rest);
        self.keep_text(&mut additional);
        if !additional.is_empty() {
            put("additional", Value::Object(additional));
        }
        event
    }

    fn metadata(&self, event_type: &str, udm: &Udm) -> Value {
        let time = self.time.unwrap_or(Time::from_millis(udm.came));
        let mut metadata = json!({
            "event_timestamp": time.to_string(),
            "event_type": event_type,
            "product_event_type": self.kind,
            "product_name": "tailcast",
            "vendor_name": "tailcast",
        });
        if let Some(message) = self.message.as_deref().filter(|text| !text.is_empty()) {
            metadata["description"] = cut(message, DESCRIPTION).into();
        }
        if let Some(origin) = &udm.origin {
            metadata["product_log_id"] = log_id(origin).into();
        }
        metadata
    }

    fn security_result(&self) -> Value {
        let mut result = json!({"severity": names::severity(&self.kind)});
        if self.kind.as_bytes() != UNKNOWN {
            result["severity_details"] = json!(self.kind);
        }
        match self.login {
            Some(Login::Failed) => {
                result["category"] = json!(["AUTH_VIOLATION"]);
                result["action"] = json!(["BLOCK"]);
            }
            Some(Login::Succeeded) => result["action"] = json!(["ALLOW"]),
            None => {}
        }
        result
    }

    /// Who asks, as far as that is known.
    fn client(&self) -> Option<Value> {
        let client = noun(self.ip.map(Machine::Address).as_ref(), None, self.user());
        (client != json!({})).then_some(client)
    }

    fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// A text that is too long for a description is kept whole where there is room; fields have kept theirs.
    fn keep_text(&self, additional: &mut Map<String, Value>) {
        let Some(message) = &self.message else { return };
        let is_kept = names::MESSAGE
            .iter()
            .any(|name| additional.contains_key(*name));
        if message.len() > DESCRIPTION && self.rest.is_empty() && !is_kept {
            let whole = cut(message, additional::MOST);
            additional.insert("message".to_owned(), whole.into());
        }
    }
}

/// The source's own machine, else the one that was given.
fn host_of(udm: &Udm) -> Option<Machine> {
    let source = udm
        .origin
        .and_then(|origin| std::str::from_utf8(origin.source).ok());
    let named = source.and_then(|source| source.split_once(":/"));
    let named = named.and_then(|(host, _)| Machine::parse(host));
    named.or_else(|| udm.host.and_then(Machine::parse))
}

/// Source, generation and offset, which are unique.
fn log_id(origin: &Origin) -> String {
    let place = format!(":{}:{}", origin.generation, origin.offset);
    let source = std::str::from_utf8(origin.source).ok();
    let fits = |source: &&str| {
        source.len() + place.len() <= LOG_ID && source.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match source.filter(fits) {
        Some(source) => format!("{source}{place}"),
        None => format!("{:016x}{place}", fnv1a(origin.source)),
    }
}

/// One who takes part in an event: a machine, what is asked of it, and a user.
fn noun(machine: Option<&Machine>, url: Option<&Url>, user: Option<&str>) -> Value {
    let mut noun = json!({});
    match machine {
        Some(Machine::Name(name)) => noun["hostname"] = json!(name),
        Some(Machine::Address(ip)) => noun["ip"] = json!([ip.to_string()]),
        None => {}
    }
    if let Some(url) = url {
        noun["url"] = json!(url.text);
    }
    if let Some(user) = user {
        noun["user"] = json!({"userid": user});
        if is_email(user) {
            noun["user"]["email_addresses"] = json!([user]);
        }
    }
    noun
}

fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(name, domain)| {
        !name.is_empty() && !name.contains(char::is_whitespace) && is_machine(domain)
    })
}

fn network(is_encrypted: bool, rest: &mut Vec<(String, &RawValue)>) -> Value {
    let mut http = json!({});
    let is_method =
        |text: &str| text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let method = take(rest, names::METHOD, |text| {
        (is_method(text) && !text.is_empty()).then(|| Read::Whole(text.to_ascii_uppercase()))
    });
    let status = take(rest, names::STATUS, |text| {
        let code = text.parse::<u32>().ok()?;
        (100..600).contains(&code).then_some(Read::Whole(code))
    });
    let agent = take(rest, names::AGENT, |text| {
        (text.len() <= AGENT).then(|| Read::Whole(text.to_owned()))
    });
    let parts = [
        ("method", method.map(Value::from)),
        ("response_code", status.map(Value::from)),
        ("user_agent", agent.map(Value::from)),
    ];
    for (name, value) in parts
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    {
        http[name] = value;
    }
    let protocol = if is_encrypted { "HTTPS" } else { "HTTP" };
    let mut network = json!({"ip_protocol": "TCP", "application_protocol": protocol});
    if http != json!({}) {
        network["http"] = http;
    }
    network
}

fn read_machine(text: &str) -> Option<Read<Machine>> {
    match Machine::parse(text) {
        Some(machine) => Some(Read::Whole(machine)),
        None => Machine::parse_with_port(text).map(Read::InPart),
    }
}

fn read_address(text: &str) -> Option<Read<IpAddr>> {
    let address = |machine| match machine {
        Machine::Address(ip) => Some(ip),
        Machine::Name(_) => None,
    };
    match read_machine(text)? {
        Read::Whole(machine) => address(machine).map(Read::Whole),
        Read::InPart(machine) => address(machine).map(Read::InPart),
    }
}

/// Web servers write a hyphen for nobody.
fn read_user(text: &str) -> Option<Read<String>> {
    let is_one = (1..=USER).contains(&text.len()) && text != "-";
    is_one.then(|| Read::Whole(text.to_owned()))
}

/// The beginning of a text, of so many bytes at most.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests;
