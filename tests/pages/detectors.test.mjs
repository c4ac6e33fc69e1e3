// The detectors detect: a page with one fault of each kind, and a sound page with none.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import * as detect from "./detectors.mjs";
import { findBrowser, launch, listPages, serve } from "./site.mjs";

const folder = mkdtempSync(join(tmpdir(), "pages with a space "));
const page = (title, body) => writeFileSync(join(folder, `${title}.html`), `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>${title}</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="style.css"></head>
<body><main><h1>${title}</h1><article>${body}</article></main></body></html>`);

writeFileSync(join(folder, "dot.svg"), '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');
writeFileSync(join(folder, "style.css"), "p { background: url(dot.svg) }");
writeFileSync(join(folder, "broken.css"),
    "a { src: url(gone.woff2) } b { src: url('https://fonts.example/f.woff2') }");
page("sound", `<p id="here">A <a href="#here">link</a>,
    <span class="math"><span class="katex"><span class="katex-html">h</span></span></span>,
    <code>$x$</code>.</p>
    <figure><img src="dot.svg" alt="A dot."><figcaption>Dot.</figcaption></figure>`);
page("faulty", `<img src="https://images.example/dot.png"><a href="gone.html">gone</a>
    <a href="sound.html#gone">gone too</a><p>The loss $L = 0$ and \\(h_j\\)</p>
    <span class="math">h_j</span><code class="katex-error">\\frac</code>
    <div style="width: 2000px">wide</div>
    <script>console.error("complaint"); throw new Error("thrown");</script>`);

const server = await serve(folder);
const browser = await launch();
after(async () => {
    await browser.close();
    server.close();
    rmSync(folder, { recursive: true });
});

async function examine(name) {
    const open = async options => {
        const tab = await browser.newPage({ viewport: { width: 320, height: 600 }, ...options });
        const complaints = await detect.watch(tab, server.url);
        await tab.goto(server.url + name, { waitUntil: "load" });
        await tab.waitForLoadState("networkidle");
        return { tab, complaints };
    };
    const found = await detect.survey((await open({ javaScriptEnabled: false })).tab);
    const { tab, complaints } = await open({});
    const wide = await detect.overflow(tab);
    const axe = await detect.accessibility(tab);
    return { found, complaints, wide, axe: axe.faults };
}

const has = (faults, pattern) => assert.ok(
    faults.some(fault => pattern.test(fault)), `${pattern} is not among ${JSON.stringify(faults)}`);

test("a sound page has no fault", async () => {
    const { found, complaints, wide, axe } = await examine("sound.html");
    const { faults, count } = detect.links(folder, new Map([["sound.html", found]]));
    assert.deepEqual([...faults, ...complaints, ...wide, ...axe], []);
    assert.deepEqual([...detect.mathematics(found), ...detect.images(found)], []);
    assert.deepEqual([found.formulas, found.images.length, count], [1, 1, 4]);
});

test("every fault of a faulty page is reported", async () => {
    const [{ found }, faulty] = [await examine("sound.html"), await examine("faulty.html")];
    const surveys = new Map([["sound.html", found], ["faulty.html", faulty.found]]);
    const links = detect.links(folder, surveys, new Map([["index.html", "lost.html"]])).faults;
    has(links, /^faulty.html: loads https:\/\/images.example/);
    has(links, /^faulty.html: no file for gone.html/);
    has(links, /^faulty.html: no fragment for sound.html#gone/);
    has(links, /^index.html: no file for lost.html/);
    has(faulty.complaints, /another host: https:\/\/images.example/);
    has(faulty.complaints, /console: complaint/);
    has(faulty.complaints, /script error: thrown/);
    has(faulty.wide, /px of content in a window of 320 px/);
    has(faulty.axe, /^axe image-alt at img/);
    has(detect.images(faulty.found), /without alt text/);
    has(detect.images(faulty.found), /without caption/);
    has(detect.mathematics(faulty.found), /KaTeX refuses: \\frac/);
    has(detect.mathematics(faulty.found), /1 formulas not typeset/);
    has(detect.mathematics(faulty.found), /raw TeX: .*\$L = 0\$/);
    has(detect.mathematics(faulty.found), /raw TeX: .*\\\(h_j/);
});

test("a style sheet that names a missing or a foreign file is reported", () => {
    const { faults, count } = detect.styleSheets(folder, ["style.css", "broken.css"]);
    assert.equal(count, 3);
    has(faults, /broken.css: no file for gone.woff2/);
    has(faults, /broken.css: loads https:\/\/fonts.example/);
    assert.equal(faults.length, 2);
});

test("no build, no page and no browser are errors that say so", async () => {
    await assert.rejects(listPages(join(folder, "none")), /run "make book" first/);
    await assert.rejects(listPages(mkdtempSync(join(folder, "empty"))), /No page in/);
    assert.throws(() => findBrowser({ CHROMIUM: join(folder, "none") }), /does not exist/);
});
