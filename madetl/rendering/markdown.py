"""Other people's Markdown as HTML that can do nothing but be read. Pure: text in, HTML out.

Three safeguards: the parser passes no HTML through, a sanitizer cleans what the parser makes, and the page has a
content security policy.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import cache, lru_cache

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

LONGEST = 200_000
"""Characters; a longer text is shown as it is, since a parser's time may grow faster than the text."""

_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "img", "li", "ol", "p", "pre", "s",
    "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES = {
    "*": {"dir"},
    "a": {"href", "title"},
    "img": {"src", "alt", "title"},
    "ol": {"start"},
    "span": {"class"},
    "td": {"class"},
    "th": {"class"},
}
_ALIGNMENTS = {"text-align:left": "left", "text-align:center": "center", "text-align:right": "right"}


@lru_cache(maxsize=256)
def render(text: str, breaks: bool = True) -> Markup:
    """The Markdown (CommonMark, tables, strikethrough) as safe HTML. With `breaks`, a line end stays one.

    Headings begin at h3, below those of the page; each block finds its own direction; a picture from another
    server becomes its description, so that no other server learns who looks at what.
    """
    if len(text) > LONGEST:
        return Markup(f'<pre dir="auto">{html.escape(text)}</pre>')
    parser = _parser(breaks)
    tokens = parser.parse(text)
    _adapt(tokens)
    unsafe = parser.renderer.render(tokens, parser.options, {})
    return Markup(_clean(unsafe))


@cache
def _parser(breaks: bool) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": breaks}).enable(["table", "strikethrough"])
    parser.inline.ruler.before("entity", "line_break_tag", _line_break_tag)
    parser.add_render_rule("image", _image)
    return parser


def _clean(unsafe: str) -> str:
    return nh3.clean(
        unsafe,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_only_harmless,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}, "pre": {"dir": "ltr"}},
    )


def _only_harmless(tag: str, attribute: str, value: str) -> str | None:
    """Drops a link to a data address, and a picture from any other address."""
    if attribute in {"href", "src"} and value.strip().lower().startswith("data:") != (tag == "img"):
        return None
    return value


def _adapt(tokens: Sequence[Token]) -> None:
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
        if token.nesting == 1 and token.level == 0:  # an inner block with a dir would be skipped
            token.attrSet("dir", "auto")
        if token.type in {"td_open", "th_open"} and (style := token.attrs.pop("style", None)):
            token.attrSet("class", _ALIGNMENTS[str(style)])  # the policy allows no style attributes


def _line_break_tag(state: StateInline, silent: bool) -> bool:
    """Parses <br>, which models write into the cells of tables: the only HTML tag that counts."""
    for tag in ("<br>", "<br/>", "<br />"):
        if state.src.startswith(tag, state.pos):
            if not silent:
                state.push("hardbreak", "br", 0)
            state.pos += len(tag)
            return True
    return False


def _image(self: RendererHTML, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
    token = tokens[idx]
    source = str(token.attrGet("src") or "")
    description = html.escape(self.renderInlineAsText(token.children, options, env))
    if source.startswith("data:image/"):
        return f'<img src="{html.escape(source)}" alt="{description}">'
    return f'<span class="picture">[picture: {description or "no description"}, {html.escape(source)}]</span>'
