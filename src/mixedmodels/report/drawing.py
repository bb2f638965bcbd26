"""How the figures of a page come to be drawn: after its text, those in view first, the others in idle time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

DRAW = """
(() => {
  const root = document.documentElement, waiting = new Map(), started = [];
  root.dataset.figures = "waiting";
  const library = () => {
    const kept = document.getElementById("bokeh-library");
    if (!kept) return;
    const script = document.createElement("script");
    script.textContent = kept.textContent;
    kept.remove();
    document.body.append(script);
  };
  const draw = (place) => {
    if (!waiting.delete(place)) return;
    library();
    const item = JSON.parse(place.nextElementSibling.textContent);
    started.push(Bokeh.embed.embed_item(item, place.id));
    if (!waiting.size) Promise.all(started).then(() => { root.dataset.figures = "drawn"; });
  };
  const rest = () => { for (const place of [...waiting.keys()]) draw(place); };
  const later = window.requestIdleCallback
    ? (work) => requestIdleCallback(work, {timeout: 1500}) : (work) => setTimeout(work, 60);
  const one = () => { for (const place of waiting.keys()) { draw(place); later(one); return; } };
  const start = () => {
    for (const place of document.querySelectorAll(".drawn-later")) waiting.set(place, true);
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); }
    }, {rootMargin: "300px"});
    for (const place of waiting.keys()) seen.observe(place);
    later(one);
  };
  addEventListener("beforeprint", rest);
  // text is painted before the library is read
  requestAnimationFrame(() => setTimeout(start, 0));
})();
"""


def later(layout: Any, name: str, height: int) -> str:
    """Return the place of a bokeh layout in a page and, beside it, what is drawn there."""
    from bokeh.embed import json_item

    # no tag begins inside of JSON so written
    item = json.dumps(json_item(layout, name), separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<div class="drawn-later" id="{name}" style="min-height:{height}px"></div>'
        f'<script type="application/json">{item}</script>'
    )


def scripts(library: Sequence[str]) -> str:
    """Return the scripts of a page: the library as text, which is run when the first figure is drawn."""
    code = "\n".join(library)
    return f'<script type="text/plain" id="bokeh-library">{code}</script><script>{DRAW}</script>'
