// What a reader does with a page: follows links, narrows the window, prints it, copies, tabs.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { inParallel, openBook } from "./site.mjs";

const { pages, visit, close } = await openBook();
after(close);

// Visits every page once under these conditions, and makes a test of every function of `findings`:
// it runs in the page and returns the faults there, each a sentence.
const looking = (how, options, findings, prepare = async () => {}) => test(how, async t => {
    const faults = new Map(Object.keys(findings).map(name => [name, []]));
    const complaints = await inParallel(pages, file => visit(file, options, async page => {
        await prepare(page);
        for (const [name, find] of Object.entries(findings)) {
            faults.get(name).push(...(await page.evaluate(find)).map(fault => `${file}: ${fault}`));
        }
        return [];
    }));
    assert.deepEqual(complaints.flat(), []);
    for (const [name, found] of faults) await t.test(name, () => assert.deepEqual(found, []));
});

looking("without JavaScript", { javaScriptEnabled: false }, {
    "the number of a figure or a claim stays on the line of its name": () =>
        [...document.querySelectorAll("article p a.reference")].map(link => link.textContent)
            .filter(text => /^(Fig\.|Theorem|Proposition|Observation|Lemma|Corollary) \d/.test(text)),

    "a figure leads to its own file, with the keyboard and without JavaScript": () =>
        [...document.querySelectorAll("article figure img")]
            .filter(image => image.closest("a")?.href !== image.src).map(image => image.src),

    "entries of the bibliography lead to their papers": () => {
        const entries = [...document.querySelectorAll(".citation")];
        const named = entries.filter(entry => /arXiv:|doi:/.test(entry.textContent));
        const lost = named.filter(entry => !entry.querySelector(
            'a[href^="https://arxiv.org/abs/"], a[href^="https://doi.org/10."]'));
        return [...lost.map(entry => entry.textContent),
            ...named.length >= entries.length / 2 ? [] : [`${named.length} of ${entries.length}`]];
    },

    "references to claims carry their titles; claims and exercises have permalinks": () => {
        const bare = [...document.querySelectorAll('article a.reference[href*="#clm-"]')].filter(
            link => link.closest("p:not(.ledger-link)") && !link.title);
        const lost = [...document.querySelectorAll(".proof[id], .exercise[id]")].filter(
            box => box.querySelector(":scope > .admonition-title > a.headerlink")
                ?.getAttribute("href") !== `#${box.id}`);
        return [...bare.map(link => `no title: ${link.textContent}`),
            ...lost.map(box => `no permalink: ${box.id}`)];
    },
});

looking("at 375 px", { viewport: { width: 375, height: 800 } }, {
    "nothing is cut: what is wider scrolls in its own box": () => {
        const faults = [];
        const parts = "p, td, img, pre, .katex-html .base, .eqno";
        for (const part of document.querySelectorAll(`article :is(${parts})`)) {
            const { right, width } = part.getBoundingClientRect();
            const boxes = [];
            for (let box = part; box !== document.body; box = box.parentElement) boxes.push(box);
            const over = boxes.find(box => getComputedStyle(box).overflowX !== "visible"
                && box.getBoundingClientRect().right < right - 1);
            const cut = over ? getComputedStyle(over).overflowX !== "auto" : right > innerWidth;
            if (width && cut) faults.push(`cut at ${Math.round(right)} px: ${part.textContent}`);
        }
        return faults;
    },

    // Letters in the plots are 8 to 9 points high where a plot is drawn in its own size.
    "the letters of a figure are legible": () =>
        [...document.querySelectorAll("article figure img")]
            .filter(image => image.width < 0.65 * image.naturalWidth)
            .map(image => `${image.width} of ${image.naturalWidth} px: ${image.src}`),
});

looking("at 1280 px", { viewport: { width: 1280, height: 900 } }, {
    "copy buttons stand on inputs only": () => {
        const bare = [...document.querySelectorAll(".cell_input pre")].filter(
            code => !code.parentElement.querySelector("button.copybtn"));
        const odd = document.querySelectorAll(".cell_output button.copybtn");
        return [...bare.map(code => `none: ${code.textContent}`), ...odd].map(String);
    },

    "Tab goes to the skip link first, and whatever has the focus shows a ring": () => {
        const first = document.activeElement.matches(".skip-link a, .bd-search input");
        const faults = first ? [] : [`Tab leads to ${document.activeElement.outerHTML}`];
        for (const element of document.querySelectorAll("a[href], button, summary, [tabindex]")) {
            if (element.tabIndex > 0) faults.push(`out of order: ${element.outerHTML}`);
            element.focus();
            if (document.activeElement !== element || element.tabIndex < 0) continue;
            const { outlineStyle, outlineWidth, opacity, visibility } = getComputedStyle(element);
            if (outlineStyle === "none" || parseFloat(outlineWidth) < 2 || opacity !== "1"
                || visibility !== "visible") faults.push(`no ring: ${element.outerHTML}`);
        }
        return faults;
    },

    "no line of code scrolls, and 100 columns fit": () => {
        for (const fold of document.querySelectorAll("article details")) fold.open = true;
        const wide = [...document.querySelectorAll("article pre")].filter(
            box => box.scrollWidth > box.clientWidth);
        const box = document.querySelector("article > section > section > .cell .cell_input pre");
        const height = text => {
            box.textContent = text;
            return box.clientHeight;
        };
        return [...wide.map(code => `scrolls: ${code.textContent.slice(0, 40)}`),
            ...!box || height("0".repeat(100)) === height("0") ? [] : ["100 columns need a second line"]];
    },
}, async page => {
    // The search page has put the cursor into its field.
    if (!page.url().includes("search.html")) await page.locator("body").press("Tab");
    await page.addStyleTag({ content: "* { transition: none !important }" });
});

looking("on paper", { viewport: { width: 700, height: 900 } }, {
    "no code is cut": () => {
        const boxes = [...document.querySelectorAll("pre, .highlight, .katex-display, figure a")];
        return boxes.filter(box => getComputedStyle(box).overflowX !== "visible"
            || box.matches("pre") && box.scrollWidth > box.clientWidth + 1)
            .map(box => box.textContent.slice(0, 60));
    },

    "all that is folded is open": () =>
        [...document.querySelectorAll("details > :not(summary), .solution > :not(p)")]
            .filter(part => part.textContent.trim() && (part.getBoundingClientRect().height < 8
                || !part.checkVisibility({ opacityProperty: true, visibilityProperty: true })))
            .map(part => part.textContent.slice(0, 60)),

    "there is one title, with its number, and nothing to press": () => {
        const seen = selector => [...document.querySelectorAll(selector)].filter(
            element => element.checkVisibility({ visibilityProperty: true }));
        const titles = seen("h1").map(title => title.textContent);
        const number = /book.0?(\d+)_/.exec(location.pathname)?.[1];
        return [
            ...seen("button, .headerlink, nav, .cell summary").map(part => `pressed: ${part.outerHTML}`),
            ...titles.length === 1 && (!number || titles[0].startsWith(`${number}. `))
                ? [] : [`titles: ${titles}`],
        ];
    },
}, page => page.emulateMedia({ media: "print" }));

test("the ledger begins with numbers and papers, lists its headings, and leads to every cell", async () => {
    const targets = new Map();
    const faults = await visit("book/ledger.html", {}, page => page.evaluate(() => {
        const titles = [...document.querySelectorAll("article h2")].map(title => title.firstChild.data);
        const contents = [...document.querySelectorAll("#pst-page-toc-nav a")].map(
            link => link.textContent.trim());
        const vague = [...document.querySelectorAll("dl.ledger li")].filter(
            line => /: (0 = 0|.* in fractions) \(/.test(line.textContent)
                && !/identity holds|identities hold/.test(line.textContent));
        return [
            ...titles.filter((title, i) => title !== contents[i]),
            ...titles[0] === "In numbers" && /three papers/.test(titles[1]) ? [] : titles.slice(0, 2),
            ...titles.length > 3 ? [] : ["no chapter"],
            ...vague.map(line => line.textContent),
        ];
    }));
    assert.deepEqual(faults, []);
    await visit("book/ledger.html", {}, async page => {
        const links = await page.locator("dl.ledger li").evaluateAll(lines => lines.map(line =>
            [line.querySelector("a").getAttribute("href").split("#"), line.textContent.split(":")[0]]));
        for (const [[file, anchor], what] of links) {
            targets.set(file, [...targets.get(file) ?? [], [anchor, what]]);
        }
        return [];
    });
    assert.ok(targets.size > 3);
    for (const [file, cells] of targets) {
        const faults = await visit(`book/${file}`, {}, page => page.evaluate(wanted => wanted.filter(
            ([anchor, what]) => !new RegExp(`PASS clm-[a-z0-9-]+/${what}:`).test(
                document.querySelector(`.cell[id="${anchor}"]`)?.textContent ?? "")).map(String), cells));
        assert.deepEqual(faults, []);
    }
});
