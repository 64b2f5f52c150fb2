"""``metabalance methods``: the method table on the terminal, as Markdown or as JSON. Imports nothing heavy."""

from metabalance.methods import METHODS, STAGES, UnknownName, as_markdown, nearest


def methods_command(*, stage: str | None, markdown: bool, as_json: bool, strategies: bool = False) -> None:
    """Prints the method table.

    Raises:
        UnknownName: No such stage.
    """
    if strategies:
        _show_strategies(markdown)
        return
    stages = list(STAGES)
    if stage is not None and stage not in stages:
        near = nearest(stage, stages)
        raise UnknownName(f"the stage {stage!r} is unknown; use one of {', '.join(near or stages)}")
    shown = [m for m in METHODS if stage in (None, m.stage)]
    if markdown:
        print(as_markdown())
        return
    if as_json:
        import json

        print(json.dumps([m.as_dict() for m in shown], indent=1))
        return
    from rich.table import Table

    from metabalance.study.terminal import Console

    console = Console()
    wide = console.width >= 120
    table = Table(box=None, pad_edge=False)
    for column in (
        "name",
        "stage",
        "paper",
        "arXiv",
        "modality",
        "target",
        *(["what it does"] if wide else []),
    ):
        table.add_column(column, overflow="fold")
    for m in shown:
        table.add_row(
            m.name,
            m.stage,
            m.papers[0].short,
            m.arxiv or "",
            m.modality,
            ", ".join(m.kinds) if m.recipe else "",
            *([m.what] if wide else []),
        )
    console.print(table)


def _show_strategies(markdown: bool) -> None:
    from metabalance.study.strategies_table import HEADS, strategies_markdown, strategy_rows

    if markdown:
        print(strategies_markdown())
        return
    from rich.table import Table

    from metabalance.study.terminal import Console

    table = Table(box=None, pad_edge=False)
    for column in ("recipe", *HEADS.values()):
        table.add_column(column)
    for name, why in [*strategy_rows(), *strategy_rows("values")]:
        table.add_row(name, *("yes" if reason is None else "no" for reason in why.values()))
    Console().print(table)
