"""``seqlm play``"""

from __future__ import annotations

import contextlib

import click

from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option


@click.command("play")
@click.argument("run", metavar="RUN")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    metavar="N",
    help="Port of the page. 0 takes a free one.",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@plugin_option
def play_command(run: str, port: int, opens: bool, plugin_files: tuple[str, ...]) -> None:
    """Serve a page on which one plays with a language model, until Ctrl-C.

    RUN is the directory of a training. Type a beginning and watch the model continue it, see how surprising a text is,
    or let a bidirectional model fill gaps. Only this computer can reach the page.
    """
    import seqlm_core as seqlm
    from seqlm_core.play.server import LOOPBACK, listening_socket, make_server

    load_plugin_files(plugin_files)
    opened = seqlm.LanguageRun(run)
    opened.network  # noqa: B018, loaded before the page is offered
    with listening_socket(port) as listening:
        serve = make_server(opened, listening)
        address = f"http://{LOOPBACK}:{listening.getsockname()[1]}/"
        click.echo(f"{address}  (Ctrl-C ends it)")
        if opens:
            click.launch(address)
        with contextlib.suppress(KeyboardInterrupt):  # the usual end
            serve()
