//! Completions for bash, zsh and fish, made from the help texts: `tailcast help --completions SHELL`.
//!
//! Knows how each shell is told, and nothing of what the commands do.

use super::outline::{Entry, Flag, Part, flags, parts};

/// The shells, by the name of their program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// What may stand behind a flag, or as an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'t> {
    /// With a `|` between them.
    OneOf(&'t str),
    File,
    Folder,
    /// A number, a name: nothing that a shell could know.
    Other,
}

impl Value<'_> {
    fn of(name: &str) -> Value<'_> {
        match name {
            "FILE" | "PATH" => Value::File,
            "DIR" => Value::Folder,
            words if words.contains('|') => Value::OneOf(words),
            _ => Value::Other,
        }
    }

    /// What the usage says of the operands.
    fn of_operands(text: &str) -> Value<'static> {
        let usage = text.lines().next().unwrap_or_default();
        if usage.contains("FILE") {
            Value::File
        } else {
            Value::Other
        }
    }
}

/// The completions of `commands` (name and help text) for a shell; `program` is the program's own help text.
pub fn script(shell: Shell, program: &str, commands: &[(&str, String)]) -> String {
    let menu = menu(program);
    match shell {
        Shell::Bash => bash(&menu, commands),
        Shell::Zsh => zsh(&menu, commands),
        Shell::Fish => fish(&menu, commands),
    }
}

/// What can stand first: the commands, and the program's flags.
fn menu(program: &str) -> Vec<(String, String)> {
    let mut menu = Vec::new();
    let mut among_commands = false;
    for part in parts(program) {
        match part {
            Part::Heading(heading) => among_commands = heading == "Commands",
            Part::Entry(entry) if among_commands => {
                menu.push((entry.head.to_owned(), entry.gist().to_owned()));
            }
            Part::Entry(entry) => {
                let gist = entry.gist().to_owned();
                menu.extend(entry.flags().iter().map(|f| (long(f), gist.clone())));
            }
            _ => {}
        }
    }
    menu
}

fn long(flag: &Flag) -> String {
    format!("--{}", flag.long)
}

fn names(commands: &[(&str, String)]) -> String {
    let names: Vec<&str> = commands.iter().map(|(name, _)| *name).collect();
    names.join(" ")
}

fn bash(menu: &[(String, String)], commands: &[(&str, String)]) -> String {
    let first: Vec<&str> = menu.iter().map(|(name, _)| name.as_str()).collect();
    let mut cases = String::new();
    for (name, text) in commands {
        let mut words = Vec::new();
        for (flag, _) in flags(text) {
            words.push(long(&flag));
            let reply = match flag.value.map(Value::of) {
                None => continue,
                Some(Value::OneOf(words)) => format!("words='{}'", words.replace('|', " ")),
                Some(Value::File) => "return".to_owned(),
                Some(Value::Folder) => "compopt -o dirnames +o default; return".to_owned(),
                Some(Value::Other) => "compopt +o default; return".to_owned(),
            };
            cases += &format!("    '{name} --{}') {reply} ;;\n", flag.long);
        }
        let words = words.join(" ");
        let unless_file = match Value::of_operands(text) {
            Value::File => "[[ $cur != -* ]] || ",
            _ => "",
        };
        cases += &format!("    '{name} '*) {unless_file}words='{words}' ;;\n");
    }
    format!(
        "# bash completion for tailcast; made by: tailcast help --completions bash\n\
         _tailcast() {{\n\
         \x20   local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} words='' line\n\
         \x20   COMPREPLY=()\n\
         \x20   # Of --flag=value bash makes three words.\n\
         \x20   if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${{COMP_WORDS[COMP_CWORD - 2]}}; fi\n\
         \x20   if ((COMP_CWORD == 1)); then\n\
         \x20       prev='' words='{}'\n\
         \x20   fi\n\
         \x20   ((COMP_CWORD == 1)) || case \"${{COMP_WORDS[1]}} $prev\" in\n\
         {cases}\
         \x20   'help --completions') words='bash zsh fish' ;;\n\
         \x20   'help '*) words='{} --man --completions' ;;\n\
         \x20   esac\n\
         \x20   # Where there are words, file names would be in the way.\n\
         \x20   [[ -z $words && $cur != -* ]] || compopt +o default\n\
         \x20   while IFS= read -r line; do COMPREPLY+=(\"$line\"); done < <(compgen -W \"$words\" -- \"$cur\")\n\
         }}\n\
         complete -o default -F _tailcast tailcast\n",
        first.join(" "),
        names(commands),
    )
}

fn zsh(menu: &[(String, String)], commands: &[(&str, String)]) -> String {
    let menu: Vec<String> = menu
        .iter()
        .map(|(name, gist)| format!("        {}\n", quoted(&format!("{name}:{gist}"))))
        .collect();
    let mut cases = String::new();
    for (name, text) in commands {
        cases += &format!("    {name}) _arguments -s -S \\\n");
        for (flag, entry) in flags(text) {
            cases += &format!("        {} \\\n", zsh_flag(&flag, &entry));
        }
        cases += match Value::of_operands(text) {
            Value::File => "        '*:file:_files' ;;\n",
            _ => "        '*: :' ;;\n",
        };
    }
    format!(
        "#compdef tailcast\n\
         # zsh completion for tailcast; made by: tailcast help --completions zsh\n\
         local -a menu=(\n\
         {}\
         )\n\
         if ((CURRENT == 2)); then _describe command menu; return; fi\n\
         local command=$words[2]\n\
         shift words; ((CURRENT--))\n\
         case $command in\n\
         {cases}\
         \x20   help) _arguments '--man[as a manual page]' '--completions=[for a shell]:shell:(bash zsh fish)' \\\n\
         \x20       '1:command:({})' ;;\n\
         esac\n",
        menu.concat(),
        names(commands),
    )
}

/// As `_arguments` takes it.
fn zsh_flag(flag: &Flag, entry: &Entry) -> String {
    let gist = entry.gist().replace('[', "(").replace(']', ")");
    let (star, long) = (if entry.is_repeatable() { "*" } else { "" }, long(flag));
    let value = match flag.value.map(|name| (name, Value::of(name))) {
        None => {
            let short = flag.short.map(|letter| format!("-{letter}"));
            return short.map_or_else(
                || quoted(&format!("{star}{long}[{gist}]")),
                |short| {
                    format!(
                        "'({short} {long})'{{{short},{long}}}{}",
                        quoted(&format!("[{gist}]"))
                    )
                },
            );
        }
        Some((_, Value::OneOf(words))) => format!("value:({})", words.replace('|', " ")),
        Some((name, Value::File)) => format!("{name}:_files"),
        Some((name, Value::Folder)) => format!("{name}:_files -/"),
        Some((name, Value::Other)) => format!("{name}: "),
    };
    quoted(&format!("{star}{long}=[{gist}]:{value}"))
}

fn fish(menu: &[(String, String)], commands: &[(&str, String)]) -> String {
    let mut out =
        "# fish completion for tailcast; made by: tailcast help --completions fish\n".to_owned();
    for (name, gist) in menu.iter().filter(|(name, _)| !name.starts_with('-')) {
        let gist = fish_quoted(gist);
        out += &format!("complete -c tailcast -f -n __fish_use_subcommand -a {name} -d {gist}\n");
    }
    for (name, text) in commands {
        let seen = format!("complete -c tailcast -n '__fish_seen_subcommand_from {name}'");
        if Value::of_operands(text) == Value::Other {
            out += &format!("{seen} -f\n");
        }
        for (flag, entry) in flags(text) {
            let short = flag
                .short
                .map_or(String::new(), |letter| format!(" -s {letter}"));
            let value = match flag.value.map(Value::of) {
                None => String::new(),
                Some(Value::OneOf(words)) => format!(" -x -a '{}'", words.replace('|', " ")),
                Some(Value::File) => " -r -F".to_owned(),
                Some(Value::Folder) => " -x -a '(__fish_complete_directories)'".to_owned(),
                Some(Value::Other) => " -x".to_owned(),
            };
            let gist = fish_quoted(entry.gist());
            out += &format!("{seen}{short} -l {}{value} -d {gist}\n", flag.long);
        }
    }
    let help = "complete -c tailcast -n '__fish_seen_subcommand_from help' -f";
    out += &format!("{help} -a '{}'\n", names(commands));
    out += &format!("{help} -l man -d 'as a manual page'\n");
    out += &format!("{help} -l completions -x -a 'bash zsh fish' -d 'for a shell'\n");
    out
}

/// For bash and zsh, where nothing is special between single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// For fish, where a backslash is.
fn fish_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
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
    fn each_shell_is_told_the_flags_and_their_values() {
        let script = |shell| script(shell, PROGRAM, &[("run", RUN.to_owned())]);
        for (shell, lines) in [
            (
                Shell::Bash,
                &[
                    "prev='' words='run help --help'\n",
                    "'run --from') words='start end' ;;\n",
                    "'run --in') compopt -o dirnames +o default; return ;;\n",
                    "'run --cert') return ;;\n",
                    "'run '*) [[ $cur != -* ]] || words='--from --in --cert --name --quiet' ;;\n",
                ][..],
            ),
            (
                Shell::Zsh,
                &[
                    r"'run:do it'\''s work'",
                    "'--from=[where to begin (at all)]:value:(start end)'",
                    "'*--in=[the folder]:DIR:_files -/'",
                    "'(-q --quiet)'{-q,--quiet}'[say less]'",
                    "'*:file:_files' ;;",
                ],
            ),
            (
                Shell::Fish,
                &[
                    r"-a run -d 'do it\'s work'",
                    "-l from -x -a 'start end' -d 'where to begin [at all]'",
                    "-s q -l quiet -d 'say less'",
                    "-l cert -r -F -d",
                ],
            ),
        ] {
            let script = script(shell);
            for line in lines {
                assert!(script.contains(line), "{line}\nin\n{script}");
            }
        }
    }
}
