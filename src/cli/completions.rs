//! Completions for bash, zsh and fish: `tailcast help --completions SHELL`.
//!
//! A file of `completions/` knows each shell; all three read the same words, which are made of the help texts.

use super::outline::{Definition, definitions};

/// The shells, and the file for each. `@WORDS@` stands between single quotes there.
pub const SHELLS: &[(&str, &str)] = &[
    ("bash", include_str!("completions/tailcast.bash")),
    ("zsh", include_str!("completions/_tailcast")),
    ("fish", include_str!("completions/tailcast.fish")),
];

const OF_HELP: &str =
    "help;--man;;;;as a manual page\nhelp;--completions;;bash|zsh|fish;;for a shell\n";

/// The completions of `commands` (name and help text) for a shell; `program` is the program's own help text.
pub fn script(shell: &str, program: &str, commands: &[(&str, String)]) -> String {
    let words = words(program, commands).replace('\'', r"'\''");
    shell.replace("@WORDS@", words.trim_end())
}

/// A line `COMMAND;WORD;SHORT;VALUE;*;GIST` for each word that may stand behind a command. Without a COMMAND: for each
/// that may stand first, and the VALUE of a command is FILE where it takes files.
fn words(program: &str, commands: &[(&str, String)]) -> String {
    let mut words = String::new();
    for definition in definitions(program) {
        match commands.iter().find(|(name, _)| *name == definition.head) {
            Some((name, text)) => {
                let usage = text.lines().next().unwrap_or_default();
                let takes = if usage.contains("FILE") { "FILE" } else { "" };
                words += &format!(";{name};;{takes};;{}\n", definition.gist());
            }
            None if definition.head == "help" => {
                words += &format!(";help;;;;{}\n", definition.gist())
            }
            None => push_flags("", &definition, &mut words),
        }
    }
    words += OF_HELP;
    for (name, text) in commands {
        words += &format!("help;{name};;;;\n");
        definitions(text).for_each(|definition| push_flags(name, &definition, &mut words));
    }
    words
}

fn push_flags(command: &str, definition: &Definition, words: &mut String) {
    let star = if definition.is_repeatable() { "*" } else { "" };
    for flag in definition.flags() {
        let short = flag
            .short
            .map_or(String::new(), |letter| format!("-{letter}"));
        let value = flag.value.unwrap_or_default();
        *words += &format!(
            "{command};--{};{short};{value};{star};{}\n",
            flag.long,
            definition.gist()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "\
tool: does it

Commands:
  run     do it's work
  help    show this

Flags:
  -h, --help   show help; or not
";
    const RUN: &str = "\
Usage: tool run [FILE...]

Flags:
      --from start|end  where to begin [at all] (default: start)
      --in DIR          the folder; repeatable
      --cert FILE       whom to trust
      --name NAME       the name
  -q, --quiet           say less
";

    #[test]
    fn each_shell_is_told_the_words_their_values_and_what_they_are_for() {
        let want = r";run;;FILE;;do it'\''s work
;help;;;;show this
;--help;-h;;;show help
help;--man;;;;as a manual page
help;--completions;;bash|zsh|fish;;for a shell
help;run;;;;
run;--from;;start|end;;where to begin [at all]
run;--in;;DIR;*;the folder
run;--cert;;FILE;;whom to trust
run;--name;;NAME;;the name
run;--quiet;-q;;;say less'";
        for (name, file) in SHELLS {
            let script = script(file, PROGRAM, &[("run", RUN.to_owned())]);
            assert!(script.contains(want), "{want}\nin {name}:\n{script}");
        }
    }
}
