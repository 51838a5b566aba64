//! No event is refused, whatever the line was.

use proptest::prelude::*;

use super::*;

#[test]
fn limits_hold_for_whatever_is_long() {
    let (types, long) = ("x".repeat(65), "é".repeat(5000));
    let line = json!({"type": types, "message": long, "user": long, "host": long, "url": long});
    let long_one = event(line.to_string().as_bytes(), &BARE);
    assert_eq!(
        text(&long_one, "/metadata/product_event_type"),
        Some("UNKNOWN")
    );
    assert_eq!(
        text(&long_one, "/metadata/description").map(str::len),
        Some(1024)
    );
    assert_eq!(
        long_one["additional"], line,
        "what does not fit is kept whole"
    );
    let plain = event(long.as_bytes(), &BARE);
    assert_eq!(text(&plain, "/additional/message"), Some(&*long));
    let huge = "z".repeat(3 << 20);
    let huge_one = event(json!({"blob": huge, "a": 1}).to_string().as_bytes(), &BARE);
    assert_eq!(
        huge_one["additional"],
        json!({"a": 1, "tailcast_left_out": 1})
    );
    let plain = event(huge.as_bytes(), &BARE);
    assert_eq!(
        text(&plain, "/additional/message").map(str::len),
        Some(256 * 1024)
    );
}

#[test]
fn an_id_that_would_be_too_long_is_a_hash() {
    let id = |source: &[u8]| {
        let origin = Some(Origin {
            source,
            generation: 7,
            offset: u64::MAX,
        });
        let event = event(b"x", &Udm { origin, ..BARE });
        text(&event, "/metadata/product_log_id").unwrap().to_owned()
    };
    assert_eq!(id(b"h:/a"), "h:/a:7:18446744073709551615");
    let place = ":7:18446744073709551615";
    let longest = "a".repeat(256 - place.len());
    assert_eq!(id(longest.as_bytes()), format!("{longest}{place}"));
    let mut hashes = Vec::new();
    for source in [
        format!("{longest}b"),
        format!("{longest}c"),
        "h:/a\nb".into(),
        "h:/é".into(),
    ] {
        let hash = id(source.as_bytes());
        assert_eq!(
            (hash.len(), hash.ends_with(place)),
            (16 + place.len(), true),
            "{hash}"
        );
        assert!(!hashes.contains(&hash));
        hashes.push(hash);
    }
    assert!(id(b"\xff").ends_with(place));
}

/// The page for users: behind each line in a block of its own stands its event.
#[test]
fn the_examples_of_the_page_are_what_comes_out() {
    let page = include_str!("../../../../docs/udm.md");
    let mut blocks = page.split("```").skip(1).step_by(2);
    let mut examples = 0;
    while let Some(block) = blocks.next() {
        let Some(line) = block.strip_prefix("line\n") else {
            continue;
        };
        let want = blocks.next().and_then(|block| block.strip_prefix("json\n"));
        let want: Value = serde_json::from_str(want.expect("an event behind it")).expect("JSON");
        let udm = Udm {
            host: Some("web-1.example.com"),
            ..BARE
        };
        assert_eq!(event(line.trim_end().as_bytes(), &udm), want, "{line}");
        examples += 1;
    }
    assert!(examples >= 3, "{examples}");
}

fn odd_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        prop::sample::select(vec![
            "web-1",
            "10.0.0.1",
            "ann",
            "User logged in",
            "Failed login",
            "/a/b",
            "https://h/",
            "GET",
            "200",
            "2026-01-31T08:15:30Z",
            "INFO",
            "",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(30, 60, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn field_name() -> impl Strategy<Value = String> {
    let known = [
        names::USER,
        names::IP,
        names::URL,
        names::PATH,
        names::HOST,
        names::TIME,
        names::MESSAGE,
        names::METHOD,
        names::STATUS,
        names::AGENT,
        names::SCHEME,
        &["type"],
    ]
    .concat();
    prop_oneof![
        9 => prop::sample::select(known).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

proptest! {
    #[test]
    fn no_line_makes_an_event_that_is_refused(
        members in prop::collection::hash_map(field_name(), odd_value(), 0..8),
        source in prop::option::of(prop::collection::vec(any::<u8>(), 0..400)),
    ) {
        let line = Value::Object(members.into_iter().collect()).to_string();
        let origin = source.as_ref().map(|source| Origin { source, generation: 1, offset: 2 });
        event(line.as_bytes(), &Udm { origin, ..BARE });
    }

    #[test]
    fn no_bytes_make_an_event_that_is_refused(line in prop::collection::vec(any::<u8>(), 0..200)) {
        event(&line, &BARE);
    }
}
