//! The figures for Prometheus: as its own parser reads them, and never half there.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::util::*;

/// Parses the text with PyPI's `prometheus-client`; prints a sample a line.
const PARSE: &str = r#"
import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(open(sys.argv[1]).read()):
    assert family.documentation and family.type in ("counter", "gauge"), family
    assert (family.type == "counter") == all(s.name.endswith("_total") for s in family.samples), family
    for sample in family.samples:
        print(family.type, sample.name, sample.labels.get("file", "-"), int(sample.value))
"#;

#[track_caller]
fn samples(python: &str, path: &std::path::Path) -> Vec<String> {
    let parsed = Command::new(python)
        .args(["-c", PARSE])
        .arg(path)
        .output()
        .expect("run python");
    let errors = String::from_utf8_lossy(&parsed.stderr);
    assert!(parsed.status.success(), "{errors}");
    String::from_utf8_lossy(&parsed.stdout)
        .lines()
        .map(String::from)
        .collect()
}

#[test]
fn prometheus_own_parser_reads_the_metrics_file() {
    let Some(python) = python_with("prometheus_client", "prometheus-client") else {
        return skip("prometheus-client cannot be installed here");
    };
    let scene = Scene::new();
    // What a label must escape stands in a name.
    let name = "a \"b\"\\c.log";
    scene.append(name, text(0..10));
    scene.append("other.log", text(0..5));
    let metrics = scene.home().join("tailcast.prom");
    let run = scene
        .watch("*.log")
        .args(["--once", "--mode", "list", "--metrics-file"])
        .arg(&metrics)
        .run();
    run.assert_silent_success();
    let samples = samples(&python, &metrics);
    let bytes = text(0..10).len() + text(0..5).len();
    for sample in [
        "counter tailcast_lines_total - 15".to_string(),
        format!("counter tailcast_bytes_total - {bytes}"),
        "counter tailcast_batches_total - 2".into(),
        "counter tailcast_reconnects_total - 0".into(),
        "counter tailcast_refused_lines_total - 0".into(),
        "counter tailcast_dropped_lines_total - 0".into(),
        "counter tailcast_unheard_lines_total - 0".into(),
        "counter tailcast_gaps_total - 0".into(),
        "counter tailcast_gap_bytes_total - 0".into(),
        "gauge tailcast_files - 2".into(),
        "gauge tailcast_watching - 0".into(),
        "gauge tailcast_backlog_entries - 15".into(),
        format!("gauge tailcast_lag_bytes {} 0", scene.path(name).display()),
        format!(
            "gauge tailcast_lag_bytes {} 0",
            scene.path("other.log").display()
        ),
    ] {
        assert!(samples.contains(&sample), "{sample}: {samples:#?}");
    }
}

#[test]
fn whoever_reads_the_metrics_file_never_sees_a_part_of_it() {
    let scene = Scene::new();
    for n in 0..200 {
        scene.append(&format!("{n}.log"), text(0..1));
    }
    let metrics = scene.home().join("tailcast.prom");
    let read = || std::fs::read_to_string(&metrics).unwrap_or_default();
    // A start and an end each write it anew.
    for _ in 0..20 {
        let watcher = scene
            .watch("*.log")
            .arg("--metrics-file")
            .arg(&metrics)
            .spawn();
        wait_until("its files are in it", || {
            let text = read();
            assert!(
                text.is_empty() || text.ends_with('\n') && text.contains("tailcast_files "),
                "{text}"
            );
            text.matches("tailcast_lag_bytes{").count() == 200
                && text.contains("tailcast_watching 1")
        });
        watcher.sigterm();
        assert!(read().contains("tailcast_watching 0"), "{}", read());
    }
    let left = std::fs::read_dir(scene.home()).expect("list").flatten();
    assert!(
        left.into_iter()
            .all(|entry| !entry.file_name().to_string_lossy().ends_with(".tmp"))
    );
}

#[test]
fn a_metrics_file_that_cannot_be_written_is_an_error_at_the_start() {
    let scene = Scene::new();
    scene.append("app.log", text(0..1));
    let run = scene
        .watch("app.log")
        .args(["--once", "--metrics-file", "/no/such/folder/tailcast.prom"])
        .run();
    run.assert_fails(
        1,
        &[
            "write metrics /no/such/folder/tailcast.prom",
            "no such file or directory",
        ],
    );
    assert_eq!(scene.checkpoint("app.log"), "", "it has not begun");
}

#[test]
fn the_metrics_file_is_made_anew_and_everybody_may_read_it() {
    let scene = Scene::new();
    scene.append("app.log", text(0..1));
    let (metrics, victim) = (scene.home().join("t.prom"), scene.home().join("victim"));
    std::fs::write(&victim, "precious").expect("write");
    let temporary = scene.home().join("t.prom.tmp");
    for path in [&metrics, &temporary] {
        std::os::unix::fs::symlink(&victim, path).expect("link");
    }
    let private = ["sh", "-c", "umask 077 && exec \"$0\" \"$@\""];
    let run = scene.watch("app.log").args(["--once", "--metrics-file"]);
    run.arg(&metrics)
        .under(&private)
        .run()
        .assert_silent_success();
    assert_eq!(std::fs::read(&victim).expect("read"), b"precious");
    let made = std::fs::symlink_metadata(&metrics).expect("stat");
    assert!(made.is_file());
    assert_eq!(made.permissions().mode() & 0o777, 0o644);
}
