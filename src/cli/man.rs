//! The manual page, made from the help texts: `tailcast help --man`.
//!
//! Knows roff's man(7) macros and nothing of what the texts say.

use super::outline::{Piece, pieces};

/// The page: the program's own text, then a section for each command.
pub fn page(program: &str, commands: &[(&str, String)]) -> String {
    let mut out = format!(
        ".TH TAILCAST 1 \"\" \"tailcast {}\" \"User Commands\"\n.nh\n.ad l\n",
        env!("CARGO_PKG_VERSION")
    );
    let (title, rest) = program.split_once('\n').unwrap_or((program, ""));
    let title = title.split_once(": ").unwrap_or(("tailcast", title));
    out += &format!(".SH NAME\n{} \\- {}\n", escaped(title.0), escaped(title.1));
    out += ".SH SYNOPSIS\n";
    push_pieces(rest.trim_start(), ".SH", &mut out);
    for (name, text) in commands {
        let name = name.to_uppercase();
        out += &format!(".SH THE COMMAND {name}\n");
        push_pieces(text, ".SS", &mut out);
    }
    out += ".SH SEE ALSO\n.BR tail (1),\n.BR redis\\-cli (1),\n.BR logrotate (8)\n";
    out
}

/// `section` is the macro that begins a heading.
fn push_pieces(text: &str, section: &str, out: &mut String) {
    for piece in pieces(text) {
        match piece {
            Piece::Heading(heading) => *out += &format!("{section} {}\n", title(heading, section)),
            Piece::Paragraph(text) => match text.strip_prefix("Exit codes: ") {
                Some(codes) => {
                    let heading = title("Exit codes", section);
                    *out += &format!("{section} {heading}\n{}\n", line(codes));
                }
                None => *out += &format!(".PP\n{}\n", line(&text)),
            },
            Piece::Definition(definition) => {
                *out += &format!(
                    ".TP\n.B {}\n{}\n",
                    escaped(definition.head),
                    line(&definition.text)
                );
            }
            Piece::Verbatim(lines) => {
                *out += ".PP\n.nf\n";
                for text in lines {
                    *out += &line(text.strip_prefix("Usage: ").unwrap_or(text.trim_start()));
                    out.push('\n');
                }
                *out += ".fi\n";
            }
        }
    }
}

/// Sections of a page are in capitals.
fn title(heading: &str, section: &str) -> String {
    if section == ".SH" {
        return escaped(&heading.to_uppercase());
    }
    escaped(heading)
}

/// A line of text: what begins with a dot or a quote would be a request.
fn line(text: &str) -> String {
    let guard = if text.starts_with(['.', '\'']) {
        "\\&"
    } else {
        ""
    };
    format!("{guard}{}", escaped(text))
}

/// A bare `-` may be set as another dash, which no shell takes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_entries_and_examples_become_macros() {
        let page = page(
            "tool: does it\n\nUsage: tool RUN\n\nFlags:\n  -q, --quiet   say \\x1b less\n",
            &[(
                "run",
                "Usage: tool run\n\n.hidden files.\n\nExamples:\n  'a' b\n".to_owned(),
            )],
        );
        for want in [
            ".SH NAME\ntool \\- does it\n.SH SYNOPSIS\n.PP\n.nf\ntool RUN\n.fi\n",
            ".SH FLAGS\n.TP\n.B \\-q, \\-\\-quiet\nsay \\ex1b less\n",
            ".SH THE COMMAND RUN\n",
            ".PP\n\\&.hidden files.\n.SS Examples\n.PP\n.nf\n\\&'a' b\n.fi\n",
        ] {
            assert!(page.contains(want), "{want}\nin\n{page}");
        }
    }
}
