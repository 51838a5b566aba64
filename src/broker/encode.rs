//! Lines to a batch: Redis commands, encoded straight into one reused buffer.
//!
//! Pure. The wire format is RESP: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use crate::cli::Mode;
use crate::position::Progress;
use crate::route::Route;

/// What is published and acknowledged as one: lines of one source, and the progress that they lead to.
#[derive(Debug, Default)]
pub struct Batch {
    /// Index of the source.
    pub source: usize,
    /// Which resumption of the source it belongs to; older ones are void.
    pub epoch: u64,
    pub lines: usize,
    /// Bytes of the log that it takes us on.
    pub bytes: u64,
    /// None only while it is being filled.
    pub end: Option<Progress>,
    /// The commands; in `list` mode only once the batch is sealed.
    pub(super) commands: Vec<u8>,
    /// The keys that the commands write to, each once (`stream` and `list`).
    pub(super) keys: Vec<Key>,
    /// Bytes of the lines that are not in the commands yet.
    unsealed: usize,
}

/// A key that a batch writes to.
#[derive(Debug, Default)]
pub(super) struct Key {
    pub name: Vec<u8>,
    /// Of the batch's lines those that go there.
    lines: usize,
    /// In `list` mode: these lines as arguments, until the batch is sealed.
    arguments: Vec<u8>,
}

/// A buffer that a giant line has blown up is given back to the system.
const KEEP_CAPACITY: usize = 2 * 1024 * 1024;

impl Batch {
    /// Empties it for the next use.
    pub fn clear(&mut self) {
        let mut commands = std::mem::take(&mut self.commands);
        commands.clear();
        commands.shrink_to(KEEP_CAPACITY);
        *self = Batch {
            commands,
            ..Batch::default()
        };
    }

    /// Bytes of the commands.
    pub fn len(&self) -> usize {
        self.commands.len() + self.unsealed
    }

    /// Makes one command of all lines for a key (`list`): one reply, and less work for Redis. Harmless when done before.
    pub(super) fn seal(&mut self) {
        self.unsealed = 0;
        for key in self.keys.iter_mut().filter(|key| !key.arguments.is_empty()) {
            push_length(b'*', key.lines + 2, &mut self.commands);
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
        key.lines += 1;
        key
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
        out.extend_from_slice(b"*11\r\n$4\r\nXADD\r\n");
        self.push_target(kind, out);
        out.extend_from_slice(b"$1\r\n*\r\n$4\r\nline\r\n");
        push_bulk(line, out);
        out.extend_from_slice(b"$4\r\ntype\r\n");
        push_bulk(kind, out);
        out.extend_from_slice(b"$6\r\nsource\r\n");
        push_bulk(source.as_bytes(), out);
        out.extend_from_slice(b"$6\r\noffset\r\n");
        push_bulk(end.to_string().as_bytes(), out);
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

/// Appends `<sign><number>\r\n`.
fn push_length(sign: u8, number: usize, out: &mut Vec<u8>) {
    let mut text = *b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n";
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
    at -= 1;
    text[at] = sign;
    out.extend_from_slice(&text[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(mode: Mode, target: &str, lines: &[&[u8]]) -> (String, Vec<String>) {
        let mut batch = Batch::default();
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
                r#"*11 $4 XADD $4 logs $1 * $4 line $15 {"type":"INFO"} $4 type $4 INFO $6 source $4 h:/a $6 offset $2 42 "#.into(),
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
    fn a_length_is_written_in_decimal() {
        for number in [0, 9, 10, 105, 16_777_216, usize::MAX] {
            let mut out = Vec::new();
            push_length(b'$', number, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("${number}\r\n"));
        }
    }
}
