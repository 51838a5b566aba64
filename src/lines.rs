//! Bytes to lines: any split of the input gives the same lines.
//!
//! Pure, and without a copy where a line lies whole in one chunk. It keeps the unterminated rest of a chunk, at most
//! one byte more than the longest line allowed; of a line that is longer it keeps only the count.

/// What a newline ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// The line's bytes, without `\n` or `\r\n`; may be empty.
    Whole(&'a [u8]),
    /// A line over the limit, and its length in bytes; the bytes are gone.
    TooLong(u64),
}

/// Cuts a stream of chunks into lines.
#[derive(Debug)]
pub struct Lines {
    max_line: u64,
    /// The unterminated line so far, or the last line handed out when `handed_out`.
    rest: Vec<u8>,
    handed_out: bool,
    /// Bytes of an over-long line seen so far.
    too_long: u64,
}

/// A buffer that one long line has blown up is given back to the system.
const KEEP_CAPACITY: usize = 64 * 1024;

impl Lines {
    /// `max_line` is in bytes, without the line's end.
    pub fn new(max_line: u64) -> Lines {
        Lines {
            max_line,
            rest: Vec::new(),
            handed_out: false,
            too_long: 0,
        }
    }

    /// Bytes of the unterminated line that the last chunk ended in.
    pub fn unterminated(&self) -> u64 {
        if self.handed_out {
            0
        } else {
            self.too_long + self.rest.len() as u64
        }
    }

    /// Takes the next line off `chunk`. None: the chunk is used up, and its unterminated rest is kept.
    pub fn next<'s, 'c: 's>(&'s mut self, chunk: &mut &'c [u8]) -> Option<Line<'s>> {
        if self.handed_out {
            self.handed_out = false;
            self.rest.clear();
            self.rest.shrink_to(KEEP_CAPACITY);
        }
        let (head, terminated) = take_line(chunk);
        if !terminated {
            self.keep(head);
            return None;
        }
        if self.too_long > 0 {
            return Some(Line::TooLong(
                std::mem::take(&mut self.too_long) + head.len() as u64,
            ));
        }
        let line = if self.rest.is_empty() {
            head
        } else {
            self.rest.extend_from_slice(head);
            self.handed_out = true;
            &self.rest
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let length = line.len() as u64;
        Some(if length > self.max_line {
            Line::TooLong(length)
        } else {
            Line::Whole(line)
        })
    }

    fn keep(&mut self, head: &[u8]) {
        let length = (self.rest.len() + head.len()) as u64;
        // One byte more than allowed may yet turn out to be the `\r` of `\r\n`.
        if self.too_long > 0 || length > self.max_line.saturating_add(1) {
            self.too_long += length;
            self.rest = Vec::new();
        } else {
            self.rest.extend_from_slice(head);
        }
    }
}

/// Takes the bytes up to the next newline off `chunk`, and the newline; false: there was none, and it is all of them.
fn take_line<'a>(chunk: &mut &'a [u8]) -> (&'a [u8], bool) {
    let all = *chunk;
    // `skip_until` is the way to the C library's vectorised memchr that std has; on a slice it cannot fail.
    let taken = std::io::BufRead::skip_until(chunk, b'\n').unwrap_or(0);
    match all[..taken].split_last() {
        Some((b'\n', line)) => (line, true),
        _ => (all, false),
    }
}

#[cfg(test)]
#[allow(clippy::type_complexity)] // tables of cases
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Owned {
        Whole(Vec<u8>),
        TooLong(u64),
    }

    fn split(chunks: &[&[u8]], max_line: u64) -> (Vec<Owned>, u64) {
        let mut lines = Lines::new(max_line);
        let mut found = Vec::new();
        for chunk in chunks {
            let mut rest = *chunk;
            while let Some(line) = lines.next(&mut rest) {
                found.push(match line {
                    Line::Whole(bytes) => Owned::Whole(bytes.to_vec()),
                    Line::TooLong(length) => Owned::TooLong(length),
                });
            }
        }
        (found, lines.unterminated())
    }

    fn whole(lines: &[&str]) -> Vec<Owned> {
        lines
            .iter()
            .map(|line| Owned::Whole(line.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn a_line_ends_at_its_newline_and_nowhere_else() {
        let cases: [(&[&[u8]], &[&str], u64); 8] = [
            (&[b""], &[], 0),
            (&[b"a"], &[], 1),
            (&[b"a\n"], &["a"], 0),
            (&[b"a\nb"], &["a"], 1),
            (&[b"a\n\nb\n"], &["a", "", "b"], 0),
            (&[b"a", b"b", b"\n", b"c\n"], &["ab", "c"], 0),
            (&[b"a\r\nb\r", b"\nc\rd\r\r\n"], &["a", "b", "c\rd\r"], 0),
            (&[b"\n", b"\r\n"], &["", ""], 0),
        ];
        for (chunks, lines, rest) in cases {
            assert_eq!(split(chunks, 100), (whole(lines), rest), "{chunks:?}");
        }
    }

    #[test]
    fn a_line_over_the_limit_is_counted_and_the_next_one_is_intact() {
        let cases: [(&[&[u8]], Vec<Owned>); 5] = [
            (
                &[b"abc\nabcd\nx\n"],
                vec![
                    Owned::Whole(b"abc".into()),
                    Owned::TooLong(4),
                    Owned::Whole(b"x".into()),
                ],
            ),
            (
                &[b"ab", b"cdef", b"gh\nx\n"],
                vec![Owned::TooLong(8), Owned::Whole(b"x".into())],
            ),
            // the `\r` of a line end does not count, wherever the chunks are cut
            (&[b"abc\r\n"], whole(&["abc"])),
            (&[b"abc\r", b"\n"], whole(&["abc"])),
            (&[b"abcd", b"\n"], vec![Owned::TooLong(4)]),
        ];
        for (chunks, lines) in cases {
            assert_eq!(split(chunks, 3), (lines, 0), "{chunks:?}");
        }
    }

    #[test]
    fn memory_does_not_grow_with_a_line_over_the_limit() {
        let mut lines = Lines::new(1000);
        for _ in 0..1000 {
            assert_eq!(lines.next(&mut [b'x'; 1000].as_slice()), None);
        }
        assert_eq!(lines.unterminated(), 1_000_000);
        assert!(lines.rest.capacity() <= 2002, "{}", lines.rest.capacity());
        assert_eq!(
            lines.next(&mut b"\n".as_slice()),
            Some(Line::TooLong(1_000_000))
        );
    }

    proptest! {
        #[test]
        fn any_split_of_the_input_gives_the_same_lines(
            input in prop::collection::vec(prop::sample::select(b"ab\r\n".to_vec()), 0..200),
            cuts in prop::collection::vec(0usize..200, 0..20),
            max_line in 0u64..12,
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
            cuts.extend([0, input.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect();
            let in_pieces = split(&chunks, max_line).0;
            let at_once: Vec<_> = split(&[&input], max_line).0;
            // How long an over-long line was is told with or without its `\r`.
            let kind = |line: &Owned| match line { Owned::TooLong(_) => None, whole => Some(whole.clone()) };
            prop_assert_eq!(in_pieces.iter().map(kind).collect::<Vec<_>>(), at_once.iter().map(kind).collect::<Vec<_>>());
        }

        #[test]
        fn lines_and_rest_are_the_input(input in prop::collection::vec(any::<u8>(), 0..300)) {
            let (lines, rest) = split(&[&input], u64::MAX);
            let model: Vec<_> = input.split(|byte| *byte == b'\n').collect();
            let (last, complete) = model.split_last().unwrap();
            prop_assert_eq!(rest, last.len() as u64);
            let complete = complete.iter().map(|line| Owned::Whole(line.strip_suffix(b"\r").unwrap_or(line).to_vec()));
            prop_assert_eq!(lines, complete.collect::<Vec<_>>());
        }
    }
}
