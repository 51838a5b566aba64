//! The figures as Prometheus reads them, and the file that holds them, which is never half there.
//!
//! The format is <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>; node_exporter's textfile
//! collector reads files that end in `.prom`.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::checkpoint::create_anew;

use super::tally::{FIGURES, Lag, Tally};

/// The whole text.
pub fn text(tally: &Tally, lags: &[Lag], is_watching: bool) -> String {
    let mut text = String::new();
    for figure in FIGURES {
        let (name, value) = (format!("{}_total", figure.name), (figure.of)(tally));
        family(&mut text, &name, "counter", figure.help);
        let _ = writeln!(text, "tailcast_{name} {value}");
    }
    let watching = u64::from(is_watching);
    for (name, help, value) in [
        (
            "watching",
            "1 while the watcher runs, 0 once it has ended.",
            Some(watching),
        ),
        ("files", "Files that are watched.", Some(lags.len() as u64)),
        (
            "backlog_entries",
            "Entries in the list or stream behind the last batch.",
            tally.backlog,
        ),
    ] {
        if let Some(value) = value {
            family(&mut text, name, "gauge", help);
            let _ = writeln!(text, "tailcast_{name} {value}");
        }
    }
    if !lags.is_empty() {
        let help = "Bytes of a log that are not published.";
        family(&mut text, "lag_bytes", "gauge", help);
    }
    for lag in lags {
        let path = label(&lag.path.to_string_lossy());
        let _ = writeln!(text, "tailcast_lag_bytes{{file=\"{path}\"}} {}", lag.bytes);
    }
    text
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(
        text,
        "# HELP tailcast_{name} {help}\n# TYPE tailcast_{name} {kind}"
    );
}

/// A label's value, in which three characters are escaped.
fn label(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// node_exporter runs as a user of its own.
const EVERYBODY_READS: u32 = 0o644;

/// Puts a text in the place of a file, at once: who reads sees the old one or the new one. It is not waited for the disk,
/// as the text is old in a few seconds. What stands at the temporary name, a link perhaps, is not written through.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let write = || {
        let mut file = create_anew(temporary)?;
        file.set_permissions(Permissions::from_mode(EVERYBODY_READS))?;
        file.write_all(text.as_bytes())?;
        fs::rename(temporary, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(temporary);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_and_an_unknown_backlog_is_left_out() {
        let lags = [Lag {
            path: "/a \"b\"\\\n.log".into(),
            bytes: 7,
        }];
        let mut tally = Tally::default();
        let text = super::text(&tally, &lags, true);
        assert!(text.ends_with("tailcast_lag_bytes{file=\"/a \\\"b\\\"\\\\\\n.log\"} 7\n"));
        assert!(!text.contains("backlog"));
        tally.backlog = Some(0);
        assert!(super::text(&tally, &lags, true).contains("\ntailcast_backlog_entries 0\n"));
    }
}
