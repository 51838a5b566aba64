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
    /// A command for each line.
    pub(super) commands: Vec<u8>,
    /// The keys that the commands write to, each once (`stream` and `list`).
    pub(super) keys: Vec<Vec<u8>>,
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
        self.commands.len()
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

    /// Appends the command that publishes a line of `source` which ends at offset `end`.
    pub fn push(&self, batch: &mut Batch, source: &str, line: &[u8], end: u64) {
        let needs_type = self.route.is_typed() || self.mode == Mode::Stream;
        let kind = if needs_type {
            self.route.type_of(line)
        } else {
            b"".into()
        };
        let out = &mut batch.commands;
        out.extend_from_slice(match self.mode {
            Mode::Pubsub => b"*3\r\n$7\r\nPUBLISH\r\n".as_slice(),
            Mode::List => b"*3\r\n$5\r\nRPUSH\r\n",
            Mode::Stream => b"*11\r\n$4\r\nXADD\r\n",
        });
        push_length(b'$', self.route.target_len(&kind), out);
        let start = out.len();
        self.route.push_target(&kind, out);
        let target = start..out.len();
        out.extend_from_slice(b"\r\n");
        if self.mode == Mode::Stream {
            out.extend_from_slice(b"$1\r\n*\r\n$4\r\nline\r\n");
        }
        push_bulk(line, out);
        if self.mode == Mode::Stream {
            out.extend_from_slice(b"$4\r\ntype\r\n");
            push_bulk(&kind, out);
            out.extend_from_slice(b"$6\r\nsource\r\n");
            push_bulk(source.as_bytes(), out);
            out.extend_from_slice(b"$6\r\noffset\r\n");
            push_bulk(end.to_string().as_bytes(), out);
        }
        if self.mode != Mode::Pubsub && !batch.keys.iter().any(|key| **key == out[target.clone()]) {
            batch.keys.push(out[target].to_vec());
        }
        batch.lines += 1;
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

    fn encoded(mode: Mode, target: &str, line: &[u8]) -> (String, Vec<Vec<u8>>) {
        let mut batch = Batch::default();
        Encoder::new(mode, target, "type").push(&mut batch, "h:/a", line, 42);
        (
            String::from_utf8(batch.commands)
                .unwrap()
                .replace("\r\n", " "),
            batch.keys,
        )
    }

    #[test]
    fn a_line_becomes_the_command_of_its_mode() {
        let line = br#"{"type":"INFO"}"#;
        assert_eq!(
            encoded(Mode::Pubsub, "logs:{type}", line).0,
            r#"*3 $7 PUBLISH $9 logs:INFO $15 {"type":"INFO"} "#
        );
        assert_eq!(
            encoded(Mode::Pubsub, "all", line).0,
            r#"*3 $7 PUBLISH $3 all $15 {"type":"INFO"} "#
        );
        assert_eq!(
            encoded(Mode::List, "l:{type}", b"x"),
            (
                "*3 $5 RPUSH $9 l:UNKNOWN $1 x ".into(),
                vec![b"l:UNKNOWN".to_vec()]
            )
        );
        assert_eq!(
            encoded(Mode::Stream, "logs", line).0,
            r#"*11 $4 XADD $4 logs $1 * $4 line $15 {"type":"INFO"} $4 type $4 INFO $6 source $4 h:/a $6 offset $2 42 "#
        );
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
