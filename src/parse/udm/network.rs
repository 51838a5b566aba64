//! Machines and URLs, as UDM takes them: host names by RFC 1123, addresses, and URLs with a scheme and a host.

use std::net::{IpAddr, SocketAddr};

/// What tells one machine from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Machine {
    Name(String),
    Address(IpAddr),
}

impl Machine {
    /// Reads a host name or an address.
    pub fn parse(text: &str) -> Option<Machine> {
        match text.parse() {
            Ok(address) => Some(Machine::Address(address)),
            Err(_) => is_host_name(text).then(|| Machine::Name(text.to_owned())),
        }
    }

    /// Reads one that may have a port behind it, as in `web:8080`, `10.0.0.1:80` and `[::1]:80`.
    pub fn parse_with_port(text: &str) -> Option<Machine> {
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Some(Machine::Address(socket.ip()));
        }
        if let Some(bare) = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            return bare.parse().ok().map(Machine::Address);
        }
        match text.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() && !host.contains(':') => {
                Machine::parse(host)
            }
            _ => Machine::parse(text),
        }
    }

    /// As it stands in a URL.
    fn in_url(&self) -> String {
        match self {
            Machine::Name(name) => name.clone(),
            Machine::Address(IpAddr::V4(address)) => address.to_string(),
            Machine::Address(IpAddr::V6(address)) => format!("[{address}]"),
        }
    }
}

/// RFC 1123, section 2.1: labels of 1 to 63 letters, digits and inner hyphens, 253 in all. What only digits and dots make up
/// is an address that is none.
fn is_host_name(text: &str) -> bool {
    let fits = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_number = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    text.len() <= 253 && text.split('.').all(fits) && !is_number(text)
}

/// A URL, and the machine that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    pub text: String,
    pub host: Machine,
}

/// Longer ones are of no use in a search.
const LONGEST: usize = 2048;

impl Url {
    /// Reads a whole URL, or a path on this host.
    pub fn parse(text: &str, host: Option<&Machine>, scheme: &str) -> Option<Url> {
        if !text.bytes().all(is_legal) || text.len() > LONGEST {
            return None;
        }
        if text.starts_with('/') {
            let host = host?.clone();
            let text = format!("{scheme}://{}{text}", host.in_url());
            return Some(Url { text, host });
        }
        let (scheme, rest) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let authority = rest.split(['/', '?', '#']).next()?;
        let machine = authority.rsplit('@').next()?;
        let host = Machine::parse_with_port(machine).filter(|_| is_scheme)?;
        let text = text.to_owned();
        Some(Url { text, host })
    }

    pub fn is_encrypted(&self) -> bool {
        self.text.to_ascii_lowercase().starts_with("https://")
    }
}

/// Whether RFC 3986, section 2, lets it stand in a URL.
fn is_legal(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_a_host_name_or_an_address() {
        let label = "x".repeat(63);
        for text in ["web-1", "a.example.com", "WEB", "1a", &label, "3com.com"] {
            assert_eq!(Machine::parse(text), Some(Machine::Name(text.into())));
        }
        for text in ["10.0.0.1", "::1", "2001:db8::7"] {
            let address = text.parse().unwrap();
            assert_eq!(Machine::parse(text), Some(Machine::Address(address)));
        }
        let (long, longer) = (format!("{label}x"), format!("{label}.").repeat(4) + "abc");
        for text in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "a_b",
            "a b",
            "é",
            "10.0.0.256",
            "1.2.3",
            "7",
            "a:80",
            "[::1]",
            "a.",
            "%eth0",
            &long,
            &longer,
        ] {
            assert_eq!(Machine::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_port_behind_a_machine_is_none_of_its_name() {
        for (text, machine) in [
            ("web:8080", Some("web")),
            ("web", Some("web")),
            ("10.0.0.1:80", Some("10.0.0.1")),
            ("[::1]:80", Some("::1")),
            ("[::1]", Some("::1")),
            ("::1", Some("::1")),
            ("web:", None),
            ("web:x", None),
            ("web:99999", None),
            (":80", None),
        ] {
            let want = machine.and_then(Machine::parse);
            assert_eq!(Machine::parse_with_port(text), want, "{text}");
        }
    }

    #[test]
    fn a_url_has_a_scheme_and_a_host() {
        let web = Machine::parse("web").unwrap();
        let six = Machine::parse("::1").unwrap();
        for (text, host, want) in [
            (
                "https://a.b/c?d=e#f",
                None,
                Some(("https://a.b/c?d=e#f", "a.b")),
            ),
            (
                "http://u:p@a.b:80/",
                None,
                Some(("http://u:p@a.b:80/", "a.b")),
            ),
            (
                "https://[::1]:8/x",
                None,
                Some(("https://[::1]:8/x", "::1")),
            ),
            ("ftp://a.b", Some(&web), Some(("ftp://a.b", "a.b"))),
            ("/x?y", Some(&web), Some(("http://web/x?y", "web"))),
            ("/x", Some(&six), Some(("http://[::1]/x", "::1"))),
            ("/x", None, None),
            ("x/y", Some(&web), None),
            ("a.b/c", Some(&web), None),
            ("http:///c", Some(&web), None),
            ("://a.b/", Some(&web), None),
            ("1a://a.b/", Some(&web), None),
            ("http://a_b/", Some(&web), None),
            ("/a b", Some(&web), None),
            ("/é", Some(&web), None),
            ("/a\u{1b}", Some(&web), None),
            ("", Some(&web), None),
        ] {
            let url = Url::parse(text, host, "http");
            let want = want.map(|(text, host)| Url {
                text: text.into(),
                host: Machine::parse(host).unwrap(),
            });
            assert_eq!(url, want, "{text}");
        }
        let long = format!("/{}", "x".repeat(LONGEST));
        assert_eq!(Url::parse(&long, Some(&web), "http"), None);
    }
}
