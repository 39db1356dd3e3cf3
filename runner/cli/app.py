"""The verbs, and which module each one lives in: a module is imported when its verb is asked for.

`runner --help` reads this table alone, so it costs the argument parser and nothing else. The first line
of a verb's docstring and its line here are the same text; a test holds them to it.

Not here: what a verb does (its module), how errors become exit codes (ends).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from runner.errors import UsageError


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: "module:function" below `runner.cli`, or verbs of its own."""

    help: str
    place: str = ""
    verbs: Mapping[str, Verb] = field(default_factory=dict)


VERBS: Mapping[str, Verb] = {
    "run": Verb("Check a script, run it in a sandbox under a policy, and print its result.", "run:run"),
    "check": Verb("Check a script against the dialect and a policy, without running it.", "check:check"),
    "rehearse": Verb(
        "Run a script against mock agents in virtual time, and hold it to expectations.", "rehearse:rehearse"
    ),
    "prompt": Verb("Print what a model needs to write scripts under a policy.", "author:prompt"),
    "stubs": Verb("Print Python stubs of a policy's agents, for type checkers and editors.", "author:stubs"),
    "init": Verb("Write a policy, one python agent and a script that run at once.", "policy:init"),
    "runs": Verb("List runs, newest first.", "runs:runs"),
    "scripts": Verb("List the scripts that were run, with their versions and how these ended.", "scripts:scripts"),
    "show": Verb("Tell the story of a run: what was asked, what happened, how it ended.", "show:show"),
    "diff": Verb("Say what differs between two runs: the ground they stood on, each spawn, their ends.", "diff:diff"),
    "approve": Verb("Sign that a script may run under a policy.", "decisions:approve"),
    "reject": Verb("Sign that a script may not run under a policy.", "decisions:reject"),
    "pending": Verb(
        "List the scripts that were stopped because a person must decide first.", "decisions:pending"
    ),
    "decisions": Verb(
        "List what was decided of scripts, newest first; or take a decision back.", "decisions:decisions"
    ),
    "key": Verb(
        "Make and show the reviewer's key of this home, and sign policies with it.",
        verbs={
            "new": Verb("Make the reviewer's key of this home, which signs decisions.", "keys:new"),
            "show": Verb("Show the reviewer's public key, as trust.yaml takes it.", "keys:show"),
            "sign": Verb(
                "Sign a policy as it is now, for hosts whose trust.yaml names this key as a signer.", "keys:sign"
            ),
        },
    ),
    "watch": Verb("Follow a live run from another terminal, and end with its exit code.", "watch:watch"),
    "stop": Verb("Stop a live run from another terminal, and wait until it has ended.", "watch:stop"),
    "review": Verb(
        "Say what a script could do at most, what it does in rehearsal, and which failures bring it down.",
        "review:review",
    ),
    "replay": Verb(
        "Run an archived script against its record, without calling an agent, and say where it goes another way.",
        "replay:replay",
    ),
    "resume": Verb("Go on with a run whose host died; what has settled is not called again.", "resume:resume"),
    "fail": Verb(
        "Give up an open spawn of a run whose host died: it has failed, and is not called again.", "resume:fail"
    ),
    "journal": Verb("Print the events of a run.", "journal:journal"),
    "verify": Verb("Check that the record of a run, a file or the store is whole and unaltered.", "verify:verify"),
    "export": Verb("Write a run to one signed file that can be imported elsewhere.", "files:export"),
    "import": Verb("Prove an exported file, and put its run into the store.", "files:import_"),
    "archive": Verb(
        "Keep the finished runs: hold, redact and prune them, and sign what proves them.",
        verbs={
            "prune": Verb("Remove runs that have ended, but for a tombstone of each.", "archive:prune"),
            "hold": Verb("Let a run be neither pruned nor redacted.", "archive:hold"),
            "release": Verb("End a hold.", "archive:release"),
            "redact": Verb("Erase what a spawn or a run was given or said; the record verifies.", "redact:redact"),
            "key": Verb("Show the public key that signs exports and heads.", "verify:key"),
            "head": Verb("Sign the head of the register, so that a later loss can be proven.", "verify:head"),
        },
    ),
    "audit": Verb("Say of every token for whom and what it was, and what it was used for.", "audit:audit"),
    "revoke": Verb("Revoke tokens that are out, and mint no such token any more in live runs.", "revoke:revoke"),
    "freeze": Verb("Refuse every new spawn and token on this host at once; what runs goes on.", "revoke:freeze"),
    "unfreeze": Verb("Let a frozen host begin spawns and tokens again.", "revoke:unfreeze"),
    "issuer": Verb(
        "Serve the embedded issuer to resource servers, and keep its keys.",
        verbs={
            "serve": Verb(
                "Serve the embedded issuer's keys, introspection and revocation to resource servers.",
                "issuer:serve",
            ),
            "show": Verb("Show the embedded issuer's URL and its signing keys.", "issuer:show"),
            "rotate": Verb(
                "Make a new signing key; the old one stays published until its last token has expired.",
                "issuer:rotate",
            ),
            "client": Verb(
                "Register a resource server that may introspect and revoke tokens, and print its credential once.",
                "issuer:client",
            ),
        },
    ),
    "agents": Verb(
        "List and describe the agents of a policy, and call one alone.",
        verbs={
            "list": Verb(
                "List the agents of a policy: how each is reached, what it may do, and what bounds it.",
                "agents:list_agents",
            ),
            "describe": Verb(
                "Say all that a policy says of one agent: schemas, scopes and what they open, limits, isolation, "
                "credential.",
                "agents:describe",
            ),
            "try": Verb(
                "Call one agent alone, as a spawn would, and show what crosses its border and what is dropped.",
                "agents_try:try_agent",
            ),
        },
    ),
    "policy": Verb(
        "Begin, check, explain, compare and lock policies, and print their schema for editors.",
        verbs={
            "explain": Verb(
                "Say whether an agent may have these scopes, what they open, or why not.", "policy:explain"
            ),
            "check": Verb("Read a policy as a run would, and show what it grants.", "policy:check"),
            "diff": Verb(
                "Say what a policy gives more or less than another; exit 9 where it gives more.", "policy_diff:diff"
            ),
            "lock": Verb(
                "Import a policy's agents, and write what they are to its lock: others are refused then.",
                "policy_lock:lock",
            ),
            "init": Verb(
                "Write a starting policy from an import path or an MCP server, with remarks on what to look at.",
                "policy_init:init",
            ),
            "schema": Verb("Print the JSON Schema of policy files.", "policy:schema"),
        },
    ),
    "mcp": Verb("Serve run_script, review_script, get_run and stop_run to MCP clients.", "mcp:mcp"),
    "image": Verb(
        "Build, list and remove what the docker sandbox runs.",
        verbs={
            "build": Verb("Build the sandbox image from this machine's Python.", "machine:build"),
            "list": Verb(
                "List the guest images, and how many runs of this store started from each.", "images:list_images"
            ),
            "prune": Verb(
                "Remove guest images that no new run starts from and no run of this store needs.", "images:prune"
            ),
        },
    ),
    "doctor": Verb(
        "Say what this machine can run, or whether what a policy names could be used, and what would mend the rest.",
        "machine:doctor",
    ),
}

# Without this typer would draw help with rich: 60 ms, and boxes where a pipe wants lines.
PLAIN = None


class LazyGroup(TyperGroup):
    """A group that knows its verbs by name, and imports one when it is called."""

    verbs: Mapping[str, Verb] = VERBS

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.verbs)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        verb = self.verbs.get(cmd_name)
        if verb is None:
            return None
        return _group(verb) if verb.verbs else _command(verb, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.verbs and not args[0].startswith("-"):
            raise _unknown_verb(args[0], self.verbs, ctx.command_path)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.help) for name, verb in self.verbs.items()])


def _unknown_verb(word: str, verbs: Mapping[str, Verb], above: str) -> UsageError:
    import difflib

    meant = difflib.get_close_matches(word, verbs, 1)
    ask = f"did you mean `{above} {meant[0]}`? " if meant else ""
    return UsageError(f'"{above}" has no verb "{word}"', hint=f"{ask}`{above} --help` tells them all")


def _command(verb: Verb, name: str) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=PLAIN, pretty_exceptions_enable=False)
    app.command(name)(_function(verb.place))
    return typer.main.get_command(app)


def _function(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(f"runner.cli.{module}"), name)
    return found


def _group(verb: Verb) -> Any:
    group = type("VerbGroup", (LazyGroup,), {"verbs": verb.verbs})
    app = typer.Typer(cls=group, add_completion=False, rich_markup_mode=PLAIN, subcommand_metavar="VERB [ARGS]...")
    app.callback(help=verb.help)(_nothing)
    return typer.main.get_command(app)


def _nothing() -> None:
    pass


def _show_version(wanted: bool) -> None:
    if wanted:
        from runner import __version__
        from runner.cli.output import put

        put(f"runner {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Run a Python script that a model wrote, so that a person can trust it.

    The script says what to delegate with spawn() and gather(). It is checked, runs in a locked sandbox,
    and every spawn is answered under a policy. Everything that happened is in one journal.
    """


def command() -> Any:
    """Return the whole command line as the argument parser's command."""
    app = typer.Typer(
        cls=LazyGroup,
        rich_markup_mode=PLAIN,
        pretty_exceptions_enable=False,
        subcommand_metavar="VERB [ARGS]...",
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="Exit codes: 0 done, 1 the script raised, 2 bad usage, policy or inputs, 3 rejected by the check, "
        "4 a review is needed, 5 a limit reached, 6 sandbox, 7 a replay diverged, 8 store, 9 an expectation failed, "
        "70 a defect of runner, "
        "130 stopped.",
    )
    app.callback()(_root)
    return typer.main.get_command(app)
