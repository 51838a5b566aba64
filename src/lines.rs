//! Bytes to lines, and what of a line is its own: without line end, byte order mark and the NULs of a hole.
//!
//! Pure, and without a copy. What is not terminated yet stays where it is; nothing is kept here.

/// A run of so many NULs is no part of a line but a hole, as a power cut, or a truncation under a writer that does not
/// append, leaves one.
const HOLE: usize = 16;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Takes the bytes up to the next newline off `chunk`, and the newline. None: there is none.
pub fn take_line<'a>(chunk: &mut &'a [u8]) -> Option<&'a [u8]> {
    let all = *chunk;
    // `skip_until` is the way to the C library's vectorised memchr that std has; on a slice it cannot fail.
    let taken = std::io::BufRead::skip_until(chunk, b'\n').unwrap_or(0);
    match all[..taken].split_last() {
        Some((b'\n', line)) => Some(line),
        _ => {
            *chunk = all;
            None
        }
    }
}

/// The lines in what stands before a newline: one, or several where a hole has swallowed newlines; without `\r` at the
/// end and NULs at the beginning, and not the empty ones.
pub fn pieces(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    let piece = move || {
        let bytes = rest.take()?;
        let Some((piece, behind)) = split_at_hole(bytes) else {
            return Some(bytes);
        };
        rest = Some(behind);
        Some(piece)
    };
    std::iter::from_fn(piece)
        .map(payload)
        .filter(|piece| !piece.is_empty())
}

/// A line without its `\r` and the NULs before it.
fn payload(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    &line[leading_nuls(line)..]
}

/// The first line of a file without its byte order mark.
pub fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
}

pub fn leading_nuls(bytes: &[u8]) -> usize {
    let first = bytes.iter().position(|byte| *byte != 0);
    first.unwrap_or(bytes.len())
}

/// What stands before and behind the first hole.
fn split_at_hole(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    loop {
        from += bytes[from..].iter().position(|byte| *byte == 0)?;
        let length = leading_nuls(&bytes[from..]);
        if length >= HOLE {
            return Some((&bytes[..from], &bytes[from + length..]));
        }
        from += length;
    }
}

/// Whether a file's beginning is UTF-16 with a byte order mark.
pub fn is_utf16(head: &[u8]) -> bool {
    head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff")
}

/// Whether a file's beginning is text: less than half of it is neither ASCII nor UTF-8. Logs do hold control characters, as
/// between the fields of FIX; archives, images and random bytes hold little else. NULs tell nothing: of UTF-16 they are
/// every other byte, and a hole has no other.
pub fn is_text(head: &[u8]) -> bool {
    let is_strange = |byte: &u8| *byte < 0x20 && !b"\0\t\n\r\x0b\x0c\x1b\x08".contains(byte);
    let strange = head.utf8_chunks().map(|chunk| {
        let controls = chunk
            .valid()
            .as_bytes()
            .iter()
            .filter(|byte| is_strange(byte));
        controls.count() + chunk.invalid().len()
    });
    let nuls = head.iter().filter(|byte| **byte == 0).count();
    is_utf16(head) || strange.sum::<usize>() * 2 <= head.len() - nuls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_at_its_newline_and_nowhere_else() {
        type Case = (&'static [u8], &'static [&'static [u8]], &'static [u8]);
        let table: [Case; 6] = [
            (b"", &[], b""),
            (b"a", &[], b"a"),
            (b"a\n", &[b"a"], b""),
            (b"a\nb", &[b"a"], b"b"),
            (b"a\n\nb\n", &[b"a", b"", b"b"], b""),
            (b"\n\r\n", &[b"", b"\r"], b""),
        ];
        for (input, lines, left) in table {
            let mut rest = input;
            let found: Vec<_> = std::iter::from_fn(|| take_line(&mut rest)).collect();
            assert_eq!((found.as_slice(), rest), (lines, left), "{input:?}");
        }
    }

    #[test]
    fn line_ends_and_holes_are_no_part_of_a_line() {
        let hole = [0; HOLE];
        let cat = |parts: &[&[u8]]| parts.concat();
        let table: [(Vec<u8>, &[&[u8]]); 9] = [
            (cat(&[b"a"]), &[b"a"]),
            (cat(&[b"a\r"]), &[b"a"]),
            (cat(&[b"a\rb\r\r"]), &[b"a\rb\r"]),
            (cat(&[b""]), &[]),
            (cat(&[b"\0\0a"]), &[b"a"]),
            (cat(&[b"a\0b"]), &[b"a\0b"]),
            (cat(&[&hole, b"a\r"]), &[b"a"]),
            (cat(&[b"torn", &hole, &hole, b"a"]), &[b"torn", b"a"]),
            (cat(&[&hole]), &[]),
        ];
        for (line, wanted) in table {
            assert_eq!(pieces(&line).collect::<Vec<_>>(), wanted, "{line:?}");
        }
        assert_eq!(without_mark(b"\xef\xbb\xbf{}"), b"{}");
    }

    #[test]
    fn text_is_told_from_other_things() {
        let random: Vec<u8> = (0..4096_u32)
            .map(|n| (crate::position::fnv1a(&n.to_le_bytes()) >> 32) as u8)
            .collect();
        let unmarked: Vec<u8> = "no mark\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let table: [(&[u8], bool); 10] = [
            (b"", true),
            (
                b"8=FIX.4.4\x019=65\x0135=A\x0149=b\x0156=B\x0110=062\x01\n",
                true,
            ),
            (&unmarked, true),
            (&random, false),
            (b"{\"type\":\"INFO\"}\n", true),
            ("größer\n".as_bytes(), true),
            (b"\x1b[31mred\x1b[0m\n", true),
            (b"\0\0\0\0\0\0{\"type\":\"INFO\"}\n", true),
            (
                b"7z\xbc\xaf\x27\x1c\0\x04\x8d\x9b\x11\x03\x0e\x05\0\0\0\0\0\0b\0",
                false,
            ),
            (b"\x85\x01\x0c\x03\x1f\x02\x01\x04\x1d\x05", false),
        ];
        for (head, is) in table {
            assert_eq!(is_text(head), is, "{head:?}");
        }
    }
}
