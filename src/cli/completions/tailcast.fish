# fish completion for tailcast; made by: tailcast help --completions fish

# A line for each word that may stand behind a command, or first, where there is none.
printf '%s\n' '@WORDS@' | while read -l -d ';' command word short value star gist
    set -l args -c tailcast -n "__fish_seen_subcommand_from $command" -d $gist
    if test -z "$command"
        if not string match -q -- '-*' $word
            complete -c tailcast -f -n __fish_use_subcommand -a $word -d $gist
            test "$value" = FILE; or complete -c tailcast -n "__fish_seen_subcommand_from $word" -f
        end
        continue
    else if not string match -q -- '-*' $word
        complete $args -f -a $word
        continue
    end
    set -a args -l (string sub -s 3 -- $word)
    test -n "$short"; and set -a args -s (string sub -s 2 -- $short)
    switch $value
        case ''
        case '*|*'
            set -a args -x -a (string replace -a '|' ' ' $value)
        case FILE PATH
            set -a args -r -F
        case DIR
            set -a args -x -a '(__fish_complete_directories)'
        case '*'
            set -a args -x
    end
    complete $args
end
