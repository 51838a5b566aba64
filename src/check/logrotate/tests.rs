//! Logrotate's configuration as people write it.

use super::*;

fn items(text: &str) -> Vec<Item> {
    let mut all = Vec::new();
    let mut defaults = Rules::default();
    parse(text, Path::new("/f"), &mut defaults, &mut |item, _| {
        all.push(item)
    });
    all
}

fn rules(text: &str) -> Rules {
    match items(text).pop() {
        Some(Item::Section(section)) => section.rules,
        other => panic!("{other:?}"),
    }
}

#[test]
fn sections_begin_with_the_defaults_that_stand_before_them() {
    let text = "# defaults\nweekly\nrotate 4\ncompress\ninclude /etc/logrotate.d\n\n\
        /var/log/a.log \"/var/log/with space.log\"\n/srv/*/b.log {\n  daily\n  rotate=7\n  delaycompress # so\n  \
        postrotate\n    compress_it }\n    nocompress\n  endscript\n}\nnocompress\n/c.log { copytruncate }\n";
    let all = items(text);
    assert_eq!(all[0], Item::Include("/etc/logrotate.d".into()));
    let defaults = Rules {
        compress: true,
        rotate: 4,
        ..Rules::default()
    };
    let first = Section {
        patterns: ["/var/log/a.log", "/var/log/with space.log", "/srv/*/b.log"]
            .map(String::from)
            .to_vec(),
        rules: Rules {
            delays: true,
            rotate: 7,
            ..defaults.clone()
        },
        file: "/f".into(),
        line: 7,
    };
    assert_eq!(all[1], Item::Section(first));
    let Item::Section(second) = &all[2] else {
        panic!("{all:?}");
    };
    assert_eq!(
        (&second.patterns[..], second.line),
        (&["/c.log".to_string()][..], 18)
    );
    let rules = Rules {
        compress: false,
        copytruncate: true,
        ..defaults
    };
    assert_eq!(second.rules, rules);
}

#[test]
fn what_is_not_finished_or_not_known_harms_nothing() {
    assert_eq!(items("/a.log\n/b.log"), []);
    assert_eq!(items("/a.log {\n compress\n"), []);
    assert_eq!(items("}\nfoo { bar\n"), []);
    assert_eq!(items("/a {\npostrotate\n"), []);
    assert_eq!(
        rules("/a {\n olddir \"/x y\"\n rotate -1\n frobnicate 3\n}").olddir,
        Some("/x y".into())
    );
    assert_eq!(
        rules("compress\n/a {\n nocompress\n compressext .zst\n}").ending,
        ".zst"
    );
}

#[test]
fn olddir_is_one_of_the_folders_however_it_is_written() {
    let log = Path::new("/no/such/app.log");
    let is = |olddir: &str, rotated: &str| is_among(Path::new(olddir), &[rotated.into()], log);
    assert!(is("old", "/no/such/old"));
    assert!(is("/no/such/old", "old/"));
    assert!(!is("old", "older"));
    assert!(!is_among(Path::new("old"), &[], log));
}
