// The first picture of the front page and of every chapter is on the first screen.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { BUILD, inParallel, launch, listPages } from "./site.mjs";

const SCREENS = [
    { width: 1280, height: 900, edge: "bottom", screens: 1 },
    { width: 375, height: 812, edge: "top", screens: 2 },
];

const { pages } = await listPages(BUILD);
const opened = pages.filter(file => /[/\\](index|\d\d_\w+)\.html$/.test(file));
const browser = await launch();
after(() => browser.close());

// How far down the edge of the first picture lies, in screens; Infinity where there is none.
async function depth(file, { width, height, edge }) {
    const page = await browser.newPage({ viewport: { width, height } });
    await page.goto(pathToFileURL(join(BUILD, file)).href, { waitUntil: "load" });
    const pixels = await page.evaluate(side => {
        const picture = document.querySelector("article figure :is(img, svg)");
        return picture ? picture.getBoundingClientRect()[side] + scrollY : Infinity;
    }, edge);
    await page.close();
    return pixels / height;
}

for (const screen of SCREENS) {
    const part = screen.edge === "bottom" ? "all of the first picture" : "the first picture's top";
    test(`at ${screen.width} px ${part} is on screen ${screen.screens}`, async t => {
        const depths = await inParallel(opened, file => depth(file, screen));
        const late = opened.filter((_, i) => depths[i] > screen.screens)
            .map(file => `${file}: ${depths[opened.indexOf(file)].toFixed(2)} screens down`);
        assert.deepEqual(late, []);
        assert.ok(opened.length > 1, "no chapter in the whole book");
        t.diagnostic(`${opened.length} pages`);
    });
}
