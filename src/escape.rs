//! Text for a terminal: what could command it, or hide in it, is shown, as in `\x1b`, and never sent.
//!
//! A log line is written by whoever can make the application log something, a file's name by whoever may make one, an
//! error by whatever answers at Redis' address; and a terminal obeys what it is sent: titles, colours, the clipboard,
//! lines painted over. So nothing of these reaches one but through here.

/// Appends the text. Hazards and bytes that are not UTF-8 are escaped, everything else stays as it is. A backslash stays
/// too: this is for eyes, not for reading back.
pub fn push_escaped(text: &[u8], out: &mut Vec<u8>) {
    if text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return out.extend_from_slice(text);
    }
    for chunk in text.utf8_chunks() {
        push_valid(chunk.valid(), out);
        for byte in chunk.invalid() {
            push_byte(*byte, out);
        }
    }
}

/// The text, escaped.
pub fn escaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    push_escaped(text.as_bytes(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// JSON that says the same to a program, and nothing to a terminal. JSON's own escapes end with ASCII's controls.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter < '\u{7f}' || !is_hazard(letter) {
            out.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            out += &format!("\\u{unit:04x}");
        }
    }
    out
}

fn push_valid(text: &str, out: &mut Vec<u8>) {
    let mut plain = 0;
    for (at, letter) in text.char_indices().filter(|(_, letter)| is_hazard(*letter)) {
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        match u8::try_from(letter) {
            Ok(byte) if byte.is_ascii() => push_byte(byte, out),
            _ => out.extend(letter.escape_unicode().map(|letter| letter as u8)),
        }
        plain = at + letter.len_utf8();
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
}

/// `\n`, `\r` and `\t`, else `\x1b`.
fn push_byte(byte: u8, out: &mut Vec<u8>) {
    out.extend(byte.escape_ascii());
}

/// What a terminal obeys, and what nobody sees: Unicode's controls (C0, DEL, C1), its separators of lines, and its
/// `Default_Ignorable_Code_Point`, which reorder, join or hide what stands beside them, so that a text does not show what
/// it says (<https://trojansource.codes>), with the annotations. Selectors of an emoji's form stay: they are of use.
pub fn is_hazard(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &[u8]) -> String {
        let mut out = b"before ".to_vec();
        push_escaped(text, &mut out);
        String::from_utf8(out.split_off(7)).unwrap()
    }

    #[test]
    fn what_commands_a_terminal_is_shown() {
        for (text, want) in [
            (&b"\x1b[31mred\x1b[0m"[..], r"\x1b[31mred\x1b[0m"),
            (b"\x1b]0;title\x07", r"\x1b]0;title\x07"),
            (b"a\tb\r\nc\0", r"a\tb\r\nc\x00"),
            (b"rub\x7fout", r"rub\x7fout"),
            (
                "c1 \u{80}\u{9b}31m\u{9f}".as_bytes(),
                r"c1 \u{80}\u{9b}31m\u{9f}",
            ),
            (b"raw c1 \x9b31m \x80", r"raw c1 \x9b31m \x80"),
            (b"cut short \xe2\x82", r"cut short \xe2\x82"),
            (b"latin caf\xe9", r"latin caf\xe9"),
            (
                b"overlong \xc0\x9b surrogate \xed\xa0\x80",
                r"overlong \xc0\x9b surrogate \xed\xa0\x80",
            ),
            (
                "\u{202e}gol\u{202c} \u{2066}x\u{2069}".as_bytes(),
                r"\u{202e}gol\u{202c} \u{2066}x\u{2069}",
            ),
            (
                "zero\u{200b}width j\u{200d}oin \u{2028}\u{2029} \u{feff}bom \u{61c}\u{200f}"
                    .as_bytes(),
                r"zero\u{200b}width j\u{200d}oin \u{2028}\u{2029} \u{feff}bom \u{61c}\u{200f}",
            ),
            (
                "soft\u{ad} filler\u{3164} tag\u{e0041} note\u{fff9}".as_bytes(),
                r"soft\u{ad} filler\u{3164} tag\u{e0041} note\u{fff9}",
            ),
        ] {
            assert_eq!(shown(text), want);
        }
    }

    #[test]
    fn other_text_is_left_alone() {
        for text in [
            "",
            "plain ~ text",
            r"C:\x1b\n",
            "é ü 漢字 😀 ⚠\u{fe0f}",
            "\u{a0}\u{2003}\u{2010}\u{fffd}",
            "עברית العربية",
        ] {
            assert_eq!(shown(text.as_bytes()), text);
        }
    }

    #[test]
    fn json_says_the_same_with_no_hazard_in_it() {
        let text = "a\u{1b}\u{7f}\u{9b}\u{202e}\u{e0041}é\n";
        let plain = format!("{:#}", serde_json::json!({ "file": text }));
        let json = json(&plain);
        assert!(!json.replace('\n', "").contains(is_hazard), "{json}");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["file"], text);
    }

    proptest! {
        #[test]
        fn no_bytes_get_a_hazard_through(text in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(!shown(&text).contains(is_hazard));
        }

        #[test]
        fn no_letters_get_a_hazard_through_and_the_others_stay(text in any::<Vec<char>>(), hazard in 0_u32..0xa0) {
            let hazard = char::from_u32(hazard).unwrap();
            let text: String = text.into_iter().flat_map(|letter| [letter, hazard]).collect();
            let escaped = escaped(&text);
            prop_assert!(!escaped.contains(is_hazard));
            let mut rest = escaped.chars();
            for letter in text.chars().filter(|letter| !is_hazard(*letter)) {
                prop_assert!(rest.any(|other| other == letter));
            }
        }
    }
}
