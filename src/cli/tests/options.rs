//! Command lines and what is made of them: defaults, every flag, and complaints.

mod complaints;

use std::time::Duration;

use crate::cli::*;

/// Like a login shell's, unless a test says otherwise.
fn home(name: &str) -> Option<OsString> {
    (name == "HOME").then(|| "/home/ann".into())
}

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn watch_of(line: &str) -> Watch {
    match parse(words(&format!("watch {line}")), &home) {
        Ok(Command::Watch(options)) => *options,
        other => panic!("{line}: {other:?}"),
    }
}

fn subscribe_of(line: &str) -> Subscribe {
    match parse(words(&format!("subscribe {line}")), &home) {
        Ok(Command::Subscribe(options)) => options,
        other => panic!("{line}: {other:?}"),
    }
}

fn server(url: &str) -> Server {
    Server {
        url: url.to_owned(),
        ..Server::default()
    }
}

fn complaint(line: &str) -> String {
    match parse(words(line), &home) {
        Err(Error::Usage(text)) => text,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn without_flags_the_defaults_hold() {
    let generate = Generate {
        file: "app.log".into(),
        interval: Duration::from_secs(1),
        count: None,
        seed: None,
        quiet: false,
    };
    assert_eq!(
        parse(words("generate"), &|_| None).unwrap(),
        Command::Generate(generate)
    );
    let watch = Watch {
        files: vec!["app.log".into()],
        server: server("redis://127.0.0.1:6379/"),
        target: "logs:{type}".to_owned(),
        state_dir: "/home/ann/.local/state/tailcast".into(),
        ..Watch::default()
    };
    assert_eq!(watch_of(""), watch);
    let subscribe = Subscribe {
        patterns: vec!["logs:*".into()],
        mode: Mode::Pubsub,
        group: None,
        consumer: None,
        claim_after: Duration::from_secs(60),
        no_group: false,
        from: From::Start,
        output: None,
        exec: None,
        server: server("redis://127.0.0.1:6379/"),
        format: None,
        types: vec![],
        type_field: "type".to_owned(),
        udm_host: None,
        count: None,
    };
    assert_eq!(subscribe_of(""), subscribe);
    let status = Status {
        files: vec!["app.log".into()],
        exclude: vec![],
        rotated: vec![],
        server: server("redis://127.0.0.1:6379/"),
        source: None,
        target: "logs".to_owned(),
        state_dir: "/home/ann/.local/state/tailcast".into(),
        json: false,
        max_lag: None,
        forget: None,
    };
    assert_eq!(
        parse(words("status"), &home).unwrap(),
        Command::Status(status)
    );
}

#[test]
fn the_watchers_numbers_default_to_what_the_design_says() {
    let options = watch_of("");
    assert_eq!(options.poll, Duration::from_millis(20));
    assert_eq!(options.rotate_wait, Duration::from_secs(5));
    assert_eq!(options.forget_after, Duration::from_secs(7 * 86_400));
    assert_eq!(options.checkpoint_lines, 50);
    assert_eq!(options.checkpoint_interval, Duration::from_secs(2));
    assert_eq!(options.batch_lines, 1000);
    assert_eq!(options.max_line, 16 * 1024 * 1024);
    assert_eq!(options.timeout, Duration::from_secs(30));
    assert_eq!(options.delivery, Delivery::ExactlyOnce);
    assert_eq!(options.hold, Hold::Slow);
    assert_eq!(options.hold_for, Duration::from_secs(30));
    assert_eq!(options.from, From::Start);
    let backlog = Bounds {
        max: 1_000_000,
        when_full: WhenFull::Wait,
        retain: Retain::Lines(0),
        is_asked_for: false,
    };
    assert_eq!(options.backlog, backlog);
}

#[test]
fn what_is_retained_is_a_number_of_lines_or_an_age() {
    let retain = |text: &str| {
        let line = format!("--mode stream --retain {text}");
        watch_of(&line).backlog.retain
    };
    assert_eq!(retain("0"), Retain::Lines(0));
    assert_eq!(retain("10000"), Retain::Lines(10_000));
    assert_eq!(retain("36h"), Retain::Age(Duration::from_secs(36 * 3600)));
}

#[test]
fn every_flag_of_watch_is_read() {
    let line = "a.log --once --redis redis://h/ --tls-ca /ca --tls-cert c --tls-key k --mode stream --target t --type-field level --source s \
        --state-dir /d --from end --reset --poll 1s --rotate-wait 0 --forget-after 1.5d --checkpoint-lines 1 \
        --checkpoint-interval 0 --batch-lines 1 --max-line 1 --delivery at-least-once --hold off --hold-for 2s --timeout 0 -v \
        --max-backlog 5 --when-full drop-oldest --retain 1d \
        --stats 10s --stats-format json --metrics-file /m --exclude *.gz --exclude /x/** --rotated old --rotated /y b.log";
    let want = Watch {
        files: vec!["a.log".into(), "b.log".into()],
        exclude: vec!["*.gz".into(), "/x/**".into()],
        rotated: vec!["old".into(), "/y".into()],
        once: true,
        server: Server {
            url: "redis://h/".to_owned(),
            ca: Some("/ca".into()),
            cert: Some("c".into()),
            key: Some("k".into()),
        },
        mode: Mode::Stream,
        target: "t".to_owned(),
        type_field: "level".to_owned(),
        source: Some("s".to_owned()),
        state_dir: "/d".into(),
        from: From::End,
        reset: true,
        poll: Duration::from_secs(1),
        rotate_wait: Duration::ZERO,
        forget_after: Duration::from_secs(36 * 3600),
        checkpoint_lines: 1,
        checkpoint_interval: Duration::ZERO,
        batch_lines: 1,
        max_line: 1,
        delivery: Delivery::AtLeastOnce,
        hold: Hold::Off,
        hold_for: Duration::from_secs(2),
        backlog: Bounds {
            max: 5,
            when_full: WhenFull::DropOldest,
            retain: Retain::Age(Duration::from_secs(86_400)),
            is_asked_for: true,
        },
        timeout: Duration::ZERO,
        report: Report {
            stats: Some(Duration::from_secs(10)),
            is_json: true,
            metrics: Some("/m".into()),
        },
        verbosity: Verbosity::Verbose,
    };
    assert_eq!(watch_of(line), want);
    let joined = line.replace("--mode stream --target t", "--mode=stream --target=t");
    assert_eq!(watch_of(&joined), want);
}

#[test]
fn every_flag_of_the_others_is_read() {
    let generate = Generate {
        file: "-".into(),
        interval: Duration::ZERO,
        count: Some(0),
        seed: Some(7),
        quiet: true,
    };
    let line = "generate --interval 0 --count 0 - --seed 7 --quiet";
    assert_eq!(
        parse(words(line), &home).unwrap(),
        Command::Generate(generate)
    );
    let subscribe = Subscribe {
        patterns: vec!["a*".into(), "b".into()],
        mode: Mode::Pubsub,
        group: None,
        consumer: None,
        claim_after: Duration::from_secs(60),
        no_group: false,
        from: From::Start,
        output: Some("o".into()),
        exec: None,
        server: server("r"),
        format: Some(Format::Pretty),
        types: vec!["ERROR".to_owned(), "WARN".to_owned()],
        type_field: "level,lvl".to_owned(),
        udm_host: None,
        count: Some(3),
    };
    let line = "a* --redis r --format pretty --type ERROR,WARN --type-field level,lvl --count 3 --output o b";
    assert_eq!(subscribe_of(line), subscribe);
    let status = Status {
        files: vec!["a".into()],
        exclude: vec!["b*".into()],
        rotated: vec!["old".into()],
        server: server("r"),
        source: Some("s".to_owned()),
        target: "t".to_owned(),
        state_dir: "/d".into(),
        json: true,
        max_lag: Some(10 << 20),
        forget: Some("h:/a".to_owned()),
    };
    let line = "status a --forget h:/a --redis r --source s --target t --state-dir /d --json --max-lag 10MiB --exclude b* --rotated old";
    assert_eq!(parse(words(line), &home).unwrap(), Command::Status(status));
}

#[test]
fn the_host_of_events_is_read() {
    let options = subscribe_of("--format udm --udm-host web-1");
    assert_eq!(options.format, Some(Format::Udm));
    assert_eq!(options.udm_host.as_deref(), Some("web-1"));
}

#[test]
fn the_last_of_a_repeated_flag_wins() {
    let options = watch_of("--poll 1s --poll=2s -v -q --from end --from start");
    assert_eq!(options.poll, Duration::from_secs(2));
    assert_eq!(options.verbosity, Verbosity::Quiet);
    assert_eq!(options.from, From::Start);
    assert_eq!(watch_of("-q -v").verbosity, Verbosity::Verbose);
    assert_eq!(subscribe_of("--type A --type B").types, ["B"]);
}

#[test]
fn a_file_name_need_not_be_utf_8_nor_free_of_dashes() {
    use std::os::unix::ffi::OsStringExt;
    let name = OsString::from_vec(b"caf\xe9.log".to_vec());
    let args = vec!["watch".into(), name.clone(), "--".into(), "--once".into()];
    let Ok(Command::Watch(options)) = parse(args, &home) else {
        panic!("not watch")
    };
    assert_eq!(
        options.files,
        [PathBuf::from(name), PathBuf::from("--once")]
    );
    assert!(!options.once);
}

#[test]
fn the_target_follows_the_mode() {
    assert_eq!(watch_of("--mode pubsub").target, "logs:{type}");
    assert_eq!(watch_of("--mode stream").target, "logs");
    assert_eq!(watch_of("--mode list").target, "logs");
    assert_eq!(watch_of("--target x --mode list").target, "x");
}

#[test]
fn the_redis_url_is_the_flags_then_the_environments() {
    let set = |value: &'static str| move |name: &str| (name == "REDIS_URL").then(|| value.into());
    let url = |line: &str, value| match parse(words(line), &set(value)) {
        Ok(Command::Subscribe(options)) => options.server.url,
        other => panic!("{other:?}"),
    };
    assert_eq!(url("subscribe", "redis://env/"), "redis://env/");
    assert_eq!(
        url("subscribe --redis redis://flag/", "redis://env/"),
        "redis://flag/"
    );
    assert_eq!(url("subscribe", ""), "redis://127.0.0.1:6379/");
}

#[test]
fn the_state_directory_is_looked_for_in_order() {
    const ALL: [(&str, &str); 3] = [
        ("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"),
        ("XDG_STATE_HOME", "/xdg"),
        ("HOME", "/home/ann"),
    ];
    let dir = |line: &str, vars: &[(&str, &str)]| {
        let env = |name: &str| {
            vars.iter()
                .find(|var| var.0 == name)
                .map(|var| var.1.into())
        };
        match parse(words(line), &env) {
            Ok(Command::Status(options)) => options.state_dir.display().to_string(),
            Err(error) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(dir("status --state-dir /flag", &ALL), "/flag");
    assert_eq!(dir("status", &ALL), "/var/lib/a");
    assert_eq!(dir("status", &ALL[1..]), "/xdg/tailcast");
    assert_eq!(dir("status", &ALL[2..]), "/home/ann/.local/state/tailcast");
    assert_eq!(
        dir("status", &[("XDG_STATE_HOME", "relative"), ALL[2]]),
        "/home/ann/.local/state/tailcast"
    );
    assert_eq!(
        dir(
            "status",
            &[("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", ""), ALL[2]]
        ),
        dir("status", &ALL[2..])
    );
    assert!(dir("status", &[]).starts_with("--state-dir: needed, "));
}

#[test]
fn a_consumer_reads_the_key_that_watch_sends_to() {
    let options = subscribe_of("--mode stream --group g --consumer c --claim-after 5s --exec x");
    assert_eq!(options.patterns, ["logs"]);
    assert_eq!(options.group.as_deref(), Some("g"));
    assert_eq!(options.consumer.as_deref(), Some("c"));
    assert_eq!(options.claim_after, Duration::from_secs(5));
    assert_eq!(options.exec, Some("x".into()));
    assert_eq!(subscribe_of("--mode list --consumer c").patterns, ["logs"]);
    let options = subscribe_of("--mode stream --from end --output o jobs");
    assert_eq!(
        (options.patterns, options.from),
        (vec!["jobs".into()], From::End)
    );
}

#[test]
fn a_watcher_is_told_what_to_say_of_itself() {
    let line = "watch --stats 10s --stats-format json --metrics-file /m.prom";
    let Ok(Command::Watch(options)) = parse(words(line), &home) else {
        panic!("{line}");
    };
    let want = Report {
        stats: Some(Duration::from_secs(10)),
        is_json: true,
        metrics: Some("/m.prom".into()),
    };
    assert_eq!(options.report, want);
    for (line, says) in [
        ("watch --stats 0", "must be more than 0"),
        ("watch --stats-format json", "there is no --stats"),
        (
            "watch --stats 1s --stats-format xml",
            "give one of text, json",
        ),
    ] {
        assert!(complaint(line).contains(says), "{line}");
    }
}

#[test]
fn check_takes_the_flags_of_watch_and_two_of_its_own() {
    let line = "check a.log --mode list --json --from end --logrotate-conf /l";
    let Ok(Command::Check(options)) = parse(words(line), &home) else {
        panic!("{line}");
    };
    assert_eq!(options.watch.files, [PathBuf::from("a.log")]);
    assert_eq!(
        (options.watch.mode, options.watch.from),
        (Mode::List, From::End)
    );
    assert_eq!(options.watch.target, "logs");
    assert_eq!((options.json, options.logrotate), (true, "/l".into()));
    let error = complaint("check --logrotate-con /l");
    assert!(error.contains("check: unknown flag") && error.contains("--logrotate-conf"));
    complaint("watch --json");
}

#[test]
fn top_is_told_what_to_show_and_how_often() {
    let line = "top a* --redis r --type-field level --rotated old --interval 2s --count 3 b";
    let Ok(Command::Top(options)) = parse(words(line), &home) else {
        panic!("{line}");
    };
    let want = Top {
        patterns: vec!["a*".into(), "b".into()],
        server: server("r"),
        type_field: "level".into(),
        rotated: vec!["old".into()],
        interval: Duration::from_secs(2),
        count: Some(3),
    };
    assert_eq!(options, want);
}

#[test]
fn every_flag_that_a_help_text_names_is_one() {
    for command in SUBCOMMANDS {
        let help = (command.help)();
        for word in help.split([' ', ',', ':', '\n']) {
            if word == "--help" || !word.starts_with("--") || word.len() == 2 {
                continue;
            }
            let parsed = parse(words(&format!("{} {word}", command.name)), &home);
            let is_unknown = |error: Error| error.to_string().contains("unknown flag");
            assert!(!parsed.is_err_and(is_unknown), "{} {word}", command.name);
        }
    }
}
