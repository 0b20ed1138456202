# SPDX-License-Identifier: MIT
"""How the page looks: one style sheet, readable on a desk, a phone, in the dark and on paper."""

STYLE = """
:root { --ink: #1b1b1f; --soft: #5c5f66; --line: #d9dbe0; --paper: #ffffff; --band: #f5f6f8;
  --good: #00694a; --bad: #a33c00; --goodback: #e3f4ec; --badback: #fdeee2; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 1.2rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: .2rem 0 .4rem; line-height: 1.2; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; border-top: 1px solid var(--line);
  padding-top: 1rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .4rem 0; max-width: 46rem; }
.soft, figcaption, caption { color: var(--soft); font-size: .875rem; }
caption span { display: block; max-width: min(46rem, calc(100vw - 2rem)); }
caption { text-align: left; padding-bottom: .3rem; caption-side: top; }
.words { background: var(--band); border-left: 4px solid #0072b2; padding: .6rem .9rem;
  margin: .8rem 0; }
.words ul { margin: 0; padding-left: 1.1rem; }
.scroll { overflow-x: auto; -webkit-overflow-scrolling: touch; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem;
  margin: .4rem 0; }
th, td { padding: .28rem .6rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; vertical-align: top; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0;
  background: var(--paper); }
thead th { white-space: normal; vertical-align: bottom; border-bottom: 2px solid var(--ink);
  font-weight: 600; }
td small { display: block; color: var(--soft); font-size: .75rem; }
td.best { background: var(--goodback); color: var(--good); font-weight: 600; }
td.worst { background: var(--badback); color: var(--bad); font-weight: 600; }
td.best small, td.worst small { color: inherit; font-weight: 400; }
.none { color: var(--soft); }
figure { margin: .6rem 0 1rem; }
figure svg { width: 100%; max-width: 46rem; height: auto; background: #fff; }
figure img { max-width: 100%; height: auto; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .2rem 1rem;
  font-size: .875rem; margin: .4rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
code { font-family: ui-monospace, Consolas, monospace; font-size: .85em;
  overflow-wrap: anywhere; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--soft); }
@media (max-width: 40rem) { body { font-size: 15px; } main { padding: .8rem .7rem 3rem; }
  th, td { padding: .28rem .4rem; }
  dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
@media print { h2 { break-after: avoid; } figure, table { break-inside: avoid; } }
"""
