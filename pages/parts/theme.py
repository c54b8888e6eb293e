"""The look: what config.toml cannot say, as one small style sheet on Streamlit's own variables; light and dark alike."""

from __future__ import annotations

import streamlit as st

STYLE = """
<style>
:root { --sh-line: color-mix(in srgb, currentColor 14%, transparent); --sh-quiet: color-mix(in srgb, currentColor 68%, transparent); }
[data-testid="stMainBlockContainer"] { max-width: 118rem; padding: 1.6rem 2rem 3rem; }
[data-testid="stHeader"] { background: transparent; height: 2.2rem; }
[data-testid="stSidebarHeader"] { height: 2.4rem; padding: .4rem .8rem 0; margin: 0; }
[data-testid="stSidebarUserContent"] { padding: 0 1.2rem 2rem; }
[data-testid="stSidebarUserContent"] [data-testid="stVerticalBlock"] { gap: .55rem; }
[data-testid="stMainBlockContainer"] [data-testid="stVerticalBlock"] { gap: .8rem; }
.sh-brand { display: flex; align-items: baseline; gap: .9rem; flex-wrap: wrap; }
.sh-brand h1 { font-family: "Source Serif", "Source Serif 4", Georgia, serif; font-size: 1.8rem; line-height: 1.2; margin: 0; padding: 0; letter-spacing: -.01em; }
.sh-brand p { margin: 0; font-size: 1.02rem; color: var(--sh-quiet); max-width: 62rem; }
h2.sh-title { font-size: 1.12rem; line-height: 1.3; margin: 0; padding: 0; }
h3.sh-group { font-size: .95rem; margin: .5rem 0 0; padding: .55rem 0 0; border-top: 1px solid var(--sh-line); }
[data-testid="stSidebarUserContent"] hr { margin: .4rem 0; }
.sh-sub { margin: .1rem 0 0; font-size: .87rem; color: var(--sh-quiet); }
.sh-story { font-size: 1.08rem; line-height: 1.55; margin: 0; max-width: 80rem; }
.sh-story b { font-weight: 650; }
.sh-facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .9rem 1.4rem; margin: .2rem 0; }
.sh-facts div { border-left: 2px solid var(--sh-line); padding-left: .7rem; }
.sh-facts dt { font-size: .8rem; color: var(--sh-quiet); }
.sh-facts dd { margin: 0; font-size: 1.22rem; font-variant-numeric: tabular-nums; }
.sh-facts small { display: block; font-size: .78rem; color: var(--sh-quiet); }
.sh-bars { display: grid; grid-template-columns: max-content 1fr 4.2rem; gap: .32rem .7rem; align-items: center; font-size: .88rem; }
.sh-bars i { display: block; height: .82rem; border-radius: 2px; background: var(--sh-line); }
.sh-bars i b { display: block; height: 100%; min-width: 1px; border-radius: 2px; background: var(--sh-bar, #0072B2); }
.sh-bars .sh-true { font-weight: 650; }
.sh-bars span:nth-child(3n) { text-align: right; font-variant-numeric: tabular-nums; color: var(--sh-quiet); }
.sh-key { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; font-size: .84rem; color: var(--sh-quiet); margin: 0; }
.sh-key span { display: inline-flex; align-items: center; gap: .38rem; }
.st-key-run_bar { padding: .55rem .8rem; }
.st-key-run_bar [data-testid="stMarkdownContainer"] p { margin: 0; }
[data-testid="stWidgetLabel"] p { font-size: .9rem; }
@media (min-width: 1600px) { html { font-size: 16px; } }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; animation: none !important; } }
</style>
"""


def apply() -> None:
    """Put the style sheet on the page."""
    st.html(STYLE)


def name() -> str:
    """ "light" or "dark", as the browser shows it now."""
    return "dark" if st.context.theme.type == "dark" else "light"
