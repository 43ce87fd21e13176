"""``alter-sync completion``: the script that makes a shell complete commands, options and agent names."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from reconciler.cli.boundary import guarded
from reconciler.cli.console import Console
from reconciler.errors import ExitCode

EPILOG = """\b
Examples:
  alter-sync completion bash > ~/.local/share/bash-completion/completions/alter-sync
  alter-sync completion zsh > ~/.zfunc/_alter-sync     with ~/.zfunc in $fpath, before compinit
  alter-sync completion fish > ~/.config/fish/completions/alter-sync.fish
  source <(alter-sync completion bash)                 for this shell only
"""


class Shell(StrEnum):
    """The shells that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


Name = Annotated[Shell, typer.Argument(help="Which shell.", metavar="[bash|zsh|fish]")]

# No answer means that a file is expected, which each script leaves to its shell. None evaluates an answer.
SCRIPTS = {
    Shell.BASH: """\
# bash completion for alter-sync
_alter_sync() {
    local answer
    COMPREPLY=()
    while IFS= read -r answer; do
        COMPREPLY+=("$answer")
    done < <(alter-sync __complete bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace
    fi
}
complete -o default -F _alter_sync alter-sync
""",
    Shell.ZSH: """\
#compdef alter-sync
# zsh completion for alter-sync
_alter_sync() {
    local -a lines described bare
    local line
    lines=("${(@f)$(alter-sync __complete zsh "${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
    for line in $lines; do
        if [[ $line == *= || $line == *=$'\\t'* ]]; then
            bare+=("${line%%$'\\t'*}")
        else
            described+=("${${line//:/\\\\:}/$'\\t'/:}")
        fi
    done
    if (( ! $#bare && ! $#described )); then
        _files
        return
    fi
    (( $#described )) && _describe -V alter-sync described
    (( $#bare )) && compadd -S '' -a bare
}
if [[ $funcstack[1] == _alter_sync ]]; then
    _alter_sync "$@"
else
    compdef _alter_sync alter-sync
fi
""",
    Shell.FISH: """\
# fish completion for alter-sync
function __alter_sync
    set -l found (alter-sync __complete fish (commandline -cp | string collect) 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete --command alter-sync --no-files --arguments '(__alter_sync)'
""",
}


def completion(shell: Name) -> ExitCode:
    """Print the script with which a shell completes commands, options, guards and names of declared agents.

    It asks alter-sync each time, so it need not be written anew after an update. Nothing is read but the
    configuration that the command line names, and no connection is made.
    """
    console = Console()

    def action() -> ExitCode:
        console.text(SCRIPTS[shell])
        return ExitCode.OK

    return guarded(console, action)
