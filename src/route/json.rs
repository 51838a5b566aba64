//! One pass over a line that should be a JSON object: its top-level members, in order, as slices of the line.
//!
//! Builds no tree, copies nothing, does not recurse. It is strict: what is not JSON by the grammar (RFC 8259), or not
//! UTF-8, is refused, and the property tests in `route` hold it to what `serde_json` skips as a raw value.
//!
//! Why not `serde_json` alone: a map of raw values per line makes the whole watcher need 1.35 times the processor time,
//! and loses the order of the members, which `parse` shows; a visitor of our own would take `serde` as a fourth library.

use std::borrow::Cow;

/// How many objects and arrays may be open at once. `serde_json` refuses the 128th, and so do we.
const MAX_DEPTH: u32 = 127;

/// A string as it stands in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'l> {
    quoted: &'l [u8],
    escaped: bool,
}

impl<'l> Text<'l> {
    /// The bytes of the line, with quotes and escapes.
    pub fn quoted(self) -> &'l [u8] {
        self.quoted
    }

    /// Whether it has a backslash escape, so that what it means is not what stands between its quotes.
    pub fn is_escaped(self) -> bool {
        self.escaped
    }

    /// What the string means. Borrowed unless there are escapes to undo, or one that means nothing: half of a surrogate
    /// pair, which the grammar allows.
    pub fn decoded(self) -> Cow<'l, [u8]> {
        if self.escaped
            && let Ok(decoded) = serde_json::from_slice::<String>(self.quoted)
        {
            return Cow::Owned(decoded.into_bytes());
        }
        Cow::Borrowed(&self.quoted[1..self.quoted.len() - 1])
    }

    /// Whether the string means `name`.
    pub fn is(self, name: &[u8]) -> bool {
        *self.decoded() == *name
    }
}

/// The value of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'l> {
    Text(Text<'l>),
    /// A number, literal, array or object, as it stands in the line.
    Other(&'l [u8]),
}

/// Calls `each` with every member of the object that the line is. None if the line is not one valid JSON
/// object: that may come to light behind members already handed out, which then count for nothing.
pub fn members<'l>(line: &'l [u8], mut each: impl FnMut(Text<'l>, Value<'l>)) -> Option<()> {
    let mut scanner = Scanner { bytes: line, at: 0 };
    scanner.skip_space();
    scanner.expect(b'{')?;
    scanner.skip_space();
    let mut more = !scanner.eat(b'}');
    while more {
        let key = scanner.key()?;
        let value = scanner.value()?;
        each(key, value);
        scanner.skip_space();
        more = match scanner.next()? {
            b',' => true,
            b'}' => false,
            _ => return None,
        };
    }
    scanner.skip_space();
    let ended = scanner.at == line.len();
    (ended && std::str::from_utf8(line).is_ok()).then_some(())
}

/// A place in the line. Its methods return None where the line is not JSON, and then the place is of no use
/// any more.
struct Scanner<'l> {
    bytes: &'l [u8],
    at: usize,
}

impl<'l> Scanner<'l> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Steps over this byte if it is the next one.
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.eat(byte).then_some(())
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// A key and its colon, with the white space around both.
    fn key(&mut self) -> Option<Text<'l>> {
        self.skip_space();
        let key = self.string()?;
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        Some(key)
    }

    fn string(&mut self) -> Option<Text<'l>> {
        let start = self.at;
        let mut escaped = false;
        self.expect(b'"')?;
        loop {
            self.at += plain_len(&self.bytes[self.at..]);
            match self.next()? {
                b'"' => break,
                b'\\' => self.escape()?,
                _ => return None,
            }
            escaped = true;
        }
        let quoted = &self.bytes[start..self.at];
        Some(Text { quoted, escaped })
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
            b'u' => {
                for _ in 0..4 {
                    self.next().filter(u8::is_ascii_hexdigit)?;
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Whatever its size: what it means is its reader's affair.
    fn number(&mut self) -> Option<()> {
        self.eat(b'-');
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => self.at += self.digits(),
            _ => return None,
        }
        if self.eat(b'.') {
            self.some_digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _signed = self.eat(b'+') || self.eat(b'-');
            self.some_digits()?;
        }
        Some(())
    }

    /// How many digits are next.
    fn digits(&self) -> usize {
        let rest = &self.bytes[self.at..];
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// Steps over one or more digits.
    fn some_digits(&mut self) -> Option<()> {
        let count = self.digits();
        self.at += count;
        (count > 0).then_some(())
    }

    fn literal(&mut self, word: &[u8]) -> Option<()> {
        let found = self.bytes[self.at..].starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found.then_some(())
    }

    fn value(&mut self) -> Option<Value<'l>> {
        let start = self.at;
        match self.peek()? {
            b'"' => return self.string().map(Value::Text),
            b'{' | b'[' => self.nested()?,
            _ => self.scalar()?,
        }
        Some(Value::Other(&self.bytes[start..self.at]))
    }

    fn scalar(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.number(),
        }
    }

    /// An object or array with all that is in it. A loop, as the nesting is the sender's to choose and the
    /// call stack ours.
    fn nested(&mut self) -> Option<()> {
        let mut nest = Nest::within_the_line();
        loop {
            let ended = match self.peek()? {
                b'{' => self.open(&mut nest, Container::Object)?,
                b'[' => self.open(&mut nest, Container::Array)?,
                _ => self.scalar().map(|()| true)?,
            };
            if ended && !self.another(&mut nest)? {
                return Some(());
            }
        }
    }

    /// Steps into a container, up to its first value. Whether it was empty, and so has ended already.
    fn open(&mut self, nest: &mut Nest, container: Container) -> Option<bool> {
        self.at += 1;
        nest.push(container)?;
        self.skip_space();
        let empty = self.eat(container.end());
        match container {
            _ if empty => nest.pop(),
            Container::Object => self.key().map(|_| ())?,
            Container::Array => {}
        }
        Some(empty)
    }

    /// Behind a value: closes every container that ends here, and steps to the next value of the one that
    /// does not. False when all are closed.
    fn another(&mut self, nest: &mut Nest) -> Option<bool> {
        while let Some(container) = nest.innermost() {
            self.skip_space();
            match (self.next()?, container) {
                (b',', Container::Object) => return self.key().map(|_| true),
                (b',', Container::Array) => {
                    self.skip_space();
                    return Some(true);
                }
                (byte, _) if byte == container.end() => nest.pop(),
                _ => return None,
            }
        }
        Some(false)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

impl Container {
    fn end(self) -> u8 {
        match self {
            Container::Object => b'}',
            Container::Array => b']',
        }
    }
}

/// The containers open inside the line's own object: a stack with a bit each, innermost lowest.
struct Nest {
    objects: u128,
    depth: u32,
}

impl Nest {
    /// The line's own object is the first level, and is not on the stack.
    const OUTERMOST: u32 = 1;

    fn within_the_line() -> Nest {
        Nest {
            objects: 0,
            depth: Nest::OUTERMOST,
        }
    }

    /// None when that is too deep.
    fn push(&mut self, container: Container) -> Option<()> {
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(container == Container::Object);
        (self.depth <= MAX_DEPTH).then_some(())
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }

    fn innermost(&self) -> Option<Container> {
        if self.depth == Nest::OUTERMOST {
            return None;
        }
        let object = self.objects & 1 == 1;
        Some(if object {
            Container::Object
        } else {
            Container::Array
        })
    }
}

/// How many bytes stand before the first one that is special in a string: a quote, a backslash, a control
/// character.
fn plain_len(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let marks = special_bytes(u64::from_le_bytes(*word));
        if marks != 0 {
            return index * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    words.len() * 8 + tail.iter().position(special).unwrap_or(tail.len())
}

/// Marks the top bit of the bytes that are special in a string, eight at a time. The lowest mark is right;
/// the ones above it may not be, as the subtractions borrow from the next byte. After "Determine if a word
/// has a byte less than n" in Sean Eron Anderson's Bit Twiddling Hacks,
/// <https://graphics.stanford.edu/~seander/bithacks.html#HasLessInWord>.
fn special_bytes(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let below = |word: u64, limit: u64| word.wrapping_sub(EACH * limit) & !word;
    let equal = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    (below(word, 0x20) | equal(b'"') | equal(b'\\')) & (EACH * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(line: &str) -> Option<Vec<String>> {
        let mut keys = Vec::new();
        let each =
            |key: Text, _: Value| keys.push(String::from_utf8_lossy(&key.decoded()).into_owned());
        members(line.as_bytes(), each)?;
        Some(keys)
    }

    #[test]
    fn members_come_in_order_as_they_stand() {
        let mut seen = Vec::new();
        let line = br#" { "a\u0062" : "x\"y" , "n":1.50,"o":{"a":[1, {}]},"e":[ ],"t":true } "#;
        members(line, |key, value| {
            seen.push((key.decoded().into_owned(), value))
        })
        .unwrap();
        let text = Text {
            quoted: br#""x\"y""#,
            escaped: true,
        };
        let want = [
            ("ab", Value::Text(text)),
            ("n", Value::Other(b"1.50")),
            ("o", Value::Other(br#"{"a":[1, {}]}"#)),
            ("e", Value::Other(b"[ ]")),
            ("t", Value::Other(b"true")),
        ];
        let want: Vec<_> = want
            .iter()
            .map(|(key, value)| (key.as_bytes().to_vec(), *value))
            .collect();
        assert_eq!(seen, want);
    }

    #[test]
    fn only_whole_objects_are_accepted() {
        for line in ["{}", " {\t}\r\n", r#"{"a":1,"a":2}"#, r#"{"":{}}"#] {
            assert!(keys(line).is_some(), "{line}");
        }
        let bad = [
            "",
            " ",
            "[]",
            "1",
            "\"a\"",
            "null",
            "{",
            "}",
            "{}{}",
            "{} x",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
        ];
        let worse = [
            r#"{"a":1,}"#,
            r#"{"a":1 "b":2}"#,
            r#"{a:1}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":[}]}"#,
            r#"{"a":[1}"#,
        ];
        for line in bad.iter().chain(&worse) {
            assert_eq!(keys(line), None, "{line}");
        }
    }

    #[test]
    fn values_are_checked_against_the_grammar() {
        let good = [
            "0", "-0", "10", "0.5", "1e5", "1E+05", "-1.25e-3", "1e308", "0e999", "1e-999",
            "1e999", "true", "null",
        ];
        let strings = [
            r#""""#,
            r#""\n\/\u00e9""#,
            r#""\ud83d\ude00""#,
            r#""\ud83d""#,
            r#""\ude00\n""#,
            "\"\u{7f}\u{e9}\"",
        ];
        for value in good.iter().chain(&strings) {
            assert!(keys(&format!(r#"{{"a":{value}}}"#)).is_some(), "{value}");
        }
        let numbers = [
            "", "-", "+1", "01", "-01", ".5", "1.", "1e", "1e+", "1.e5", "0x1", "NaN", "--1",
        ];
        let others = [
            "tru",
            "True",
            "nul",
            r#""\x""#,
            r#""\u12g4""#,
            r#""\u123""#,
            "\"\t\"",
            "\"\0\"",
            "'a'",
        ];
        for value in numbers.iter().chain(&others) {
            assert_eq!(keys(&format!(r#"{{"a":{value}}}"#)), None, "{value}");
        }
    }

    #[test]
    fn what_half_a_surrogate_pair_means_is_left_as_it_stands() {
        let mut seen = Vec::new();
        members(br#"{"a\ud83d":1}"#, |key, _| {
            seen.push(key.decoded().into_owned())
        })
        .unwrap();
        assert_eq!(seen, [br"a\ud83d"]);
    }

    #[test]
    fn nesting_ends_where_serde_json_ends_it() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            for depth in [1, 100, 125, 126, 127, 128, 129, 1000] {
                let inner = if open == "[" { "" } else { "1" };
                let line = format!(
                    r#"{{"a":{}{inner}{}}}"#,
                    open.repeat(depth),
                    close.repeat(depth)
                );
                let oracle = serde_json::from_str::<serde_json::Value>(&line).is_ok();
                assert_eq!(keys(&line).is_some(), oracle, "{depth}");
            }
        }
    }

    #[test]
    fn a_line_of_sixteen_million_brackets_is_refused_without_recursion() {
        let line = format!(r#"{{"a":{}"#, "[".repeat(16 << 20));
        assert_eq!(keys(&line), None);
    }

    #[test]
    fn the_first_special_byte_is_found_at_every_place() {
        for len in 0..40 {
            for place in 0..len {
                for special in [b'"', b'\\', 0, 0x1f] {
                    for filler in [b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                        let mut bytes = vec![filler; len];
                        bytes[place] = special;
                        assert_eq!(plain_len(&bytes), place, "{special} among {filler}");
                    }
                }
            }
            assert_eq!(plain_len(&vec![b'x'; len]), len);
        }
    }
}
