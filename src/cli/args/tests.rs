//! Options and values in all the ways in which they are written.

use super::*;

fn args(list: &[&str]) -> Args {
    Args::new(list.iter().map(OsString::from).collect())
}

fn flag(name: &str) -> Option<Arg> {
    Some(Arg::Flag(name.to_owned()))
}

fn operand(text: &str) -> Option<Arg> {
    Some(Arg::Operand(text.into()))
}

#[test]
fn flags_and_operands_mix_until_two_dashes() {
    let mut args = args(&["a", "--k", "v", "--l=w=x", "-q", "-", "--", "--k", "--"]);
    assert_eq!(args.next().unwrap(), operand("a"));
    assert_eq!(args.next().unwrap(), flag("--k"));
    assert_eq!(args.value("").unwrap(), "v");
    assert_eq!(args.next().unwrap(), flag("--l"));
    assert_eq!(args.value("").unwrap(), "w=x");
    assert_eq!(args.next().unwrap(), flag("-q"));
    for rest in ["-", "--k", "--"] {
        assert_eq!(args.next().unwrap(), operand(rest));
    }
    assert_eq!(args.next().unwrap(), None);
}

#[test]
fn a_value_that_is_missing_empty_or_unwanted_is_an_error() {
    for (list, want) in [
        (&["--k"][..], "--k: needs a value; give it"),
        (&["--k", "--other"], "--k: needs a value; give it"),
        (&["--k", "--", "x"], "--k: needs a value; give it"),
        (&["--k="], "--k: the value is empty; give it"),
        (&["--k", ""], "--k: the value is empty; give it"),
    ] {
        let mut args = args(list);
        args.next().unwrap();
        assert_eq!(args.value("give it").unwrap_err().to_string(), want);
    }
    let mut unwanted = args(&["--once=yes"]);
    unwanted.next().unwrap();
    assert_eq!(
        unwanted.next().unwrap_err().to_string(),
        r#"--once: takes no value: "yes""#
    );
}

#[test]
fn bytes_that_are_not_utf_8_pass_as_values_but_not_as_text() {
    let latin1 = OsString::from_vec(b"--k=caf\xe9".to_vec());
    let mut args = Args::new(vec![latin1.clone(), latin1]);
    args.next().unwrap();
    assert_eq!(args.value("").unwrap().as_bytes(), b"caf\xe9");
    args.next().unwrap();
    let error = args.text("give a name").unwrap_err().to_string();
    assert_eq!(error, "--k: not UTF-8: \"caf\u{fffd}\"; give a name");
}

#[test]
fn durations_have_a_unit() {
    for (text, millis) in [
        ("0", 0),
        ("0s", 0),
        ("250ms", 250),
        ("3s", 3_000),
        ("0.5s", 500),
        ("1.25m", 75_000),
        ("5m", 300_000),
        ("1h", 3_600_000),
        ("7d", 604_800_000),
    ] {
        assert_eq!(
            parse_duration(text),
            Ok(Duration::from_millis(millis)),
            "{text}"
        );
    }
    assert_eq!(parse_duration("0.1ms"), Ok(Duration::from_micros(100)));
    for text in [
        "", "5", "00", "s", "5x", "-1s", "+1s", "1e3s", "1.s", ".5s", "1.2.3s", "5 s", "5S", "1s5",
        "٣s",
    ] {
        assert_eq!(parse_duration(text), Err("not a duration"), "{text}");
    }
    assert!(parse_duration("876000h").is_ok());
    for text in [
        "876001h",
        "36501d",
        "99999999999999999999999999999999999999999999.5h",
    ] {
        assert_eq!(parse_duration(text), Err("too long"), "{text}");
    }
}

#[test]
fn sizes_are_bytes_or_have_a_binary_unit() {
    for (text, bytes) in [
        ("0", 0),
        ("1024", 1024),
        ("512B", 512),
        ("64KiB", 64 << 10),
        ("10MiB", 10 << 20),
        ("10mib", 10 << 20),
        ("1GiB", 1 << 30),
        ("18446744073709551615", u64::MAX),
    ] {
        assert_eq!(parse_size(text), Ok(bytes), "{text}");
    }
    for text in ["", "KiB", "1K", "1KB", "1.5GiB", "-1", "1 KiB", "0x10"] {
        assert_eq!(parse_size(text), Err("not a size"), "{text}");
    }
    for text in [
        "18446744073709551616",
        "17179869184GiB",
        "99999999999999999999999999999999999999999999MiB",
    ] {
        assert_eq!(parse_size(text), Err("too large"), "{text}");
    }
}

#[test]
fn numbers_are_digits() {
    assert_eq!(parse_number("0"), Ok(0));
    assert_eq!(parse_number("18446744073709551615"), Ok(u64::MAX));
    assert_eq!(parse_number("18446744073709551616"), Err("too large"));
    for text in ["+1", "-1", "1.0", "1k", "ten"] {
        assert_eq!(parse_number(text), Err("not a number"), "{text}");
    }
}

#[test]
fn complaints_name_the_flag_and_what_it_takes() {
    let complaint = |list: &[&str], read: &dyn Fn(&mut Args) -> Result<()>| {
        let mut args = args(list);
        args.next().unwrap();
        read(&mut args).unwrap_err().to_string()
    };
    assert_eq!(
        complaint(&["--poll", "5x"], &|args| args.duration().map(drop)),
        r#"--poll: not a duration: "5x"; give a number and a unit, as in 250ms, 3s, 5m"#
    );
    assert_eq!(
        complaint(&["--poll", "0ms"], &|args| args
            .duration_above_zero()
            .map(drop)),
        r#"--poll: must be more than 0: "0ms"; give a number and a unit, as in 250ms, 3s, 5m"#
    );
    assert_eq!(
        complaint(&["--max-line", "1K"], &|args| args.size().map(drop)),
        r#"--max-line: not a size: "1K"; give bytes, or a number and a unit, as in 512B, 64KiB, 10MiB"#
    );
    assert_eq!(
        complaint(&["--lines", "0"], &|args| args
            .number_above_zero()
            .map(drop)),
        r#"--lines: must be more than 0: "0"; give a whole number from 1 up"#
    );
    assert_eq!(
        complaint(&["--from", "middle"], &|args| args
            .choice("not a place", &[("start", 1), ("end", 2)])
            .map(drop)),
        r#"--from: not a place: "middle"; give one of start, end"#
    );
}

#[test]
fn a_url_is_never_shown_beyond_its_scheme() {
    for url in [
        "redis://user:secret@host/",
        "redis+unix:///run/redis.sock?pass=secret",
        "unix:/x?pass=secret",
    ] {
        assert!(!shown(OsStr::new(url)).contains("secret"), "{url}");
    }
    assert_eq!(
        shown(OsStr::new("redis://:secret@host")),
        r#""redis://...""#
    );
    assert_eq!(shown(OsStr::new("a\u{1b}[31m")), r#""a\u{1b}[31m""#);
}

#[test]
fn a_typing_error_finds_its_word() {
    let known = ["--poll", "--once", "--checkpoint-lines", "--from", "-q"];
    for (given, want) in [
        ("--pol", Some("--poll")),
        ("--polll", Some("--poll")),
        ("-once", Some("--once")),
        ("--check", Some("--checkpoint-lines")),
        ("--checkpoint-line", Some("--checkpoint-lines")),
        ("--chekpoint-lines", Some("--checkpoint-lines")),
        ("--frmo", Some("--from")),
        ("--nothing-like-it", None),
        ("-x", None),
    ] {
        assert_eq!(closest(given, &known), want, "{given}");
    }
}
