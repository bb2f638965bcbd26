"""The frame of a report: its style on screens and on paper."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
:root { --ink: #1c2430; --muted: #4d5562; --rule: #d9dde3; --link: #0b5fa5; }
* { box-sizing: border-box; }
body { font-family: system-ui, "Segoe UI", "DejaVu Sans", sans-serif; line-height: 1.5; color: var(--ink);
       background: #fff; margin: 0; }
header, main, footer { max-width: 64rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.55rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 0.6rem; border-bottom: 1px solid var(--rule); padding-bottom: 0.25rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 0.4rem; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 0.3rem 1.2rem; padding: 0; margin: 0.6rem 0; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible { outline: 3px solid #d9a200; outline-offset: 2px; }
section { overflow-x: auto; }
table { margin: 0.4rem 0 1rem; }
.formula code { font-size: 1.05rem; background: #f3f5f8; padding: 0.3rem 0.6rem; display: inline-block; }
pre { background: #f3f5f8; padding: 0.8rem 1rem; overflow-x: auto; white-space: pre-wrap; }
math { font-size: 1.12rem; margin: 0.5rem 0; }
figure { margin: 0 0 1.6rem; }
figure img { max-width: 100%; height: auto; }
figcaption, .missing { color: var(--muted); font-size: 0.9rem; }
blockquote { margin: 0.5rem 0; padding: 0.8rem 1rem; background: #f3f5f8; border-left: 4px solid var(--link); }
.checks { border-collapse: collapse; width: 100%; }
.checks th, .checks td { text-align: left; vertical-align: top; padding: 0.35rem 0.7rem;
                         border-bottom: 1px solid var(--rule); }
.verdict { display: inline-block; padding: 0 0.55rem; border-radius: 0.7rem; font-weight: 600; }
.verdict.ok { background: #d9f0e6; color: #0a5c41; }
.verdict.look { background: #fdf0cf; color: #6b4a00; }
.verdict.problem { background: #fbdfd0; color: #8a2f00; }
footer { color: var(--muted); font-size: 0.85rem; margin-top: 3rem; padding-bottom: 2rem; }
@media print {
  nav { display: none; }
  header, main, footer { max-width: none; padding: 0; }
  figure, tr, blockquote, pre { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
</style>
</head>
<body>
<header><h1>{title}</h1><nav aria-label="Contents"><ul>{contents}</ul></nav></header>
<main>
{body}
</main>
<footer>Written by mixedmodels {version}. The page needs no network.</footer>
{scripts}
</body>
</html>
"""
