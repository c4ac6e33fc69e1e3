// The search: offline, from the disk and from a server, and it leads to places.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { openBook } from "./site.mjs";

const { visit, close } = await openBook();
after(close);

// What a reader types, and the place that comes first.
const FIRST = [
    ["Theorem 2.1", "book/02_wrong_future.html", "clm-small-students"],
    ["implicit bias", "book/notation.html", "term-Implicit-bias"],
    ["learning rate", "book/notation.html", "term-Step-size"],
    ["Markov parameters", "book/notation.html", "term-Impulse-response"],
    ["heavy ball", "book/04_conservation.html", "clm-heavy-ball"],
    ["Fig. 5.4", "book/05_near_zero.html", "fig-alpha-squared"],
    ["the law of the square", "book/05_near_zero.html", "experiment-the-law-of-the-square"],
    ["inerpolation forces", "book/02_wrong_future.html", "clm-small-students"], // misspelt
];

const FIELD = ".bd-search-container input";
const hits = page => page.locator("#search-results li a");
const look = query => `?${new URLSearchParams({ q: query })}`;

for (const scheme of ["file", "http"]) {
    test(`over ${scheme} a search finds the place first`, async () => {
        const faults = await visit("search.html", { scheme }, async page => {
            const wrong = [];
            for (const [query, file, anchor] of FIRST) {
                await page.locator(FIELD).fill(query);
                const found = await hits(page).first().getAttribute("href");
                const right = new RegExp(`^${file}\\?marked=[^#]+#${anchor}$`).test(found);
                if (!right) wrong.push(`"${query}" finds ${found}, not ${anchor}`);
            }
            return wrong;
        });
        assert.deepEqual(faults, []);
    });

    test(`over ${scheme} a hit leads to its place, with the words marked`, async () => {
        const query = look("interpolation forces");
        const faults = await visit("search.html", { scheme, query }, async page => {
            const marks = await page.locator("#search-results li").first().locator("mark").count();
            await hits(page).first().click();
            await page.waitForLoadState("load");
            const seen = await page.evaluate(() => {
                const { top } = document.getElementById(location.hash.slice(1)).getBoundingClientRect();
                const words = [...CSS.highlights.get("searched") ?? []].map(
                    range => range.startContainer.data.slice(range.startOffset, range.endOffset));
                return { top, words: words.map(word => word.toLowerCase()) };
            });
            return [
                ...marks >= 2 ? [] : [`${marks} words marked in the list`],
                ...seen.top >= 0 && seen.top < 300 ? [] : [`the place is at ${seen.top} px`],
                ...["interpolation", "forces"].filter(word => !seen.words.includes(word)),
                ...seen.words.filter(word => !/^(inter|extra)polation$|^forces?$/.test(word)),
            ];
        });
        assert.deepEqual(faults, []);
    });
}

test("typing searches anew, and what is not found is said", async () => {
    const faults = await visit("search.html", {}, async page => {
        const field = page.locator(FIELD), status = page.getByRole("status");
        await field.fill("saddle");
        const some = [await status.textContent(), await hits(page).count()];
        await field.fill("qqqq");
        const none = [await status.textContent(), await hits(page).count()];
        return /^\d+ places/.test(some[0]) && some[1] > 3 && none[0] === "No places" && !none[1]
            ? [] : [JSON.stringify([some, none])];
    });
    assert.deepEqual(faults, []);
});

test("words in the address are no markup and no pattern", async () => {
    const query = "?marked=[%5C%3Cimg+src%3Dx%3E+(+pole";
    const faults = await visit("book/02_wrong_future.html", { query }, page => page.evaluate(
        () => [...CSS.highlights.get("searched")].map(({ startContainer, startOffset, endOffset }) =>
            startContainer.data.slice(startOffset, endOffset)).filter(word => !/^pole$/i.test(word))));
    assert.deepEqual(faults, []);
});

test("without JavaScript the search page says where else to look", async () => {
    const faults = await visit("search.html", { javaScriptEnabled: false }, async page =>
        await page.locator("noscript a").count() === 2 ? [] : ["no other way"]);
    assert.deepEqual(faults, []);
});
