//! Text for a terminal: what could command it is shown, as in `\x1b`, and never sent.
//!
//! A log line is written by whoever can make the application log something, and a terminal obeys what it is
//! sent: titles, colours, the clipboard, lines painted over. So nothing from a line reaches one but through
//! here.

/// Appends the text. Control characters (C0, DEL, C1), bidirectional overrides and bytes that are not UTF-8
/// are escaped, everything else stays as it is. A backslash stays too: this is for eyes, not for reading
/// back.
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

/// Controls are Unicode's Cc: C0, DEL and C1. Of the format characters those count that reorder what stands
/// after them, so that a line does not show what it says (<https://trojansource.codes>).
pub fn is_hazard(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(text: &[u8]) -> String {
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
        ] {
            assert_eq!(escaped(text), want);
        }
    }

    #[test]
    fn other_text_is_left_alone() {
        for text in [
            "",
            "plain ~ text",
            r"C:\x1b\n",
            "é ü 漢字 😀",
            "\u{a0}\u{2029}\u{feff}",
            "עברית العربية",
        ] {
            assert_eq!(escaped(text.as_bytes()), text);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_get_a_hazard_through(text in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(!escaped(&text).contains(is_hazard));
        }

        #[test]
        fn no_letters_get_a_hazard_through_and_the_others_stay(text in any::<Vec<char>>(), hazard in 0_u32..0xa0) {
            let hazard = char::from_u32(hazard).unwrap();
            let text: String = text.into_iter().flat_map(|letter| [letter, hazard]).collect();
            let shown = escaped(text.as_bytes());
            prop_assert!(!shown.contains(is_hazard));
            let mut rest = shown.chars();
            for letter in text.chars().filter(|letter| !is_hazard(*letter)) {
                prop_assert!(rest.any(|other| other == letter));
            }
        }
    }
}
