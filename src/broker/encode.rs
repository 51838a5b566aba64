//! Lines to a batch: Redis commands, encoded straight into one reused buffer.
//!
//! Pure. The wire format is RESP: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use redis::{Parser, from_redis_value};

use crate::cli::Mode;
use crate::position::{Dates, Progress};
use crate::route::Route;

/// What is published and acknowledged as one: lines of one source, and the progress that they lead to.
#[derive(Debug, Default)]
pub struct Batch {
    /// Index of the source.
    pub source: usize,
    /// Which resumption of the source it belongs to; older ones are void.
    pub epoch: u64,
    /// All of its lines are of this one.
    pub generation: u64,
    pub lines: usize,
    /// Bytes of the log that it takes us on.
    pub bytes: u64,
    /// The progress, and when it is true: what was written to the log before is in this batch, or in those before it. None
    /// only while it is being filled.
    pub end: Option<(Progress, Dates)>,
    /// The commands; in `list` mode only once the batch is sealed.
    pub(super) commands: Vec<u8>,
    /// The keys that the commands write to, each once (`stream` and `list`).
    pub(super) keys: Vec<Key>,
    /// Where each line ends.
    ends: Vec<u64>,
    /// Whether Redis was asked, with this batch, who listens.
    pub(super) asks_who_listens: bool,
    /// Whether to look, before it takes effect, if there is room for it.
    pub waits_for_room: bool,
    /// Bytes of the lines that are not in the commands yet.
    unsealed: usize,
}

/// A key that a batch writes to.
#[derive(Debug, Default)]
pub(super) struct Key {
    pub name: Vec<u8>,
    /// Which of the batch's lines go there, in order.
    lines: Vec<usize>,
    /// In `list` mode: these lines as arguments, until the batch is sealed.
    arguments: Vec<u8>,
}

/// A line that is taken out of its batch.
#[derive(Debug, PartialEq, Eq)]
pub struct Removed {
    pub line: Vec<u8>,
    /// The offset at which it ends.
    pub end: u64,
}

/// A buffer that a giant line has blown up is given back to the system.
const KEEP_CAPACITY: usize = 2 * 1024 * 1024;

impl Batch {
    /// Empties it for the next use.
    pub fn clear(&mut self) {
        let mut commands = std::mem::take(&mut self.commands);
        let mut ends = std::mem::take(&mut self.ends);
        commands.clear();
        commands.shrink_to(KEEP_CAPACITY);
        ends.clear();
        *self = Batch {
            commands,
            ends,
            ..Batch::default()
        };
    }

    /// Where it leads a source, unless it is of an earlier resumption.
    pub fn leads(&self, source: usize, epoch: u64) -> Option<&Progress> {
        let (end, _) = self.end.as_ref()?;
        (self.source == source && self.epoch == epoch).then_some(end)
    }

    /// Bytes of the commands.
    pub fn len(&self) -> usize {
        self.commands.len() + self.unsealed
    }

    /// The keys that it writes to, and how many lines to each (`stream` and `list`).
    pub fn keys(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let keys = self.keys.iter();
        keys.map(|key| (key.name.as_slice(), key.lines.len() as u64))
    }

    /// Whether it must not take effect when it is sent, whatever the delivery.
    pub(super) fn is_held(&self) -> bool {
        self.asks_who_listens || self.waits_for_room
    }

    /// Makes one command of all lines for a key (`list`): one reply, and less work for Redis. Harmless when done before.
    pub(super) fn seal(&mut self) {
        self.unsealed = 0;
        for key in self.keys.iter_mut().filter(|key| !key.arguments.is_empty()) {
            push_length(b'*', key.lines.len() + 2, &mut self.commands);
            self.commands.extend_from_slice(b"$5\r\nRPUSH\r\n");
            push_bulk(&key.name, &mut self.commands);
            self.commands.append(&mut key.arguments);
        }
    }

    /// How many commands it is in this mode, and so how many replies.
    pub(super) fn replies(&self, mode: Mode) -> usize {
        match mode {
            Mode::List => self.keys.len(),
            Mode::Pubsub | Mode::Stream => self.lines,
        }
    }

    /// Which key or channel its command of this index is for.
    pub(super) fn target(&self, index: usize) -> Vec<u8> {
        let command = self.commands().nth(index);
        command.map_or_else(Vec::new, |mut words| words.swap_remove(1))
    }

    /// The commands, each as its words: of these the second is the key or channel.
    fn commands(&self) -> impl Iterator<Item = Vec<Vec<u8>>> {
        let (mut rest, mut parser) = (self.commands.as_slice(), Parser::new());
        std::iter::from_fn(move || from_redis_value(parser.parse_value(&mut rest).ok()?).ok())
    }

    /// The key of this name, with one line more.
    fn key(&mut self, name: &[u8]) -> &mut Key {
        let found = self.keys.iter().position(|key| key.name == name);
        let index = found.unwrap_or_else(|| {
            self.keys.push(Key {
                name: name.to_vec(),
                ..Key::default()
            });
            self.keys.len() - 1
        });
        let key = &mut self.keys[index];
        key.lines.push(self.lines);
        key
    }

    /// Takes out of a sealed batch every line of which `is_refused` says so, given its target and its bytes. The
    /// batch's end stays where it is.
    pub(super) fn remove(
        &mut self,
        mode: Mode,
        is_refused: impl Fn(&[u8], &[u8]) -> bool,
    ) -> Vec<Removed> {
        let sealed = std::mem::take(self);
        let mut removed = Vec::new();
        for words in sealed.commands() {
            let target = &words[1];
            let lines = match mode {
                Mode::Pubsub | Mode::List => &words[2..],
                Mode::Stream => &words[4..5],
            };
            let key = sealed.keys.iter().find(|key| key.name == *target);
            for (nth, line) in lines.iter().enumerate() {
                let index = match (mode, key) {
                    (Mode::List, Some(key)) => key.lines[nth],
                    _ => self.lines + removed.len(),
                };
                let end = sealed.ends[index];
                if is_refused(target, line) {
                    let line = line.clone();
                    removed.push(Removed { line, end });
                    continue;
                }
                match mode {
                    Mode::List => push_bulk(line, &mut self.key(target).arguments),
                    Mode::Stream => _ = self.key(target),
                    Mode::Pubsub => {}
                }
                if mode != Mode::List {
                    let words: Vec<_> = words.iter().map(Vec::as_slice).collect();
                    push_command(&words, &mut self.commands);
                }
                self.ends.push(end);
                self.lines += 1;
            }
        }
        self.seal();
        (self.source, self.epoch) = (sealed.source, sealed.epoch);
        self.generation = sealed.generation;
        (self.bytes, self.end) = (sealed.bytes, sealed.end);
        removed
    }
}

/// Encodes lines as the mode and target say.
#[derive(Debug, Clone)]
pub struct Encoder {
    mode: Mode,
    route: Route,
}

impl Encoder {
    pub fn new(mode: Mode, target: &str, type_field: &str) -> Encoder {
        Encoder {
            mode,
            route: Route::new(target, type_field),
        }
    }

    /// Adds a line of `source` which ends at offset `end`.
    pub fn push(&self, batch: &mut Batch, source: &str, line: &[u8], end: u64) {
        debug_assert!(
            batch.ends.last().is_none_or(|last| *last <= end),
            "lines come in the order of their log"
        );
        let needs_type = self.route.is_typed() || self.mode == Mode::Stream;
        let kind = if needs_type {
            self.route.type_of(line)
        } else {
            b"".into()
        };
        match self.mode {
            Mode::Pubsub => self.push_publish(batch, &kind, line),
            Mode::Stream => self.push_add(batch, &kind, source, line, end),
            Mode::List => self.push_element(batch, &kind, line),
        }
        batch.ends.push(end);
        batch.lines += 1;
    }

    fn push_publish(&self, batch: &mut Batch, kind: &[u8], line: &[u8]) {
        let out = &mut batch.commands;
        out.extend_from_slice(b"*3\r\n$7\r\nPUBLISH\r\n");
        self.push_target(kind, out);
        push_bulk(line, out);
    }

    fn push_add(&self, batch: &mut Batch, kind: &[u8], source: &str, line: &[u8], end: u64) {
        let out = &mut batch.commands;
        out.extend_from_slice(b"*13\r\n$4\r\nXADD\r\n");
        self.push_target(kind, out);
        out.extend_from_slice(b"$1\r\n*\r\n$4\r\nline\r\n");
        push_bulk(line, out);
        out.extend_from_slice(b"$4\r\ntype\r\n");
        push_bulk(kind, out);
        out.extend_from_slice(b"$6\r\nsource\r\n");
        push_bulk(source.as_bytes(), out);
        out.extend_from_slice(b"$3\r\ngen\r\n");
        push_number(batch.generation, out);
        out.extend_from_slice(b"$6\r\noffset\r\n");
        push_number(end, out);
        batch.key(&self.route.target(kind));
    }

    fn push_element(&self, batch: &mut Batch, kind: &[u8], line: &[u8]) {
        let key = batch.key(&self.route.target(kind));
        let before = key.arguments.len();
        push_bulk(line, &mut key.arguments);
        let added = key.arguments.len() - before;
        batch.unsealed += added;
    }

    /// Appends the channel or key.
    fn push_target(&self, kind: &[u8], out: &mut Vec<u8>) {
        push_length(b'$', self.route.target_len(kind), out);
        self.route.push_target(kind, out);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends a command of plain arguments.
pub(super) fn push_command(arguments: &[&[u8]], out: &mut Vec<u8>) {
    push_length(b'*', arguments.len(), out);
    for argument in arguments {
        push_bulk(argument, out);
    }
}

fn push_bulk(bytes: &[u8], out: &mut Vec<u8>) {
    push_length(b'$', bytes.len(), out);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number as an argument.
fn push_number(number: u64, out: &mut Vec<u8>) {
    let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
    push_length(b'$', digits, out);
    push_decimal(number, out);
}

/// Appends `<sign><number>\r\n`.
fn push_length(sign: u8, number: usize, out: &mut Vec<u8>) {
    out.push(sign);
    push_decimal(number as u64, out);
}

/// Appends `<number>\r\n`.
fn push_decimal(number: u64, out: &mut Vec<u8>) {
    let mut text = *b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n";
    let mut at = text.len() - 2;
    let mut rest = number;
    loop {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(mode: Mode, target: &str, lines: &[&[u8]]) -> (String, Vec<String>) {
        let mut batch = Batch {
            generation: 7,
            ..Batch::default()
        };
        let encoder = Encoder::new(mode, target, "type");
        for line in lines {
            encoder.push(&mut batch, "h:/a", line, 42);
        }
        let length = batch.len();
        batch.seal();
        assert!(length <= batch.len(), "it does not get full too late");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            text(batch.commands).replace("\r\n", " "),
            batch.keys.into_iter().map(|key| text(key.name)).collect(),
        )
    }

    #[test]
    fn a_line_becomes_the_command_of_its_mode() {
        let line = br#"{"type":"INFO"}"#;
        assert_eq!(
            encoded(Mode::Pubsub, "logs:{type}", &[line]).0,
            r#"*3 $7 PUBLISH $9 logs:INFO $15 {"type":"INFO"} "#
        );
        assert_eq!(
            encoded(Mode::Pubsub, "all", &[line]).0,
            r#"*3 $7 PUBLISH $3 all $15 {"type":"INFO"} "#
        );
        assert_eq!(
            encoded(Mode::Stream, "logs", &[line]),
            (
                r#"*13 $4 XADD $4 logs $1 * $4 line $15 {"type":"INFO"} $4 type $4 INFO $6 source $4 h:/a $3 gen $1 7 $6 offset $2 42 "#.into(),
                vec!["logs".into()]
            )
        );
    }

    #[test]
    fn lines_for_one_list_become_one_command() {
        let lines = [&b"x"[..], br#"{"type":"A"}"#, b"yy"];
        assert_eq!(
            encoded(Mode::List, "l", &lines),
            (
                r#"*5 $5 RPUSH $1 l $1 x $12 {"type":"A"} $2 yy "#.into(),
                vec!["l".into()]
            )
        );
        assert_eq!(
            encoded(Mode::List, "l:{type}", &lines),
            (
                r#"*4 $5 RPUSH $9 l:UNKNOWN $1 x $2 yy *3 $5 RPUSH $3 l:A $12 {"type":"A"} "#
                    .into(),
                vec!["l:UNKNOWN".into(), "l:A".into()]
            )
        );
    }

    #[test]
    fn a_sealed_batch_stays_as_it_is() {
        let mut batch = Batch::default();
        Encoder::new(Mode::List, "l", "type").push(&mut batch, "h:/a", b"x", 1);
        batch.seal();
        let once = batch.commands.clone();
        batch.seal();
        assert_eq!(batch.commands, once);
    }

    #[test]
    fn lines_are_taken_out_of_a_batch_and_its_others_stay() {
        let lines = [&b"x"[..], br#"{"type":"A"}"#, b"yy", br#"{"type":"B"}"#];
        for mode in [Mode::Pubsub, Mode::Stream, Mode::List] {
            let encoder = Encoder::new(mode, "l:{type}", "type");
            let encode = |lines: &[(&[u8], u64)]| {
                let mut batch = Batch::default();
                for (line, end) in lines {
                    encoder.push(&mut batch, "h:/a", line, *end);
                }
                batch.seal();
                batch
            };
            let numbered: Vec<_> = lines.into_iter().zip(1..).collect();
            let mut batch = encode(&numbered);
            let removed = batch.remove(mode, |target, line| target == b"l:A" || line == b"yy");
            let mut places: Vec<_> = removed.iter().map(|removed| removed.end).collect();
            places.sort();
            assert_eq!(places, [2, 3], "{mode:?}");
            assert!(removed.iter().any(|removed| removed.line == b"yy"));
            let rest = encode(&[numbered[0], numbered[3]]);
            assert_eq!(
                batch.commands.escape_ascii().to_string(),
                rest.commands.escape_ascii().to_string()
            );
            assert_eq!((batch.lines, batch.replies(mode)), (2, 2));
            let all = batch.remove(mode, |_, _| true);
            assert_eq!((all.len(), batch.replies(mode), batch.len()), (2, 0, 0));
        }
    }

    #[test]
    fn a_number_is_written_in_decimal() {
        for number in [0, 9, 10, 105, 16_777_216, usize::MAX] {
            let mut out = Vec::new();
            push_length(b'$', number, &mut out);
            push_number(number as u64, &mut out);
            let digits = number.to_string().len();
            assert_eq!(
                String::from_utf8(out).unwrap(),
                format!("${number}\r\n${digits}\r\n{number}\r\n")
            );
        }
    }
}
