//! The text of positions there and back, and which of two is later.

use super::*;
use proptest::prelude::*;

fn position(generation: u64, offset: u64) -> Position {
    Position {
        offset,
        ..Position::start(
            generation,
            FileId {
                dev: 1,
                ino: generation + 10,
            },
        )
    }
}

/// `[(generation, offset), ...]`, newest first.
fn progress(list: &[(u64, u64)]) -> Progress {
    let mut positions: Vec<_> = list
        .iter()
        .map(|(generation, offset)| position(*generation, *offset))
        .collect();
    let older = positions.split_off(1);
    Progress {
        current: positions[0],
        older,
        first: 0,
    }
}

fn text(progress: &Progress, path: &str) -> String {
    let mut out = Vec::new();
    progress.write_text(Path::new(path), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_text_is_the_one_of_the_contract() {
    let mut at = position(1_795_980_904_003, 750);
    at.file = FileId {
        dev: 2049,
        ino: 131,
    };
    at.anchor = Anchor {
        len: 64,
        hash: 0x9f86_d081_884c_7d65,
    };
    let mut progress = Progress::at(at);
    progress.first -= 3;
    assert_eq!(
        text(&progress, "/var/log/app.log"),
        "750 1795980904000+3 2049:131 64:9f86d081884c7d65 /var/log/app.log\n"
    );
}

#[test]
fn fnv1a_agrees_with_its_published_vectors() {
    for (input, hash) in [
        ("", 0xcbf2_9ce4_8422_2325),
        ("a", 0xaf63_dc4c_8601_ec8c),
        ("foobar", 0x8594_4171_f739_67e8),
    ] {
        assert_eq!(fnv1a(input.as_bytes()), hash, "{input}");
    }
}

#[test]
fn a_text_of_the_version_before_counts_from_0() {
    let old = "750 3 2049:131 64:9f86d081884c7d65 /a\n70 2 2049:130 64:9f86d081884c7d65 /a\n";
    let (progress, _) = Progress::parse(old.as_bytes()).unwrap();
    assert_eq!((progress.current.generation, progress.first), (3, 0));
    assert_eq!(progress.rotations(), 3);
    assert!(text(&progress, "/a").starts_with("750 0+3 2049:131 "));
}

#[test]
fn a_lone_number_is_an_offset() {
    for text in ["750", "750\n", " 750 \n"] {
        let (progress, path) = Progress::parse(text.as_bytes()).unwrap();
        assert_eq!(
            (progress.current.offset, progress.current.generation, path),
            (750, 0, None),
            "{text:?}"
        );
    }
}

#[test]
fn a_malformed_text_is_refused_with_a_reason() {
    let good = "750 0 2049:131 64:9f86d081884c7d65 /var/log/app.log";
    let cases = [
        ("", "empty"),
        ("\n", "empty"),
        ("abc", "not an offset: \"abc\""),
        ("-1", "not an offset"),
        ("99999999999999999999", "not an offset"),
        ("750 0", "missing"),
        ("750 0 2049:131 64:9f86d081884c7d65", "path is missing"),
        ("750 0 2049 64:9f86d081884c7d65 /a", "not dev:inode"),
        (
            "750 0 2049:131 65:9f86d081884c7d65 /a",
            "cannot stand before",
        ),
        ("7 0 2049:131 8:9f86d081884c7d65 /a", "cannot stand before"),
        ("750 0 2049:131 64:9f86 /a", "hexadecimal"),
        ("750 0 2049:131 64:9f86d081884c7d65 a", "absolute"),
        (
            "750 18446744073709551615+1 1:2 0:cbf29ce484222325 /a",
            "not a generation",
        ),
        ("750 1+ 1:2 0:cbf29ce484222325 /a", "not a generation"),
        (&format!("{good}\n{good}"), "falling order"),
        (&format!("{good}\n\n{good}"), "not an offset"),
    ];
    for (text, reason) in cases {
        let error = Progress::parse(text.as_bytes()).unwrap_err();
        assert!(error.contains(reason), "{text:?}: {error}");
    }
}

#[test]
fn the_later_of_two_is_found_generation_by_generation() {
    let cases: [(&[(u64, u64)], &[(u64, u64)], &[(u64, u64)]); 8] = [
        (&[(0, 5)], &[(0, 9)], &[(0, 9)]),
        (&[(1, 0)], &[(0, 9)], &[(1, 0)]),
        // both are still draining generation 2: the further place in each
        (&[(3, 10), (2, 50)], &[(3, 8), (2, 60)], &[(3, 10), (2, 60)]),
        // one has finished generation 2
        (&[(3, 10), (2, 50)], &[(3, 20)], &[(3, 20)]),
        // one was still reading generation 2 when it was last heard of
        (&[(3, 10), (2, 50)], &[(2, 70)], &[(3, 10), (2, 70)]),
        (&[(3, 10), (2, 50)], &[(2, 40)], &[(3, 10), (2, 50)]),
        // the older side knew of generation 1, the newer one has finished it
        (&[(3, 10)], &[(2, 40), (1, 7)], &[(3, 10)]),
        // generation 1 was finished on the way to 2
        (&[(3, 10), (2, 5), (1, 7)], &[(2, 4)], &[(3, 10), (2, 5)]),
    ];
    for (a, b, later) in cases {
        assert_eq!(
            progress(a).later(&progress(b)),
            progress(later),
            "{a:?} {b:?}"
        );
        assert_eq!(
            progress(b).later(&progress(a)),
            progress(later),
            "{b:?} {a:?}"
        );
    }
}

fn any_progress() -> impl Strategy<Value = Progress> {
    prop::collection::btree_map(
        0u64..6,
        (64u64..9999, any::<u64>(), 0u8..=64, any::<u64>()),
        1..4,
    )
    .prop_map(|map| {
        let mut positions: Vec<_> = map
            .into_iter()
            .rev()
            .map(|(generation, (offset, ino, len, hash))| Position {
                generation,
                offset,
                file: FileId { dev: 7, ino },
                anchor: Anchor { len, hash },
            })
            .collect();
        let older = positions.split_off(1);
        Progress {
            current: positions[0],
            older,
            first: 0,
        }
    })
}

proptest! {
    #[test]
    fn text_goes_both_ways(progress in any_progress(), name in prop::collection::vec(1u8.., 0..20)) {
        let path = PathBuf::from(OsString::from_vec([b"/", &name[..]].concat()));
        let mut text = Vec::new();
        progress.write_text(&path, &mut text);
        prop_assert_eq!(Progress::parse(&text), Ok((progress, Some(path))));
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Progress::parse(&text);
    }

    #[test]
    fn the_later_of_two_is_commutative_and_idempotent(a in any_progress(), b in any_progress()) {
        let offsets = |p: Progress| p.positions().map(|p| (p.generation, p.offset)).collect::<Vec<_>>();
        prop_assert_eq!(offsets(a.later(&b)), offsets(b.later(&a)));
        prop_assert_eq!(a.later(&a), a);
    }
}
