"""What the page looks like: light and dark, on paper, and on a screen of any width.

No colour says anything alone: reached, failed and critical are told by words, dashes and thickness as well. Every pair
of text and ground has a contrast of at least 4.5 (WCAG 2.2, 1.4.3), every line that means something 3 (1.4.11).

Not here: the document (page).
"""

from __future__ import annotations

import base64
import hashlib

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--raised:#f5f7fa;--fg:#1b1f24;--muted:#57606a;--line:#d0d7de;--strong:#6e7781;
--link:#0550ae;--ok:#176f2c;--warn:#835200;--bad:#b3141d;--hot:#8a2be2;--warn-bg:#fff6e0;--bad-bg:#ffeef0;
--ok-bg:#e9f7ec;
--bar:#5b8fd6;--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media (prefers-color-scheme:dark){:root{--bg:#0f1318;--raised:#181e25;--fg:#e6eaef;--muted:#a3adb8;--line:#343c46;
--strong:#8b949e;--link:#7fb8ff;--ok:#5fd38a;--warn:#e8b84a;--bad:#ff8d8d;--hot:#cfa3ff;--warn-bg:#2a2310;
--bad-bg:#33181b;
--ok-bg:#12281a;--bar:#4d7fc4}}
*{box-sizing:border-box}
html{scroll-padding-top:1rem}
body{margin:0 auto;padding:0 1.25rem 3rem;max-width:76rem;background:var(--bg);color:var(--fg);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;overflow-wrap:anywhere}
a{color:var(--link)}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem;background:var(--bg);padding:.5rem}
header{padding:1.5rem 0 .5rem}
.kind{margin:0;color:var(--muted)}
h1{margin:0 0 .5rem;font-size:1.75rem;line-height:1.2}
h2{margin:2.5rem 0 .75rem;padding-bottom:.3rem;border-bottom:1px solid var(--line);font-size:1.3rem}
h3{margin:1.5rem 0 .5rem;font-size:1.05rem}
code,pre{font-family:var(--mono);font-size:.875em}
.status{display:inline-block;margin:.25rem 0 .75rem;padding:.2rem .75rem;border:2px solid;border-radius:1rem;
font-weight:600}
.look{color:var(--bad);background:var(--bad-bg)}.fine{color:var(--ok);background:var(--ok-bg)}
.first{margin:.25rem 0 1rem;padding:.75rem 1rem .75rem 2rem;background:var(--raised);border-radius:.5rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem .9rem;margin:.5rem 0;font-size:.9rem}
dt{color:var(--muted)}dd{margin:0}
nav ul{display:flex;flex-wrap:wrap;gap:.35rem 1.25rem;margin:0;padding:.6rem 0;list-style:none;
border-block:1px solid var(--line)}
nav li{margin:0}nav a{display:inline-block;padding:.2rem 0}
.mark{display:inline-block;padding:0 .4rem;border:1px solid;border-radius:.25rem;font-size:.8rem;font-weight:600}
.error{color:var(--bad)}.warning,.widens{color:var(--warn)}
li{margin:.3rem 0}.more{display:block;color:var(--muted)}
.scroll{overflow-x:auto;margin:.75rem 0;border-radius:.25rem}
table{border-collapse:collapse;font-size:.9rem}
caption{text-align:left;font-weight:600;padding:.25rem 0}
th,td{padding:.3rem .9rem .3rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
thead th{color:var(--muted);font-weight:600;white-space:nowrap}
.scroll td,.scroll th{overflow-wrap:break-word;max-width:26rem}
.number{text-align:right;white-space:nowrap}
.wide td,.wide th{min-width:5.5rem;max-width:24rem}
pre{margin:.5rem 0;padding:.6rem .8rem;overflow-x:auto;background:var(--raised);border-radius:.4rem;
white-space:pre-wrap}
pre .add{color:var(--ok)}pre .del{color:var(--bad)}
details{margin:.75rem 0;border:1px solid var(--line);border-radius:.4rem;padding:.4rem .8rem}
summary{cursor:pointer;font-weight:600}
figure{margin:1rem 0}figcaption{color:var(--muted);font-size:.9rem;max-width:60rem}
svg text{font:12px var(--mono);fill:var(--fg)}
svg .wave,svg .tick{fill:var(--muted)}svg .below{fill:var(--muted);font-size:11.5px}
svg .took{font-size:11px;fill:var(--muted)}
.box rect{fill:var(--raised);stroke:var(--strong);stroke-width:1.2}
.box.then rect{stroke-dasharray:2 3}
.box.failed rect{stroke:var(--bad);stroke-width:1.8;stroke-dasharray:7 4}.box.failed .below{fill:var(--bad)}
.box.critical rect{stroke:var(--hot);stroke-width:3.2}
.arrow{fill:none;stroke:var(--strong);stroke-width:1.2}.arrow.after{stroke-dasharray:4 4}
.arrow.critical{stroke:var(--hot);stroke-width:3}.tip{fill:var(--strong)}.tip-critical{fill:var(--hot)}
.grid{stroke:var(--line);stroke-width:1}.waits{stroke:var(--strong);stroke-width:1.5;stroke-dasharray:2 3}
.bar{fill:var(--bar);stroke:var(--bar)}
.bar.failed{fill:var(--bad-bg);stroke:var(--bad);stroke-width:1.6;stroke-dasharray:4 2}
.bar.critical{stroke:var(--hot);stroke-width:3}.area{fill:var(--bar)}
.source{width:100%;table-layout:fixed;border-collapse:separate;border-spacing:0;font-size:.85rem}
.source th,.source td{padding:.05rem .5rem .05rem 0;border:0}
.source thead th{padding-bottom:.3rem}
.source th:nth-child(1){width:4.2rem;text-align:right;color:var(--muted);font-weight:400;font-family:var(--mono)}
.source thead th:nth-child(2){padding-left:.5rem}.source thead th:nth-child(3){padding-left:calc(.7rem + 4px)}
.source thead th:nth-child(1){font-family:inherit;font-weight:600}
.source th:nth-child(2){width:7.2rem}
.source td:nth-child(2){padding-left:.5rem;font-size:.8rem;color:var(--muted);white-space:nowrap}
.source td:nth-child(3){border-left:4px solid transparent;padding-left:.7rem}
.source code{white-space:pre-wrap;font-size:.82rem;tab-size:4}
.source b{color:var(--fg)}
.ran td:nth-child(3){border-left-color:var(--ok)}
.fault td:nth-child(3){border-left:4px dashed var(--warn);background:var(--warn-bg)}
.never td:nth-child(3){border-left:4px double var(--bad);background:var(--bad-bg)}
.source .fault td:nth-child(2){color:var(--warn)}.source .never td:nth-child(2){color:var(--bad);font-weight:600}
.source .never b,.source .fault b{color:var(--fg)}
.source tr:target th,.source tr:target td{background:var(--raised);
box-shadow:inset 0 2px var(--link),inset 0 -2px var(--link)}
.remark div{margin:.25rem 0 .4rem;padding:.3rem .7rem;border-left:4px solid;border-radius:.2rem;
background:var(--warn-bg);
font-size:.85rem}
.remark div{border-color:var(--warn);color:var(--fg)}
.remark div.error{background:var(--bad-bg);border-color:var(--bad)}
.remark div.warning b{color:var(--warn)}.remark div.error b{color:var(--bad)}
.gap td,.cut{color:var(--muted);font-style:italic}
footer{margin-top:3rem;padding-top:.75rem;border-top:1px solid var(--line);color:var(--muted);font-size:.9rem}
@media (max-width:40rem){body{padding:0 .8rem 2rem}h1{font-size:1.4rem}dl{grid-template-columns:1fr}
dd{margin-bottom:.4rem}
.source th:nth-child(1){width:2.4rem}.source th:nth-child(2){width:3.9rem}
.source td:nth-child(2){white-space:normal;overflow-wrap:normal;padding:.15rem .2rem;font-size:.75rem;line-height:1.2}
.source thead th{font-size:.75rem}}
@media print{body{max-width:none;padding:0;font-size:10pt}nav,.skip{display:none}details{border:0;padding:0}
details::details-content{content-visibility:visible;display:block;height:auto}.scroll{overflow:visible}
svg{max-width:100%;height:auto}tr,figure{break-inside:avoid}h2{break-after:avoid}a{color:inherit;text-decoration:none}
}
"""
DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
"""By which the page's policy knows its one style sheet."""
