// Every page of the built book: `make book` first, then `make pages`.

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { after, test } from "node:test";
import * as detect from "./detectors.mjs";
import { BUILD, inParallel, openBook } from "./site.mjs";

const THEMES = ["light", "dark"];
const WIDTHS = [1280, 375, 320];

const { pages, redirects, visit, close } = await openBook();
after(close);

const surveys = new Map();
await inParallel(pages, file => visit(file, { javaScriptEnabled: false }, async page => {
    surveys.set(file, await detect.survey(page));
    return [];
}));
const sum = counts => [...counts].reduce((total, count) => total + count, 0);
const each = detector => pages.flatMap(
    file => detector(surveys.get(file)).map(fault => `${file}: ${fault}`));

for (const scheme of ["file", "http"]) {
    test(`over ${scheme}: no other host, no error in the console`, async t => {
        const faults = await inParallel(pages, file => visit(file, { scheme }));
        assert.deepEqual(faults.flat(), []);
        t.diagnostic(`${pages.length} pages over ${scheme}`);
    });
}

test("mathematics is typeset without JavaScript", t => {
    const formulas = sum(pages.map(file => surveys.get(file).formulas));
    assert.deepEqual(each(detect.mathematics), []);
    assert.ok(formulas > 0, "no formula in the whole book");
    t.diagnostic(`${pages.length} pages, ${formulas} formulas`);
});

test("every link and fragment inside the book resolves", async t => {
    const { faults, count } = detect.links(BUILD, surveys, redirects);
    assert.deepEqual(faults, []);
    assert.ok(count > 0, "no link in the whole book");
    assert.ok(redirects.has("index.html"), "index.html does not lead to the first page");
    t.diagnostic(`${pages.length} pages, ${redirects.size} redirect, ${count} links`);
});

test("every file that a style sheet names is there", async t => {
    const files = (await readdir(BUILD, { recursive: true })).filter(name => name.endsWith(".css"));
    const { faults, count } = detect.styleSheets(BUILD, files);
    assert.deepEqual(faults, []);
    assert.ok(count > 0, "no style sheet names a font");
    t.diagnostic(`${files.length} style sheets, ${count} files`);
});

test("every image has alt text and a caption", t => {
    const count = sum(pages.map(file => surveys.get(file).images.length));
    assert.deepEqual(each(detect.images), []);
    assert.ok(count > 0, "no image in the whole book");
    t.diagnostic(`${pages.length} pages, ${count} images`);
});

for (const theme of THEMES) {
    test(`${theme} theme: axe-core and horizontal scrolling`, async t => {
        let rules = 0;
        const inspect = async page => {
            const faults = [];
            assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), theme);
            for (const width of WIDTHS) {
                await page.setViewportSize({ width, height: 900 });
                await page.waitForTimeout(500); // the theme looks at scrolling boxes after 300 ms
                const axe = await detect.accessibility(page);
                rules += axe.count;
                faults.push(...[...axe.faults, ...await detect.overflow(page)].map(
                    fault => `at ${width} px: ${fault}`));
            }
            return faults;
        };
        // With results on the search page, and with words marked on the others.
        const options = { scheme: "http", theme, query: "?q=pole&marked=pole" };
        const faults = await inParallel(pages, file => visit(file, options, inspect));
        assert.deepEqual(faults.flat(), []);
        assert.ok(rules > 0, "axe-core tested nothing");
        t.diagnostic(`${pages.length} pages at ${WIDTHS.join(", ")} px, ${rules} rules applied`);
    });
}
