//! The terminal while `top` has it: another page of it, without a cursor, and given back as it was however the program ends.
//!
//! Ends by a signal come through the flag, so the screen is dropped; a panic is met before it is told of, as it may not
//! unwind.

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::frame::{self, Shape, View};
use crate::error::Result;
use crate::{signal, stdout, talk};

/// The other page, no cursor, and no line that goes on in the next one.
const OPEN: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const CLOSE: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";

/// What a terminal has that does not say it.
const USUAL: (usize, usize) = (80, 24);

static IS_OPEN: AtomicBool = AtomicBool::new(false);

pub struct Screen {
    size: (usize, usize),
    is_coloured: bool,
    is_unicode: bool,
}

impl Screen {
    pub fn open() -> Result<Screen> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let tell = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                close();
                tell(panic);
            }));
        });
        IS_OPEN.store(true, SeqCst);
        let screen = Screen {
            size: USUAL,
            is_coloured: talk::wants_colour(),
            is_unicode: takes_unicode(&|name| std::env::var(name).ok()),
        };
        stdout::write(OPEN)?;
        Ok(screen)
    }

    /// Whether the window is not as it was.
    pub fn has_other_size(&mut self) -> bool {
        let size = signal::window(&io::stdout()).unwrap_or(USUAL);
        std::mem::replace(&mut self.size, size) != size
    }

    pub fn draw(&mut self, view: &View<'_>) -> Result<()> {
        let (width, height) = self.size;
        let shape = Shape {
            width,
            height,
            is_coloured: self.is_coloured,
            is_unicode: self.is_unicode,
        };
        // From the top left on, each line wiped behind its end, and all below the last one.
        let mut text = String::from("\x1b[H");
        text += &frame::lines(view, &shape).join("\x1b[K\r\n");
        text += "\x1b[K\x1b[J";
        stdout::write(text.as_bytes())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        close();
    }
}

/// Gives the terminal back, once. Whoever ends the program needs no error about that.
fn close() {
    if IS_OPEN.swap(false, SeqCst) {
        let _ = stdout::write(CLOSE);
    }
}

/// Whether the terminal's letters are UTF-8, going by the first of these that is set, as setlocale(3) does.
fn takes_unicode(env: &dyn Fn(&str) -> Option<String>) -> bool {
    let set = |name: &&str| env(name).is_some_and(|value| !value.is_empty());
    let name = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(set);
    let value = name.and_then(env).unwrap_or_default().to_ascii_lowercase();
    value.contains("utf-8") || value.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_says_whether_there_are_more_letters_than_ascii() {
        let takes = |pairs: &[(&str, &str)]| {
            takes_unicode(&|name| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_string())
            })
        };
        assert!(takes(&[("LANG", "de_DE.UTF-8")]));
        assert!(takes(&[
            ("LC_ALL", ""),
            ("LC_CTYPE", "C.utf8"),
            ("LANG", "C")
        ]));
        assert!(!takes(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")]));
        assert!(!takes(&[]));
    }
}
