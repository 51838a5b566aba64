# bash completion for tailcast; made by: tailcast help --completions bash

# A line for each word that may stand behind a command (or first, where there is none): COMMAND;WORD;SHORT;VALUE;*;GIST
_tailcast_words='@WORDS@'

_tailcast() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} of='' words='' line
    local command word value operand=''
    COMPREPLY=()
    # Bash makes three words of --flag=value.
    if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD - 2]}; fi
    ((COMP_CWORD == 1)) || of=${COMP_WORDS[1]}
    while IFS=';' read -r command word _ value _; do
        if [[ $command == "$of" ]]; then
            words+="$word "
            if [[ $word == "$prev" && -n $value ]]; then
                operand=''
                case $value in
                *'|'*) words=${value//|/ } && break ;;
                FILE | PATH) return ;;
                DIR) compopt -o dirnames ;;
                esac
                compopt +o default
                return
            fi
        elif [[ $command$word == "$of" ]]; then
            operand=$value
        fi
    done <<<"$_tailcast_words"
    if [[ $operand == FILE && $cur != -* ]]; then return; fi
    # Where there are words, file names would be in the way.
    compopt +o default
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -W "$words" -- "$cur")
}
complete -o default -F _tailcast tailcast
