"""A report as one HTML page: no script, nothing from the network, readable on light and on dark ground."""

from collections.abc import Iterable
from html import escape
from string import Template

from recsys.evaluation.table import shown

STYLE = """\
:root { color-scheme: light dark; --ground: #fff; --text: #1c1e21; --soft: #63686f; --rule: #d9dce0; --ours: #eef5fc }
@media (prefers-color-scheme: dark) {
  :root { --ground: #16181c; --text: #e6e8ea; --soft: #9aa1a9; --rule: #363b42; --ours: #1c2a38 }
}
body { margin: 0 auto; max-width: 1180px; padding: 1.5rem; background: var(--ground); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 0 .75rem; overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
dl { display: flex; flex-wrap: wrap; gap: .4rem 2rem; margin: 0 }
dt { color: var(--soft); font-size: .8rem }
dd { margin: 0; overflow-wrap: anywhere }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100% }
th, td { padding: .4rem .4rem; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap;
  font-weight: normal; vertical-align: baseline }
thead th { color: var(--soft); font-size: .85rem }
th:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 7rem }
.methods th:first-child { overflow-wrap: normal }
.methods tbody tr:first-child { background: var(--ours) }
.methods tbody tr:first-child th, .highest { font-weight: 650 }
small { display: block; color: var(--soft); font-size: .68rem; font-weight: normal; max-width: 7rem;
  margin-left: auto; overflow: hidden; text-overflow: ellipsis }
p { color: var(--soft); max-width: 70ch; font-size: .85rem }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 1rem }
.charts svg { width: 100%; height: auto }
details { margin-top: .5rem }
summary { cursor: pointer; color: var(--soft) }"""
"""Of a page with facts, tables and charts, readable on light and on dark ground."""

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
$style
</style>
</head>
<body>
<h1>$title</h1>
<dl>$facts</dl>
$body
</body>
</html>
""")
FACT = Template("<div><dt>$name</dt><dd>$value</dd></div>")


def document(title: str, facts: Iterable[tuple[str, str]], body: str, more_style: str = "") -> str:
    """The whole page; title and facts (name and value) are text, `body` is markup already."""
    return PAGE.substitute(
        style=STYLE + more_style,
        title=as_text(title),
        facts="".join(FACT.substitute(name=as_text(name), value=as_text(value)) for name, value in facts),
        body=body,
    )


def as_text(text: str) -> str:
    """A stranger's text as markup that shows it.

    >>> as_text("<b>")
    '&lt;b&gt;'
    """
    return escape(shown(text))
